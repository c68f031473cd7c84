"""Two nodes of two workers each upon one PostgreSQL and one tree of Maildirs, in front of a legacy server that gives
messages when the test lets it."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg

from mailstore.maildir import folder_directory
from mailstore.secrets import load_key
from tests.legacy.dovecot import free_port, select_nothing
from tests.legacy.threaded import ThreadedServer, reset
from tests.peers.daemon import Daemon
from tests.peers.sessions import DaemonStage, SocketWire
from tests.postgres.server import PostgresServer

PASSWORD: Final = "correcthorse"
WITHIN: Final = 90.0  # seconds
KEY: Final = "sealing.key"
ODD_CLOCK: Final = Path(__file__).parents[1] / "faults" / "odd_clock"


def message(number: int) -> bytes:
    return b"Date: Thu, 1 Jan 2009 00:00:%02d +0000\r\nSubject: message %d\r\n\r\n%b\r\n" % (
        number % 60,
        number,
        b"x" * 200,
    )


class OldServer(ThreadedServer):
    """POP3: any user with PASSWORD, `count` messages each, one session at a time for each mailbox."""

    def __init__(self, count: int = 150) -> None:
        self.count = count
        self.held_from: int | None = None  # messages from this number on are not given
        self.held = 0  # nor is this one
        self.allowed: int | None = None  # sessions at the same time, of which one more is told so
        self.sessions: Counter[str] = Counter()  # by mailbox
        self.most = 0  # sessions at the same time
        self.logins: Counter[str] = Counter()
        self.wrong = 0
        self.fetched: Counter[int] = Counter()
        self._inside: set[socket.socket] = set()  # connections that are in a mailbox
        self.asked: list[str] = []
        super().__init__()

    def release(self) -> None:
        with self._changed:
            self.held_from, self.held = None, 0
            self._changed.notify_all()

    def forget(self) -> None:
        """Give up who is in a mailbox, as a server does in time whose client says nothing."""
        with self._changed:
            for client in self._inside:
                reset(client)

    def serve(self, client: socket.socket) -> None:
        user = ""
        inside = ""
        with client.makefile("rwb") as stream:

            def say(line: bytes) -> None:
                stream.write(line + b"\r\n")
                stream.flush()

            say(b"+OK ready")
            try:
                while line := stream.readline():
                    verb, _, rest = line.strip().decode().partition(" ")
                    self.asked.append(verb)
                    if verb == "USER":
                        user = rest
                        say(b"+OK")
                    elif verb == "PASS":
                        inside = user if self._enter(user, rest, say) else ""
                        if inside:
                            with self._changed:
                                self._inside.add(client)
                    elif verb == "RETR":
                        self._give(int(rest), client)
                        say(b"+OK\r\n" + message(int(rest)) + b".")
                    else:
                        say(self._listed(verb, 0 if user.startswith("empty") else self.count))
            finally:
                if inside:
                    with self._changed:
                        self._inside.discard(client)
                        self.sessions[inside] -= 1
                        self._changed.notify_all()

    @staticmethod
    def _listed(verb: str, count: int) -> bytes:
        numbers = range(1, count + 1)
        match verb:
            case "CAPA":
                return b"+OK\r\nUSER\r\nUIDL\r\nPIPELINING\r\nRESP-CODES\r\n."
            case "UIDL":
                return b"\r\n".join([b"+OK", *(b"%d old-%d" % (n, n) for n in numbers), b"."])
            case "LIST":
                return b"\r\n".join([b"+OK", *(b"%d %d" % (n, len(message(n))) for n in numbers), b"."])
            case "STAT":
                return b"+OK %d %d" % (count, count * len(message(1)))
            case "QUIT":
                return b"+OK"
        return b"-ERR unknown"

    def _enter(self, user: str, password: str, say: Callable[[bytes], None]) -> bool:
        with self._changed:
            if password != PASSWORD:
                self.wrong += 1
                say(b"-ERR [AUTH] no")
                return False
            if self.sessions[user]:
                say(b"-ERR [IN-USE] locked")
                return False
            self.sessions[user] += 1
            self.logins[user] += 1
            self.most = max(self.most, sum(self.sessions.values()))
        say(b"+OK")
        return True

    def _give(self, number: int, client: socket.socket) -> None:
        """Raises OSError where nobody waits for it any more."""
        with self._changed:
            while number == self.held or (self.held_from is not None and number >= self.held_from):
                self._changed.wait(0.2)
                client.setblocking(False)
                try:
                    if client.recv(1, socket.MSG_PEEK) == b"":
                        raise ConnectionResetError
                except BlockingIOError:
                    pass
                finally:
                    client.setblocking(True)
            self.fetched[number] += 1


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """For processes that are started within the block."""
    os.environ.update(values)
    try:
        yield
    finally:
        for name in values:
            del os.environ[name]


class TwoNodes:
    """Nodes `a` and `b`, not started."""

    def __init__(
        self,
        root: Path,
        postgres: PostgresServer,
        *,
        workers: int = 2,
        services: Sequence[str] = ("imap", "pop3"),
        legacy: str = "",
        node: Callable[..., Daemon] = Daemon,
        mounts: tuple[Path, Path] | None = None,
        **about: Any,
    ) -> None:
        """`mounts`: where either node has the disk with the Maildirs."""
        self.server = postgres
        self.database = postgres.make_database()
        self.old = OldServer()
        mails = [root / "mail"] * 2 if mounts is None else [mount / "mail" for mount in mounts]
        self.mail = mails[0]
        storage = f'[storage]\ndatabase = "{postgres.url(self.database)}"\nconnections = 5\n'
        settings: dict[str, Any] = {"migration": 'refresh = "1h"\nround = "0s"', **about}
        self.a, self.b = (
            node(
                root / name,
                f'port = {self.old.port}\ntls = "none"\n{legacy}',
                workers=workers,
                more=f'{storage}maildir = "{mail}/{{domain}}/{{local}}/Maildir"\n',
                encrypted=False,
                ports={service: free_port() for service in services},
                program=("tests.postgres.quick_node",),
                **settings,
            )
            for name, mail in zip("ab", mails, strict=True)
        )

    def start(self, *, odd: bool = True) -> None:
        """Both, with the same key. `odd`: the second one's clock is an hour ahead."""
        (self.a.root / "state").mkdir(mode=0o700)
        load_key(self.a.root / "state" / KEY)
        (self.b.root / "state").mkdir(mode=0o700)
        shutil.copy(self.a.root / "state" / KEY, self.b.root / "state" / KEY)
        self.a.start()
        if not odd:
            self.b.start()
            return
        ahead = self.b.root / "seconds"
        ahead.write_text("3600")
        with environment(PYTHONPATH=str(ODD_CLOCK), MAILFERRY_ODD_CLOCK=str(ahead)):
            self.b.start()

    def maildir(self, user: str) -> Path:
        return self.mail / "123.com" / user / "Maildir"

    def rows(self, statement: str, *about: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.server.dsn(self.database), autocommit=True) as connection:
            return connection.execute(statement, about).fetchall()  # type: ignore[call-overload, no-any-return]

    def bury(self, pid: int) -> None:
        """As if a node had said nothing for so long that the others take it for dead."""
        self.rows("UPDATE nodes SET until = 0 WHERE name LIKE %s RETURNING id", f"% ({pid})")

    def done(self, user: str) -> int:
        """Messages of an account that are entered."""
        found = self.rows(
            "SELECT count(*) FROM ledger JOIN accounts ON accounts.id = account_id "
            "WHERE local = %s AND outcome = 'stored'",
            user,
        )
        return int(found[0][0])

    def close(self) -> None:
        self.old.release()
        try:
            for node in (self.a, self.b):
                if node.process is not None:
                    node.stop()
        finally:
            for node in (self.a, self.b):
                node.kill()
            self.old.close()


class Login:
    """An IMAP login in a thread of its own."""

    def __init__(self, node: Daemon, user: str, password: str = PASSWORD) -> None:
        self.said: list[bytes] = []
        self.answer = b""
        self._connection = socket.create_connection(node.imap, timeout=WITHIN)
        self._file = self._connection.makefile("rwb")
        self._file.readline()
        self._file.write(f'a LOGIN {user}@123.com "{password}"\r\n'.encode())
        self._file.flush()
        self._thread = threading.Thread(target=self._hear, daemon=True)
        self._thread.start()

    def _hear(self) -> None:
        try:
            while line := self._file.readline():
                if line.startswith(b"a "):
                    self.answer = line
                    return
                self.said.append(line)
        except OSError:
            return

    @property
    def progress(self) -> list[bytes]:
        return [line for line in self.said if b"INPROGRESS" in line]

    def wait(self) -> bytes:
        self._thread.join(WITHIN)
        return self.answer

    def command(self, line: bytes) -> list[bytes]:
        """… and its answer, with the tagged line at the end."""
        self._file.write(b"b " + line + b"\r\n")
        self._file.flush()
        said = []
        while heard := self._file.readline():
            said.append(heard.rstrip())
            if heard.startswith(b"b "):
                return said
        raise AssertionError(f"the server closed the connection: {said}")

    def send(self, line: bytes) -> None:
        self._file.write(line + b"\r\n")
        self._file.flush()

    def line(self) -> bytes:
        return self._file.readline().rstrip()

    def close(self) -> None:
        self._file.close()
        self._connection.close()


def until(holds: Callable[[], object], what: str = "it", seconds: float = WITHIN) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"{what} does not come about"
        select_nothing(0.02)


def halt(node: Daemon, signal_number: int) -> None:
    """To the daemon and all its processes."""
    assert node.process is not None
    for pid in (node.process.pid, *children(node.process.pid)):
        os.kill(pid, signal_number)


def children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    found = [int(each) for each in path.read_text().split()] if path.exists() else []
    return found + [grand for child in found for grand in children(child)]


class NodesStage(DaemonStage):
    """One user of both nodes, with an old mailbox that is empty: each connection is to the other node than the one
    before."""

    def __init__(self, nodes: TwoNodes, user: str) -> None:
        self._nodes = nodes
        self._daemon = nodes.a
        self._user = user
        self._own = None
        self._turns = itertools.cycle((nodes.b, nodes.a))

    def connect(self, protocol: str, *, bytewise: bool = False) -> SocketWire:
        node = next(self._turns)
        return SocketWire(node.imap if protocol == "imap" else node.pop3, bytewise=bytewise)

    def credentials(self) -> tuple[bytes, bytes]:
        return f"{self._user}@123.com".encode(), PASSWORD.encode()

    def directory(self, folder: str) -> Path:
        name = folder_directory(folder)
        maildir = self._nodes.maildir(self._user)
        return maildir / name if name else maildir

    def restart(self) -> None:
        self.close()  # of the account's sessions: all begin anew
