"""Two nodes behind HAProxy are upgraded one after the other, to a version whose tables are one revision later: users
log in all the time, and nobody is refused. A node that is two revisions behind is told what to do."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from mailstore.accounts import Accounts, State
from mailstore.accounts_server import AccountsServer
from mailstore.database import AccountsDatabase
from mailstore.postgres import address, postgres_engine
from mailstore.schema import HEAD
from tests.peers.fronts import HASH, Front
from tests.peers.fronts import PASSWORD as OF_OTHERS
from tests.peers.needs import needed
from tests.postgres import later
from tests.postgres.nodes import PASSWORD, TwoNodes, environment, until
from tests.postgres.server import PostgresServer
from tests.postgres.test_through_the_front import Behind, Company

pytestmark = pytest.mark.peers

PAUSE = 1.2  # seconds between two logins of a client
MORE = 2  # logins that each client has in each state of the company, at least


@pytest.fixture
def company(tmp_path: Path, postgres: PostgresServer) -> Iterator[Company]:
    """Both nodes are of this version."""
    needed("haproxy")
    nodes = TwoNodes(tmp_path, postgres, node=Behind, workers=1)
    nodes.old.count = 3
    for node in (nodes.a, nodes.b):
        node.program = ("proxy.cli.main",)
    try:
        nodes.start(odd=False)
        front = Front(tmp_path / "front", (nodes.a, nodes.b))
        try:
            for number in (1, 2):
                front.until(number, "UP")
            yield Company(front, nodes)
        finally:
            front.end()
    finally:
        nodes.close()


class Clients:
    """They log in again and again, each in a thread, until the end."""

    def __init__(self, company: Company) -> None:
        self._company = company
        self._end = threading.Event()
        self.logins: Counter[str] = Counter()
        self.refused: list[str] = []
        numbers = count(1)
        ways: dict[str, Callable[[], bytes]] = {
            "imap": lambda: self._imap("anna", OF_OTHERS),
            "pop3": lambda: self._pop3("ben", OF_OTHERS),
            "first": lambda: self._imap(f"new{next(numbers)}", PASSWORD),
        }
        self._threads = [threading.Thread(target=self._go_on, args=each, daemon=True) for each in ways.items()]
        for thread in self._threads:
            thread.start()

    def _go_on(self, name: str, way: Callable[[], bytes]) -> None:
        while not self._end.wait(PAUSE):
            try:
                answer = way()
            except OSError as error:
                answer = str(error).encode()
            if answer.startswith((b"a OK", b"+OK")):
                self.logins[name] += 1
            else:
                self.refused.append(f"{name}: {answer!r}")

    @staticmethod
    def _said(place: tuple[str, int], *lines: bytes) -> list[bytes]:
        """The tagged answers, or all lines of POP3."""
        with socket.create_connection(place, timeout=60) as connection, connection.makefile("rb") as heard:
            said = [heard.readline()]
            for line in lines:
                connection.sendall(line + b"\r\n")
                while (answer := heard.readline()).startswith(b"* "):
                    pass
                said.append(answer)
        return said

    def _imap(self, user: str, password: str) -> bytes:
        return self._said(self._company.imap, f'a LOGIN {user}@123.com "{password}"'.encode(), b"b LOGOUT")[1]

    def _pop3(self, user: str, password: str) -> bytes:
        said = self._said(self._company.pop3, f"USER {user}@123.com".encode(), f"PASS {password}".encode(), b"QUIT")
        return said[2]

    def go_on(self) -> None:
        """Until each has logged in some times more."""
        before = self.logins.copy()

        def have() -> bool:
            return bool(self.refused) or all(self.logins[n] >= before[n] + MORE for n in ("imap", "pop3", "first"))

        until(have, "logins")
        assert self.refused == []

    def end(self) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(60)


def mailferry(node: Behind, *words: str) -> str:
    """A command of this version, on a node's machine."""
    command = [sys.executable, "-m", "proxy.cli.main", *words, "--config", str(node.config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def upgrade(company: Company, number: int, node: Behind) -> None:
    """As the README has it."""
    mailferry(node, "drain", "--wait", "--grace", "5s", "--within", "60s")
    company.front.until(number, "DOWN")
    assert node.stop() == 0
    node.program = ("tests.postgres.later_node",)
    node.start()
    mailferry(node, "drain", "--undo")
    company.front.until(number, "UP")


def revision(nodes: TwoNodes) -> str:
    return str(nodes.rows("SELECT version_num FROM alembic_version")[0][0])


def test_one_after_the_other_and_nobody_is_refused(company: Company, tmp_path: Path) -> None:
    nodes = company.nodes
    engine = postgres_engine(address(nodes.server.url(nodes.database)), connections=2)
    with closing(AccountsDatabase(AccountsServer(engine, check=False))) as database:
        for user in ("anna", "ben"):
            account = Accounts(database).add(user, "123.com")
            Accounts(database)._change(account.id, password_hash=HASH, state=State.FINAL)
    later.write_revisions(tmp_path / "migrations")
    clients = Clients(company)
    try:
        clients.go_on()
        assert revision(nodes) == HEAD
        with environment(MAILFERRY_LATER=str(tmp_path / "migrations")):
            upgrade(company, 1, nodes.a)
            assert revision(nodes) == later.NEXT
            clients.go_on()  # with both versions at once, upon the later one's tables
            assert '"123.com"' in mailferry(nodes.b, "status", "--json")
            upgrade(company, 2, nodes.b)
            clients.go_on()
    finally:
        clients.end()
    assert clients.refused == []
    for node in (nodes.a, nodes.b):
        assert '"level": "error"' not in node.log
    moved = nodes.rows("SELECT count(*), min(messages_done) FROM accounts WHERE local LIKE 'new%%' AND state = 'moved'")
    assert moved == [(clients.logins["first"], nodes.old.count)]
    by_the_later_one = nodes.rows("SELECT count(*) FROM accounts WHERE nickname = 'new'")[0][0]
    assert 0 < by_the_later_one < clients.logins["first"]

    nodes.a.stop()
    nodes.rows("UPDATE alembic_version SET version_num = %s RETURNING 1", f"{int(HEAD) + 2:04}")
    nodes.a.program = ("proxy.cli.main",)
    with pytest.raises(AssertionError, match="install here the version that the other nodes have"):
        nodes.a.start()
