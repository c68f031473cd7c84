"""An old mailbox under a test's control, and threads that are none: a move runs where it stands, on a clock."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from mailstore.entries import Entry, Listed, Sums
from mailstore.index.folders import INBOX_ID
from mailstore.mailbox import Announce
from mailstore.mailbox_database import MailboxEngine
from mailstore.mailhome import MailHome
from mailstore.message.arrival import header_end
from mailstore.old_folders import OldFolder
from proxy.migration.move import Move, Terms
from proxy.migration.source import Receiver, SourceLost
from proxy.migration.weighing import Exactness
from tests.memory import in_memory

T = TypeVar("T")

NOW = 1_700_000_000
ALWAYS = 1_000_000


def folder(case: SynchronousTestCase | TestCase) -> Path:
    """A directory for the length of a test."""
    directory = tempfile.TemporaryDirectory(dir=in_memory())
    case.addCleanup(directory.cleanup)
    return Path(directory.name)


def direct(function: Callable[..., T], *arguments: Any) -> Deferred[T]:
    """A thread that is none."""
    return maybeDeferred(function, *arguments)


class Threads:
    """Threads that work when they are told to, so that a test decides what overlaps."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[Callable[..., Any], tuple[Any, ...], Deferred[Any]]] = deque()

    def __call__(self, function: Callable[..., T], *arguments: Any) -> Deferred[T]:
        result: Deferred[T] = Deferred()
        self.waiting.append((function, arguments, result))
        return result

    @property
    def names(self) -> list[str]:
        return [getattr(function, "__name__", "?") for function, _, _ in self.waiting]

    def work(self, at: int = 0) -> None:
        """One of those waiting does its work."""
        function, arguments, result = self.waiting[at]
        del self.waiting[at]
        maybeDeferred(function, *arguments).chainDeferred(result)

    def work_off(self) -> None:
        while self.waiting:
            self.work()


def mail(number: int, size: int = 0) -> bytes:
    text = f"Subject: message {number}\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\n\r\nbody {number}\r\n".encode()
    return text + b"x" * max(0, size - len(text))


@dataclass
class Old:
    """A message as the legacy server has it."""

    uidl: str
    data: bytes
    octets: int | None = None  # what LIST announces, if not the truth


@dataclass
class OldMailbox:
    """The legacy side of one account, and everything that goes wrong there."""

    box: list[Old] = field(default_factory=list)
    breaks: dict[str, int] = field(default_factory=dict)  # by UIDL: how often the connection breaks in mid-message
    refusals: dict[str, int] = field(default_factory=dict)  # by UIDL: how often RETR is answered -ERR
    top: bool = True  # does the server show headers?
    lists_broken: int = 0  # how often the connection breaks at LIST
    no_way_in: deque[Exception] = field(default_factory=deque)  # what the next openings fail with
    large: int = 4096  # from this size on a message comes in pieces
    piece: int = 1000
    held: Mapping[str, Deferred[None]] = field(default_factory=dict)  # by UIDL: the server waits for it first
    openings: int = 0
    opening: Deferred[None] | None = None  # a new connection waits for it first
    fetched: list[tuple[str, ...]] = field(default_factory=list)  # UIDLs, one tuple a call
    headers: int = 0  # how many headers were asked for
    sources: list[ScriptedSource] = field(default_factory=list)

    def add(self, *numbers: int, size: int = 0) -> None:
        self.box += [Old(f"u{number}", mail(number, size)) for number in numbers]

    def remove(self, uidl: str) -> None:
        self.box = [old for old in self.box if old.uidl != uidl]

    def connect(self) -> ScriptedSource:
        source = ScriptedSource(self)
        self.sources.append(source)
        return source

    async def reopen(self) -> ScriptedSource:
        self.openings += 1
        if self.opening is not None:
            await self.opening
        if self.no_way_in:
            raise self.no_way_in.popleft()
        return self.connect()


class ScriptedSource:
    """One connection, a `Source`."""

    def __init__(self, mailbox: OldMailbox) -> None:
        self.mailbox = mailbox
        self.listed: list[Old] = []
        self.remarks: list[str] = []
        self.over = False
        self.closed = False
        self.flow: list[str] = []  # "pause" and "resume"
        self._waiting: Deferred[None] | None = None

    @property
    def folders(self) -> Sequence[OldFolder]:
        return ()

    def begin(self, *, whole: bool = False) -> None: ...

    async def list(self) -> Sequence[Listed]:
        self._alive(None)
        if self.mailbox.lists_broken:
            self.mailbox.lists_broken -= 1
            raise SourceLost("reset at LIST")
        self.listed = list(self.mailbox.box)
        return [
            Listed(n, old.uidl, len(old.data) if old.octets is None else old.octets)
            for n, old in enumerate(self.listed, 1)
        ]

    exactness = Exactness(approximate=True)  # what it lists need not be true

    async def prove(self) -> None:
        self._alive(None)

    async def fetch(self, wanted: Sequence[tuple[int, Entry]], receiver: Receiver, *, one_by_one: bool = False) -> None:
        if not wanted:
            return
        olds = [self.listed[position - 1] for position, _ in wanted]
        self.mailbox.fetched.append(tuple(old.uidl for old in olds))
        assert not one_by_one or len(wanted) == 1
        for old, (_, entry) in zip(olds, wanted, strict=True):
            await self._hold(old.uidl, entry)
            self._give(old, entry, receiver)

    async def _hold(self, uidl: str, entry: Entry) -> None:
        self._alive(entry)
        held = self.mailbox.held.get(uidl)
        if held is not None and not held.called:
            self._waiting = Deferred()
            held.addCallback(lambda _: self._go_on())
            await self._waiting
        self._alive(entry)

    def _go_on(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    def _alive(self, entry: Entry | None) -> None:
        if self.over:
            raise SourceLost("the connection was given up", entry)

    def _give(self, old: Old, entry: Entry, receiver: Receiver) -> None:
        if self._happens(self.mailbox.refusals, old.uidl):
            receiver.refused(entry, "no such message")
            return
        breaks = self._happens(self.mailbox.breaks, old.uidl)
        if len(old.data) >= self.mailbox.large:
            step = self.mailbox.piece
            receiver.begin(entry)
            for at in range(0, len(old.data) // 2 if breaks else len(old.data), step):
                receiver.piece(old.data[at : at + step])
            if not breaks:
                receiver.end()
        elif not breaks:
            receiver.message(entry, old.data)
        if breaks:
            self.over = True
            raise SourceLost(f"reset in {old.uidl}", entry)

    @staticmethod
    def _happens(counts: dict[str, int], uidl: str) -> bool:
        left = counts.get(uidl, 0)
        if left:
            counts[uidl] = left - 1
        return left > 0

    async def headers(self, positions: Sequence[int], take: Callable[[int, bytes], None]) -> None:
        self._alive(None)
        self.mailbox.headers += len(positions)
        for position in positions if self.mailbox.top else ():
            data = self.listed[position - 1].data
            take(position, data[: header_end(data)])

    def pause(self) -> None:
        self.flow.append("pause")

    def resume(self) -> None:
        self.flow.append("resume")

    async def close(self) -> None:
        self.closed = self.over = True

    def abort(self) -> None:
        self.over = True
        self._go_on()


class DirectHome:
    """A `proxy.wire.door.Home` whose operations are run where they stand."""

    account = "user@123.com"

    def __init__(self, mailhome: MailHome) -> None:
        self.mail = mailhome
        self.closed = False

    async def run(self, operation: Callable[[MailHome], T]) -> T:
        assert not self.closed
        return await succeed(operation(self.mail))

    def watch(self, changed: Announce) -> Callable[[], None]:
        raise NotImplementedError("a move watches nothing")

    def attend(self, folder_id: int) -> Callable[[], None]:
        return lambda: None

    async def lock_maildrop(self) -> bool:
        raise NotImplementedError("a move locks nothing")

    def close(self) -> None:
        self.closed = True


class MigrationTestCase(SynchronousTestCase):
    """An empty account here, an old mailbox there, a clock, and moves between them."""

    def setUp(self) -> None:
        self.root = folder(self)
        self.clock = Clock()
        self.now = NOW  # of the store
        self.old = OldMailbox()
        self.engine = MailboxEngine()
        self.announced: list[int] = []
        self.reports: list[tuple[str, dict[str, object]]] = []  # for the administrator
        self.mail = self.open_mail()
        self.home = DirectHome(self.mail)
        self.told: list[Sums] = []

    def open_mail(self) -> MailHome:
        opened = MailHome(
            self.engine,
            1,
            self.root / "Maildir",
            announce=lambda folder_id, _modseq=None: self.announced.append(folder_id),
            clock=lambda: self.now,
            report=lambda event, **figures: self.reports.append((event, figures)),
        )
        self.addCleanup(opened.close)
        return opened

    def move(self, *, first: bool = True, in_thread: Any = direct, seen: str = "headers") -> Move:
        return Move(
            self.home,
            self.old.connect(),
            self.old.reopen,
            Terms(first, seen),
            in_thread=in_thread,
            clock=self.clock,
            told=self.told.append,
        )

    def begin(self, move: Move) -> Deferred[Sums]:
        return Deferred.fromCoroutine(move.run())

    def carry(self, *, first: bool = True, seconds: float = 600) -> Sums:
        """A whole move; as much time goes by as it wants."""
        running = self.begin(self.move(first=first))
        self.let_pass(seconds)
        return self.successResultOf(running)

    def let_pass(self, seconds: float) -> None:
        self.clock.pump([0.5] * int(seconds * 2))

    def later(self, seconds: int) -> None:
        """Time goes by while nothing happens."""
        self.now += seconds

    # What is here now

    def stored(self) -> list[bytes]:
        """The INBOX's messages by UID."""
        return [self.bytes_of(row.uid) for row in self.mail.maildrop()]

    def bytes_of(self, uid: int) -> bytes:
        with self.mail.open(INBOX_ID, uid) as content:
            return bytes(content.whole())

    def uids(self) -> list[int]:
        return [row.uid for row in self.mail.maildrop()]

    def uidls(self) -> list[str]:
        return [row.uidl for row in self.mail.maildrop()]

    def ledger(self) -> dict[str, str]:
        return {entry.uidl: entry.outcome.value for entry in self.mail.ledger.entries()}

    def entry(self, uidl: str) -> Entry:
        (found,) = (entry for entry in self.mail.ledger.entries() if entry.uidl == uidl)
        return found

    def assert_stored(self, *expected: bytes) -> None:
        """The INBOX is just this. Says which messages differ, and spares us their bytes."""
        stored = self.stored()
        self.assertEqual(len(stored), len(expected))
        self.assertEqual([n for n, (a, b) in enumerate(zip(stored, expected, strict=True), 1) if a != b], [])

    def files(self, directory: str) -> list[str]:
        return sorted(path.name for path in (self.root / "Maildir" / directory).iterdir())
