"""HAProxy in front: whose connection it is, where TLS ends, and nodes that go without anybody's noticing."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.legacy.dovecot import select_nothing
from tests.peers.fronts import USERS, Client, Front, Node
from tests.peers.ground import reachable
from tests.peers.needs import needed

pytestmark = pytest.mark.peers

MAIL = ("imap", "imaps", "pop3", "pop3s")


@dataclass(frozen=True)
class Company:
    front: Front
    nodes: tuple[Node, Node]
    tls: ssl.SSLContext


@pytest.fixture(scope="module")
def ground() -> Iterator[Path]:
    needed("haproxy")
    with reachable("fronts") as path:
        yield path


@pytest.fixture(scope="module")
def company(ground: Path) -> Iterator[Company]:
    """Two nodes, the first with two workers, and the pages for both; TLS passes through."""
    nodes = Node(ground / "node1", (*MAIL, "web"), workers=2), Node(ground / "node2", MAIL)
    nodes[1].share(nodes[0])
    with ExitStack() as running:
        for node in nodes:
            node.start()
            running.callback(node.stop)
        front = Front(ground / "front", nodes)
        running.callback(front.end)
        for number in (1, 2):
            front.until(number, "UP")
        yield Company(front, nodes, nodes[0].trust())


@pytest.fixture(scope="module")
def bare(ground: Path) -> Iterator[Node]:
    """A node without a certificate."""
    node = Node(ground / "bare", ("imap", "pop3", "web"), encrypted=False)
    node.start()
    yield node
    node.stop()


@pytest.fixture(scope="module")
def pem(bare: Node) -> Path:
    """The front's."""
    path = bare.root / "front.pem"
    path.write_bytes((bare.root / "server.pem").read_bytes() + (bare.root / "server.key").read_bytes())
    return path


def came(nodes: tuple[Node, ...], address: str) -> list[str]:
    """The protocols of all logins from an address, as the audit has them."""
    for _ in range(6_000):
        if found := [line["protocol"] for node in nodes for line in node.lines("login") if line["peer"] == address]:
            return found
        select_nothing(0.05)
    raise AssertionError(f"no login from {address}:\n{nodes[0].log}")


def test_the_client_s_address_is_in_the_log_whichever_way_it_comes(company: Company) -> None:
    front, tls = company.front, company.tls
    ways = [(143, "imap", None), (993, "imap", tls), (110, "pop3", None), (995, "pop3", tls)]
    for number, (port, protocol, encrypted) in enumerate(ways, start=21):
        with Client(front, port, f"127.0.0.{number}", encrypted) as client:
            assert b"ready" in client.line()
            if encrypted is None:
                assert client.ask(b"a STARTTLS" if protocol == "imap" else b"STLS")[:4].strip() in {b"a OK", b"+OK"}
                client.start_tls(tls)
            assert b"OK" in client.log_in("anna", imap=protocol == "imap")
        assert came(company.nodes, f"127.0.0.{number}") == [protocol]
    with Client(front, 443, "127.0.0.29", tls) as browser:
        browser.connection.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
        assert b" 200 " in browser.line()


def test_a_guess_counts_for_the_client_and_nobody_can_say_that_it_is_another(company: Company) -> None:
    with Client(company.front, 110, "127.0.0.31") as client:
        assert client.ask(b"PROXY TCP4 192.0.2.1 127.0.0.1 4000 110", imap=False).startswith(b"+OK")  # the greeting
        assert client.line().startswith(b"-ERR")  # to the other
        client.ask(b"STLS", imap=False)
        client.start_tls(company.tls)
        client.ask(b"USER anna", imap=False)
        assert client.ask(b"PASS guess", imap=False).startswith(b"-ERR [AUTH]")
    refused = [line for node in company.nodes for line in node.lines("login refused")]
    assert [(line["peer"], line["audit"]) for line in refused] == [("127.0.0.31", True)]


@pytest.mark.parametrize("header", [b"PROXY TCP4 192.0.2.1 127.0.0.1 4000 143\r\n", b""])
def test_a_stranger_gets_no_word_from_a_node_whatever_it_says(company: Company, header: bytes) -> None:
    node = company.nodes[0]
    with socket.create_connection(
        ("127.0.0.1", node.behind["imap"]), timeout=60, source_address=("127.0.0.32", 0)
    ) as stranger:
        with suppress(ConnectionError):  # closed with what it said unread
            stranger.sendall(header)
            assert stranger.recv(100) == b""
    node.logs('"peer": "127.0.0.32"')


def test_a_proxy_that_sends_no_header_is_told_to_the_administrator(bare: Node) -> None:
    with socket.create_connection(("127.0.0.1", bare.behind["imap"]), timeout=60) as proxy:
        proxy.sendall(b"a CAPABILITY\r\n")
        with suppress(ConnectionError):
            assert proxy.recv(100) == b""
    bare.logs("it does not begin with a PROXY header")
    assert bare.lines("connection refused")[0]["service"] == "haproxy:imap"


def test_tls_that_ends_at_the_front_is_as_good(ground: Path, bare: Node, pem: Path) -> None:
    front, tls = Front(ground / "ended", (bare, bare), ended=pem), bare.trust()
    try:
        front.until(1, "UP")
        with Client(front, 993, "127.0.0.41", tls) as client:
            greeting = client.line()
            assert b"STARTTLS" not in greeting and b"LOGINDISABLED" not in greeting
            assert b"a OK" in client.log_in("ben")
        with Client(front, 995, "127.0.0.42", tls) as client:
            client.line()
            assert b"+OK" in client.log_in("ben", imap=False)
        with Client(front, 143, "127.0.0.43") as client:
            assert b"LOGINDISABLED" in client.line()
            assert b"a NO" in client.log_in("ben")
        assert came((bare,), "127.0.0.41") == ["imap"] and came((bare,), "127.0.0.42") == ["pop3"]
        with Client(front, 443, "127.0.0.44", tls) as browser:
            browser.connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            head = browser.answers.read().partition(b"\r\n\r\n")[0].lower()
        assert b"strict-transport-security" in head and b"set-cookie: mailferry-node=node" in head
        assert b"__host-" in head
    finally:
        front.end()


def test_version_1_tells_the_address_and_nothing_of_tls(ground: Path, bare: Node, pem: Path) -> None:
    front = Front(ground / "version1", (bare, bare), ended=pem, version=1)
    try:
        front.until(1, "UP")
        with Client(front, 993, "127.0.0.51", bare.trust()) as client:
            assert b"LOGINDISABLED" in client.line()
            client.ask(b"a LOGOUT")
        bare.logs('"peer": "127.0.0.51"')  # imap session ended
    finally:
        front.end()


@dataclass
class Callers:
    """Clients that log in all the while, in a thread."""

    company: Company
    answers: list[bytes] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Callers:
        self._thread = threading.Thread(target=self._call)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._thread.join()

    def _call(self) -> None:
        while not self.over.wait(0.2):
            imap = len(self.answers) % 2 == 0
            user = USERS[len(self.answers) % len(USERS)]
            try:
                with Client(self.company.front, 993 if imap else 995, "127.0.0.61", self.company.tls) as client:
                    client.line()
                    self.answers.append(client.log_in(user, imap=imap))
                    client.ask(b"b LOGOUT" if imap else b"QUIT", imap=imap)
            except OSError as error:
                self.answers.append(repr(error).encode())

    def more(self, count: int) -> None:
        """Wait for so many more."""
        wanted = len(self.answers) + count
        for _ in range(15_000):
            if len(self.answers) >= wanted:
                return
            select_nothing(0.02)
        raise AssertionError("nobody logs in any more")

    def check(self) -> None:
        """Was none refused?"""
        assert [answer for answer in self.answers if not answer.startswith((b"a OK", b"+OK"))] == []


def mailferry(node: Node, *arguments: str) -> Any:
    command = [sys.executable, "-m", "proxy.cli.main", *arguments, "--config", str(node.config), "--json"]
    done = subprocess.run(command, capture_output=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def idling(company: Company, node: Node) -> Client:
    """A client in IDLE, on this node."""
    while True:
        number = len(node.lines("login"))
        client = Client(company.front, 993, "127.0.0.62", company.tls)
        client.line()
        client.log_in("chen")
        assert client.ask(b"i SELECT INBOX").startswith(b"i OK")
        if any(line["peer"] == "127.0.0.62" for line in node.lines("login")[number:]):
            assert client.ask(b"j IDLE").startswith(b"+")
            return client
        client.close()


def test_a_node_is_drained_stopped_and_put_back_the_other_dies_and_no_login_is_refused(company: Company) -> None:
    front, (other, node) = company.front, company.nodes
    assert other.health() == (200, {"ready": True, "wrong": [], "workers": {"serving": 2, "wanted": 2}})
    with idling(company, node) as idler, Callers(company) as callers:
        drained = mailferry(node, "drain", "--wait", "--grace", "8s", "--within", "60s")["draining"]
        assert drained.items() >= {"drained": True, "sessions": 0, "moves": 0}.items()
        assert idler.line() == b"* BYE Server is going out of service, connect again.\r\n"
        front.until(2, "DOWN")
        served = len(node.lines("login"))
        callers.more(10)
        assert len(node.lines("login")) == served
        status, found = node.health()
        assert (status, found["wrong"][0]["what"]) == (503, "draining")
        assert node.stop() == 0
        callers.more(4)
        node.start()
        assert node.health()[0] == 503  # its administrator has a look at it first
        assert mailferry(node, "drain", "--undo") == {"draining": None}
        front.until(2, "UP")
        callers.check()
        other.kill()
        front.until(1, "DOWN")
        callers.more(10)
    refused = [answer for answer in callers.answers if not answer.startswith((b"a OK", b"+OK"))]
    assert len(refused) <= 1, refused  # one that was on its way when the other died
    assert len(node.lines("login")) > served and node.lines("drained")
