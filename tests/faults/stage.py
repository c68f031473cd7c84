"""Where faults of a whole installation are played: a daemon with its workers, an old server, bystanders whose service
is to go on, and what the processes take meanwhile."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from mailstore import secrets
from mailstore.accounts import Accounts
from mailstore.database import AccountsDatabase
from tests.faults.standing import StandingServer
from tests.legacy.dovecot import select_nothing
from tests.legacy.threaded import ThreadedServer
from tests.peers.daemon import Daemon

STAYERS: Final = ("stayer0", "stayer1")
CALLERS: Final = 100
PASSWORD: Final = b"pass"
OLD: Final = [b"Subject: %d\r\n\r\n" % n + b"An old line.\r\n" * 20 for n in range(1, 21)]
LONG: Final = 90.0  # seconds
_HERE: Final = b"From: a@example.org\r\nSubject: here\r\n\r\n" + b"A line.\r\n" * 60
_MESSAGES: Final = 5


class Helper:
    """A process that is told when to go on, and tells in lines of JSON."""

    def __init__(self, module: str, *arguments: str) -> None:
        command = [sys.executable, "-m", module, *arguments]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def hear(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "it has ended"
        return json.loads(line)

    def until(self, said: Any) -> None:
        """Wait until it says so."""
        while self.hear() != said:
            pass

    def end(self) -> Any:
        """What it says in the end."""
        out, _ = self._process.communicate(timeout=LONG * 3)
        assert self._process.returncode == 0
        return json.loads(out.splitlines()[-1])

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


@dataclass
class Bystood:
    """What bystanders had of it."""

    answers: list[tuple[str, str, float, str]]
    stored: list[str]
    unsure: list[str]
    refusals: dict[str, int]

    def seconds(self, when: str, *whats: str) -> list[float]:
        """Of what was answered well, then."""
        return sorted(s for happening, what, s, came in self.answers if happening == when and came == "ok"
                      and (not whats or what in whats))  # fmt: skip

    def median(self, when: str, *whats: str) -> float:
        took = self.seconds(when, *whats)
        return statistics.median(took) if took else float("nan")

    def slowest(self, when: str) -> float:
        return max((s for happening, _, s, _ in self.answers if happening == when), default=float("nan"))

    def outcomes(self, when: str) -> Counter[str]:
        return Counter(came for happening, *_, came in self.answers if happening == when)


@dataclass
class Taken:
    """What the daemon and its workers have of the machine."""

    memory: int = 0  # MiB
    descriptors: int = 0
    sockets: int = 0
    processor: float = 0.0  # seconds, since the beginning


@dataclass
class Stage:
    """Use as a context: the daemon runs within. `old` is where it looks for old mailboxes."""

    root: Path
    workers: int = 2
    connections: int = 20
    old: ThreadedServer | None = None
    more: str = ""
    migration: str = 'refresh = "1d"\nround = "0s"'
    finals: Sequence[str] = ()  # further users whose mail is here already
    messages: Sequence[bytes] = (_HERE,) * _MESSAGES  # of each of them
    environment: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self.legacy = StandingServer(OLD)
        port = (self.old or self.legacy).port
        legacy = f'port = {port}\ntls = "none"\nconnections = {self.connections}'
        self.daemon = Daemon(self.root, legacy, migration=self.migration, workers=self.workers, more=self.more)
        self.callers = [f"caller{number}" for number in range(CALLERS)]
        self._settle([*STAYERS, *self.callers, *self.finals])
        before = {name: os.environ.get(name) for name in self.environment}
        os.environ.update(self.environment)
        try:
            self.daemon.start()
            assert self.until(lambda: self.workers == 1 or len(self.worker_processes()) == self.workers)
        except BaseException:
            self.__exit__()
            raise
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
        return self

    def __exit__(self, *_exception: object) -> None:
        try:
            self.daemon.stop()
        finally:
            self.legacy.close()

    def _settle(self, users: Sequence[str]) -> None:
        """Accounts that are final, with their mail."""
        state = self.root / "state"
        state.mkdir(mode=0o700)
        database = AccountsDatabase(state / "accounts.db")
        accounts, hashed = Accounts(database), secrets.hash_password(PASSWORD)
        for user in users:
            account = accounts.add(user, "123.com")
            accounts._change(account.id, password_hash=hashed, state="final", messages_done=_MESSAGES)
            maildir = self.daemon.maildir(user)
            for name in ("cur", "new", "tmp"):
                (maildir / name).mkdir(parents=True)
            messages = self.messages if user in self.finals else (_HERE,) * _MESSAGES
            for number, message in enumerate(messages):
                (maildir / "new" / f"{1_600_000_000 + number}.M{number}P1.here").write_bytes(message)
        database.close()

    # The processes

    @property
    def pid(self) -> int:
        assert self.daemon.process is not None
        return self.daemon.process.pid

    def processes(self) -> list[int]:
        """The daemon, and those that it has begun."""
        return [self.pid, *map(int, Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split())]

    def worker_processes(self) -> list[int]:
        return [pid for pid in self.processes() if b"proxy.daemon.worker" in _read(f"/proc/{pid}/cmdline")]

    def taken(self) -> Taken:
        taken = Taken()
        for pid in self.processes():
            status = _read(f"/proc/{pid}/status").decode()
            taken.memory += sum(int(row.split()[1]) // 1024 for row in status.splitlines() if row.startswith("VmRSS"))
            ends = [_link(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
            taken.descriptors += len(ends)
            taken.sockets += sum(end.startswith("socket:") for end in ends)
            taken.processor += processor_of(pid)
        return taken

    def until(self, true: Any, seconds: float = LONG) -> bool:
        """Did it become so in time?"""
        end = time.monotonic() + seconds
        while not true():
            if time.monotonic() > end:
                return False
            select_nothing(0.05)
        return True

    def warnings(self) -> Counter[str]:
        """Lines of the log that are not only for information, by their event."""
        found: Counter[str] = Counter()
        for text in self.daemon.log.splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                found["broken line"] += 1
                continue
            if line["level"] not in {"info", "debug"}:
                found[line["event"]] += 1
        return found

    # Those who use it

    @contextmanager
    def bystanders(self, callers: Sequence[str] | None = None) -> Iterator[Helper]:
        ports = self.daemon.ports
        who = (",".join(STAYERS), ",".join(callers or self.callers))
        helper = Helper("tests.faults.bystanding", str(ports["imaps"]), str(ports["pop3s"]), str(self.daemon.ca), *who)
        try:
            yield helper
        finally:
            helper.kill()

    @contextmanager
    def storm(self, kind: str, count: int, port: str = "imap", **more: Any) -> Iterator[Helper]:
        told = {"port": self.daemon.ports[port], "ca": str(self.daemon.ca), "count": count} | more
        helper = Helper("tests.faults.storming", kind, json.dumps(told))
        try:
            yield helper
        finally:
            helper.kill()

    def kept(self) -> Counter[str]:
        """How often each message of the bystanders is here."""
        found: Counter[str] = Counter()
        for user in STAYERS:
            for folder in ("cur", "new"):
                for path in (self.daemon.maildir(user) / folder).iterdir():
                    head = path.read_bytes().partition(b"\r\n\r\n")[0]
                    found.update(
                        line[13:-1].decode() for line in head.split(b"\r\n") if line.startswith(b"Message-ID: <")
                    )
        return found


def processor_of(pid: int) -> float:
    """Seconds of processor time that a process has taken."""
    stat = _read(f"/proc/{pid}/stat").rpartition(b") ")[2].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK") if stat else 0.0


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""
