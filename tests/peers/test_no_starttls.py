"""What "Why TLS Is Better Without STARTTLS" (USENIX Security 2021) found in servers and clients, tried on a daemon.

An attacker on the wire can say what he likes in plaintext before TLS, and in the same segment as the word that begins
it. Nothing of that may have an effect behind the handshake, on either side: a client's commands here, or the legacy
server's answers there. Nor may he have TLS left out, or users read what he says.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import TypeVar

import pytest

from tests.legacy.certificates import Authority
from tests.legacy.interceptor import IMAP, POP3, SAID, Interceptor
from tests.peers.daemon import Daemon

pytestmark = pytest.mark.peers
T = TypeVar("T")
CASES = {("pop3", case.name): case for case in POP3} | {("imap", case.name): case for case in IMAP}


class Wiretapped:
    """One daemon with a domain for each case, and the legacy server of each."""

    def __init__(self, ground: Path) -> None:
        (ground / "intercepted").mkdir()
        authority = Authority()
        certificate, key = authority.issue("localhost", "127.0.0.1").write(ground / "intercepted", "legacy")
        ca = authority.write(ground / "intercepted")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.servers = {named: Interceptor(case, named[0], context) for named, case in CASES.items()}
        encrypted = f'tls = "starttls"\nca = "{ca}"'
        lines = 'port = 1\ntls = "none"'
        for (protocol, name), server in self.servers.items():
            port = 'source = "imap"\nport = 1\nimap_port' if protocol == "imap" else "port"
            host = f'[domain."{name}.{protocol}.example".legacy]\nhost = "127.0.0.1"'
            lines += f"\n{host}\n{port} = {server.port}\n{encrypted}"
        self.daemon = Daemon(ground / "intercepted" / "ferry", lines)
        self.daemon.start()

    def ask(self, listener: str, named: tuple[str, str], *lines: str) -> bytes:
        """The first line of the last one's answer. {} is the case's domain."""
        number = list(CASES).index(named) + 1  # for each a network of its own: refusals do not add up
        where = ("127.0.0.1", self.daemon.ports[listener])
        with socket.create_connection(where, timeout=60, source_address=(f"127.9.{number}.1", 0)) as connection:
            with connection.makefile("rb") as answers:
                answers.readline()
                for line in lines:
                    connection.sendall(line.format(f"{named[1]}.{named[0]}.example").encode() + b"\r\n")
                    said = answers.readline()
                return said

    def close(self) -> None:
        self.daemon.stop()
        for server in self.servers.values():
            server.close()


@pytest.fixture(scope="module")
def wiretapped(ground: Path) -> Iterator[Wiretapped]:
    with closing(Wiretapped(ground)) as made:
        yield made


@pytest.mark.parametrize("named", CASES, ids="-".join)
def test_towards_the_legacy_server(named: tuple[str, str], wiretapped: Wiretapped) -> None:
    server = wiretapped.servers[named]
    wrong = wiretapped.ask("imap", named, "a LOGIN mallory@{} guess")
    right = wiretapped.ask("pop3", named, "USER joe@{}", "PASS pass")
    if CASES[named].right:  # behind TLS an honest server was asked, and nothing injected was taken for its answers
        assert wrong.startswith(b"a NO [AUTHENTICATIONFAILED]")
        assert right.startswith(b"+OK")
        home = wiretapped.daemon.root / "state" / "mail" / f"{named[1]}.{named[0]}.example" / "joe" / "Maildir"
        assert not any("evil" in path.name for path in home.iterdir())
        assert any(b"pass" in line for line in server.inside)
    else:  # and a password that nobody checked is not called wrong
        assert wrong.startswith(b"a NO [UNAVAILABLE]")
        assert right.startswith(b"-ERR [SYS/TEMP]")
        assert server.inside == []
    for word in (b"mallory", b"guess", b"joe", b"pass", b"LOGIN", b"AUTH", b"USER"):
        assert not any(word in line for line in server.overheard), server.overheard
    assert SAID.encode() not in wrong + right


class Victim:
    """A client whose first words an attacker has written, and which goes on over TLS."""

    def __init__(self, daemon: Daemon, protocol: str) -> None:
        self._daemon = daemon
        self._plain = socket.create_connection(("127.0.0.1", daemon.ports[protocol]), timeout=60)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = daemon.trust().wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
        self.greeting = self._plain.recv(4096)

    def say_in_plaintext(self, data: bytes) -> bytes:
        """What comes back, up to the end of a line."""
        self._plain.sendall(data)
        said = b""
        while not said.endswith(b"\n"):
            said += self._plain.recv(4096)
        return said

    def say_to_the_end(self, data: bytes) -> bytes:
        """All that comes back until the daemon closes the connection."""
        said = b""
        with suppress(OSError):
            self._plain.sendall(data)
            while more := self._plain.recv(4096):
                said += more
        return said

    def begin(self) -> None:
        """The handshake."""
        self._turn(self._tls.do_handshake)

    def say(self, data: bytes) -> None:
        self._turn(lambda: self._tls.write(data))

    def line(self) -> bytes:
        said = b""
        while not said.endswith(b"\n"):
            said += self._turn(lambda: self._tls.read(1)) or b""
        return said

    def answer(self, tag: bytes) -> bytes:
        while not (said := self.line()).startswith(tag):
            assert said.startswith(b"* "), said
        return said

    def close(self) -> None:
        self._plain.close()

    def _turn(self, step: Callable[[], T]) -> T:
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                self._send()
                data = self._plain.recv(65_536)
                assert data, "the daemon closed the connection"
                self._incoming.write(data)
            else:
                self._send()
                return done

    def _send(self) -> None:
        if data := self._outgoing.read():
            self._plain.sendall(data)


BEGIN = {"imap": b"s STARTTLS\r\n", "pop3": b"STLS\r\n"}
INJECTED = [
    ("imap", b"x LOGIN mallory@123.com pass\r\n"),
    ("imap", b"x LOGIN mallory@123.com pass\r\nx SELECT INBOX\r\nx APPEND INBOX {9999+}\r\n"),  # takes up what follows
    ("imap", b"x LOGIN mallory@123.com {200}\r\n"),
    ("imap", b"x LOGIN mallory@123.com {200+}\r\n"),
    ("imap", b"x AUTHENTICATE PLAIN\r\n"),
    ("imap", b"x NO"),  # and the rest of the line comes over TLS
    ("pop3", b"USER mallory@123.com\r\nPASS pass\r\n"),
    ("pop3", b"USER mallory@123.com\r\n"),
    ("pop3", b"AUTH PLAIN\r\n"),
    ("pop3", b"NO"),
    ("pop3", b"STLS\r\n"),
]


@pytest.fixture
def victim(daemon: Daemon, request: pytest.FixtureRequest) -> Iterator[Victim]:
    with closing(Victim(daemon, request.getfixturevalue("protocol"))) as made:
        yield made


@pytest.mark.parametrize(("protocol", "injected"), INJECTED)
def test_towards_clients(protocol: str, injected: bytes, daemon: Daemon, victim: Victim, letters_user: str) -> None:
    (said,) = victim.say_in_plaintext(BEGIN[protocol] + injected).splitlines()
    assert said.startswith((b"s OK", b"+OK"))
    victim.begin()
    owner = f"{letters_user}@123.com".encode()
    if protocol == "imap":  # the first answer is to the first thing said behind the handshake
        victim.say(b"c CAPABILITY\r\n")
        offered = victim.line()
        assert offered.startswith(b"* CAPABILITY ") and b"STARTTLS" not in offered and b"LOGINDISABLED" not in offered
        assert victim.line().startswith(b"c OK")
        victim.say(b"l LOGIN %b pass\r\n" % owner)
        assert victim.answer(b"l ").startswith(b"l OK")
        victim.say(b"t STATUS INBOX (MESSAGES)\r\ns STARTTLS\r\n")
        assert victim.line() == b"* STATUS INBOX (MESSAGES 8)\r\n"
        assert victim.line().startswith(b"t OK")
        assert victim.line().startswith(b"s BAD")
    else:
        victim.say(b"PASS pass\r\nSTLS\r\nUSER %b\r\nPASS pass\r\nSTAT\r\n" % owner)
        answers = [victim.line() for _ in range(2)]
        assert all(line.startswith(b"-ERR") for line in answers), answers
        assert victim.line().startswith(b"+OK")
        assert victim.line().startswith(b"+OK")
        assert victim.line().startswith(b"+OK 8 ")
    assert "mallory" not in daemon.log


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_who_goes_on_in_plaintext_is_not_heard(protocol: str, victim: Victim) -> None:
    assert victim.say_in_plaintext(BEGIN[protocol]).startswith((b"s OK", b"+OK"))
    said = victim.say_to_the_end(b"x NOOP\r\nNOOP\r\n" * 4_000)
    assert b"OK" not in said and b"ERR" not in said and b"BAD" not in said, said  # at the most an alert of TLS
