"""A daemon as a process of its own, which can be killed and begun again, and what is in its state directory then."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from mailstore.accounts import Account, Accounts
from mailstore.database import AccountsDatabase
from mailstore.entries import Outcome
from mailstore.mailbox_database import MailboxEngine
from mailstore.mailhome import MailHome, opened
from tests.faults.standing import PASSWORD
from tests.legacy.dovecot import free_port
from tests.legacy.server import unique_id
from tests.mailstore.store_rig import bodies, check_whole, debris, put_in_place
from tests.memory import in_memory

LONG = 60.0  # seconds after which whatever is waited for will not come


class Nursery:
    """See `tests.faults.nursery`. Use as a context."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.faults.nursery"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._read()

    def __enter__(self) -> Nursery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=LONG)

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the nursery has ended"
        return line

    def begin(self, config: Path, log: Path, *, stopped: bool, alone: bool) -> int:
        assert self._process.stdin is not None
        how = f"{'stopped ' if stopped else ''}{'alone' if alone else ''}"
        self._process.stdin.write(f"{config} {log} {how}\n")
        self._process.stdin.flush()
        return int(self._read())


@dataclass(frozen=True, slots=True)
class Told:
    """What the store said was here, at a moment."""

    stored: frozenset[int]  # positions in the old mailbox
    status: tuple[int, int]  # messages done and total, as `status` shows them


class Ferry:
    """One state directory, and the daemon over it, where one is running. Use as a context."""

    def __init__(self, root: Path, nursery: Nursery, legacy_port: int, password: str = PASSWORD) -> None:
        self.root = root
        self._password = password
        self.port = free_port()
        self.log = root / "log"
        self.pid = 0
        self._nursery = nursery
        self._gone = -1
        self._config = root / "mailferry.toml"
        self._config.write_text(
            f'hostname = "localhost"\nstate = "{root}/state"\nworkers = 1\n'
            f'[listen]\npop3 = ["tcp:{self.port}:interface=127.0.0.1"]\n'
            f'[domain."123.com".legacy]\nhost = "127.0.0.1"\nport = {legacy_port}\ntls = "none"\n'
        )

    def __enter__(self) -> Ferry:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    # The process

    def start(self, *, stopped: bool = False, alone: bool = False) -> None:
        """Begin it, and wait until it listens; a `stopped` one waits for SIGCONT. `alone`: with no process that writes
        for it, so that all is in one."""
        self.pid = self._nursery.begin(self._config, self.log, stopped=stopped, alone=alone)
        self._gone = os.pidfd_open(self.pid)
        if not stopped:
            self.listens()

    def listens(self) -> bool:
        """Wait until it does; False when it has ended before."""
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), LONG).close()
            except OSError:
                if self.ended(0.02):
                    return False
            else:
                return True

    def ended(self, seconds: float = LONG) -> bool:
        """Has it ended, or does it within so long?"""
        return bool(select.select([self._gone], [], [], seconds)[0])

    def kill(self) -> None:
        """SIGKILL, if it still runs."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM: it ends in good order."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if not self.pid:
            return
        own = [self._gone, *self._of_its_own()]
        if not self.ended(0):
            os.kill(self.pid, how)
        for each in own:
            assert select.select([each], [], [], LONG)[0], f"it does not end:\n{self.log.read_text()}"
            os.close(each)
        self.pid, self._gone = 0, -1

    def _of_its_own(self) -> list[int]:
        found = []
        for pid in self.children():
            with contextlib.suppress(ProcessLookupError):
                found.append(os.pidfd_open(pid))
        return found

    def children(self) -> list[int]:
        """The processes that it has begun."""
        try:
            return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]
        except OSError:
            return []

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """It and its own processes, for the length of the block."""
        processes = [self.pid, *self.children()]
        for pid in processes:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in processes:
                os.kill(pid, signal.SIGCONT)

    # Its clients

    def login(self, user: str = "user") -> bytes:
        """The answer to PASS, whole, or what came of it."""
        said = b""
        try:
            with socket.create_connection(("127.0.0.1", self.port), LONG) as client:
                client.sendall(f"USER {user}@123.com\r\nPASS {self._password}\r\n".encode())
                while said.count(b"\n") < 3 and (some := client.recv(4096)):
                    said += some
        except OSError:
            pass
        return [*said.split(b"\r\n"), b"", b"", b""][2]

    # The state directory

    @property
    def maildir(self) -> Path:
        return self.root / "state" / "mail" / "123.com" / "user" / "Maildir"

    def account(self) -> Account | None:
        return _account(self.root / "state")

    def told(self) -> Told:
        """What is past a barrier, from what a process that was killed has left: a copy of it, so that nothing is put in
        order before the next daemon comes."""
        with tempfile.TemporaryDirectory(dir=in_memory()) as directory:
            state = Path(directory) / "state"
            put_in_place(self.root / "state", state)
            account = _account(state)
            maildir = state / self.maildir.relative_to(self.root / "state")
            if account is None or not maildir.with_name("Maildir.db").exists():
                return Told(frozenset(), (0, 0))
            with opened(MailboxEngine(), account.id, maildir) as home:
                stored = frozenset(e.position for e in home.ledger.entries() if e.outcome is Outcome.STORED)
                assert len(list(home.maildrop())) == len(stored) == len(bodies(home))  # each of them can be read
                return Told(stored, (account.messages_done, account.messages_total))

    def check(self, messages: Sequence[bytes], *, passing: bool = False) -> None:
        """All of the old mailbox is here once, byte for byte, in order; files and index agree, nothing else lies
        about, but, if `passing`, in `tmp`, and directories that the next opening makes folders. No daemon runs."""
        self.check_mail([(unique_id(message), message) for message in messages], passing=passing)

    def check_mail(self, messages: Sequence[tuple[bytes, bytes]], *, passing: bool = False) -> None:
        """The same, of UIDLs and messages."""
        account = self.account()
        assert account is not None and account.state == "moved", account
        assert (account.messages_done, account.messages_total, account.reason) == (len(messages), len(messages), "")
        with opened(MailboxEngine(), account.id, self.maildir) as home:
            check_contents(home, messages, passing=passing)


def _account(state: Path) -> Account | None:
    database = AccountsDatabase(state / "accounts.db")
    try:
        return Accounts(database).find("user", "123.com")
    finally:
        database.close()


def check_contents(home: MailHome, messages: Sequence[tuple[bytes, bytes]], *, passing: bool = False) -> None:
    here = list(bodies(home).values())
    assert len(here) == len(messages)
    assert [n for n, (a, (_, b)) in enumerate(zip(here, messages, strict=True), 1) if a != b] == []
    assert [row.uidl.encode() for row in home.maildrop()] == [uidl for uidl, _ in messages]
    check_whole(home)
    left = [path for path in debris(home) if not (passing and (": tmp/" in path or path[0] == "."))]
    assert left == [], left
