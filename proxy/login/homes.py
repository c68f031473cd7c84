"""The mail homes that are open in this process: one for each account with a session or a move, shared by all.

Opening a home costs more than most commands, and clients come back: they log in, look, and leave. So a home that
nobody uses any more stays open for a while, as long as there are not too many of them.

The store is synchronous. Its operations are handed to threads whole, those of one account one after another in
the order in which they came (its lane); who stops waiting for an operation does not stop the operation. Brief ones
are run at once, in the reactor's thread, where the lane is free and the disk is quick.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from mailstore.errors import NotArrived, StorageCorrupt, StorageFailed, TakesLonger
from mailstore.index.folders import INBOX_ID
from mailstore.mailbox import Announce
from mailstore.mailhome import MailHome
from mailstore.opening import Mailboxes
from mailstore.refusals import storage_errors
from proxy.login.attention import Attention, Watcher
from proxy.login.awaiting import Awaiting, Wait
from proxy.login.lane import Lane
from proxy.login.payments import Payments
from proxy.login.quiet import QuietTimes
from proxy.wire.in_thread import InThread

T = TypeVar("T")

KEPT_SECONDS: Final = 60.0  # a home that nobody uses stays open so long
KEPT_MOST: Final = 200  # … if there are no more of them: each is four open files and some 100 KiB

FromThread = Callable[[Callable[[], None]], None]  # reactor.callFromThread


class Maildrops(Protocol):
    """POP3 locks among nodes that have one database (`proxy.login.nodes`)."""

    def take(self, account_id: int) -> Awaitable[bool]:
        """Is it this process's now? Raises StorageFailed."""

    def leave(self, account_id: int) -> None: ...


class _Open:
    """An account's home while somebody uses it."""

    def __init__(self, homes: Homes, account_id: int, account: str, lane: Lane) -> None:
        self._homes = homes
        self._account_id = account_id
        self.account = account
        self.lane = lane
        self.home: MailHome | None = None
        self.users = 0
        self.resting = self.searched = self.indexed = False  # see `proxy.login.quiet`
        self.ticks = 0
        self.shutting = False  # is it to be closed, unless somebody comes first?
        self.watchers: list[Announce] = []
        self.untold: list[tuple[int, int | None]] | None = None  # what a brief operation has changed, while it runs
        self.maildrop_locked = False
        self.has_maildrop: Handle | None = None  # whose POP3 lock it is
        self.awaiting = Awaiting(lambda uids, whole: homes.hurry(account_id, uids, whole), homes.clock)
        self.attention: Attention | None = None

    def wake(self) -> None:
        """Somebody asks for something."""
        self.ticks = 0
        self.resting = self.indexed = False

    @property
    def free(self) -> bool:
        return self.lane.free

    async def briefly(self, home: MailHome, operation: Callable[[MailHome], T]) -> T:
        """Run an operation here and now. What it changes is told when it has ended: whoever hears of it may come with
        an operation of his own. On a disk that is not quick, others have their turn until it has been written; not so
        where other processes have sessions of the account, who could see it before. Raises TakesLonger."""
        untold: list[tuple[int, int | None]] = []
        self.untold = untold
        owing = not self._homes.barriers.quick and self._account_id not in self._homes.shared
        try:
            try:
                value = home.briefly(operation, owing=owing)
            finally:
                self.untold = None  # before anybody else's operation can begin
            if (log := home.owes) is not None:
                with storage_errors():
                    await self.lane.hold(self._homes.payments.pay(log).addCallback(lambda _: home.paid()))
        finally:
            for folder_id, modseq in untold:
                self.changed(folder_id, modseq)
        await self.known_to_others()
        return value

    async def has_among_nodes(self) -> bool:
        """Take the POP3 lock that all nodes heed, if there are several. Raises StorageFailed."""
        maildrops = self._homes.maildrops
        if maildrops is None:
            return True
        try:
            return await maildrops.take(self._account_id)
        except BaseException:
            assert self.has_maildrop is not None
            self.has_maildrop._unlock_maildrop()
            raise

    def leave_among_nodes(self) -> None:
        if self._homes.maildrops is not None:
            self._homes.maildrops.leave(self._account_id)

    async def known_to_others(self) -> None:
        """A client that is answered may ask about it over another connection, whichever process that is in."""
        if (known := self._homes.others_know(self._account_id)) is not None:
            await known

    def changed(self, folder_id: int, modseq: int | None) -> None:
        """A folder was changed in this process."""
        self.tell(folder_id, modseq)
        self._homes.also_tell(self._account_id, folder_id)
        self._homes.tell_nodes(self._account_id, folder_id)

    def tell(self, folder_id: int, modseq: int | None = None) -> None:
        """Let this process's sessions know."""
        if folder_id == INBOX_ID:
            self.awaiting.changed()
        for changed in list(self.watchers):
            if changed in self.watchers:  # the one before may have ended it
                changed(folder_id, modseq)

    def run(self, operation: Callable[[MailHome], Any]) -> Deferred[Any]:
        """An operation that no session has asked for; nothing is done once the home is closed."""

        def on_home() -> Any:
            return operation(self.home) if self.home is not None else None

        return self.lane.run(on_home)


class Handle:
    """A `proxy.wire.door.Home`: one session's, or one move's, use of an account's home."""

    def __init__(self, opened: _Open, leave: Callable[[], None]) -> None:
        self._opened = opened
        self._leave = leave
        self._has_lost = False  # … the POP3 lock, with the connection to the database
        self._watching: list[Announce] = []
        self._attending: list[Callable[[], None]] = []
        self._holds_maildrop = False
        self._closed = False

    @property
    def account(self) -> str:
        return self._opened.account

    async def run(self, operation: Callable[[MailHome], T]) -> T:
        self._still_has_maildrop()
        return await self._with_what_it_needs(operation, self._run)

    def _still_has_maildrop(self) -> None:
        if self._has_lost:
            raise StorageFailed("the connection to the database was lost, and another session has this mailbox by now")

    async def run_briefly(self, operation: Callable[[MailHome], T]) -> T:
        return await self._with_what_it_needs(operation, self._run_briefly)

    async def _with_what_it_needs(
        self, operation: Callable[[MailHome], T], run: Callable[[Callable[[MailHome], T]], Awaitable[T]]
    ) -> T:
        """Run an operation, and again when messages have come that it needs: see `proxy.login.awaiting`."""
        wait: Wait | None = None
        while True:
            seen = self._opened.awaiting.changes
            try:
                return await run(operation)
            except NotArrived as missing:
                wait = wait or Wait(self._opened.awaiting)
                if not await wait.over(missing, seen):
                    return await self._run(lambda home: home.without_waiting(operation))

    async def _run(self, operation: Callable[[MailHome], T]) -> T:
        home = self._opened.home
        assert home is not None and not self._closed
        self._opened.wake()
        try:
            value = await self._opened.lane.run(lambda: operation(home))
        except StorageCorrupt:
            home.suspect()
            raise
        await self._opened.known_to_others()
        return value

    async def _run_briefly(self, operation: Callable[[MailHome], T]) -> T:
        home = self._opened.home
        assert home is not None and not self._closed
        self._opened.wake()
        if self._opened.lane.free and home.may_be_brief:
            try:
                return await self._opened.briefly(home, operation)
            except TakesLonger:
                pass
            except StorageCorrupt:
                home.suspect()
                raise
        return await self._run(operation)

    def watch(self, changed: Announce) -> Callable[[], None]:
        self._opened.watchers.append(changed)
        self._watching.append(changed)

        def end() -> None:
            if changed in self._watching:
                self._watching.remove(changed)
                self._opened.watchers.remove(changed)

        return end

    def attend(self, folder_id: int) -> Callable[[], None]:
        attention = self._opened.attention
        if attention is None or self._closed:
            return lambda: None
        end = attention.attend(folder_id)
        self._attending.append(end)

        def forget() -> None:
            if end in self._attending:
                self._attending.remove(end)
                end()

        return forget

    def may_search(self) -> None:
        """It is a session of the kind that searches."""
        self._opened.searched = True

    async def lock_maildrop(self) -> bool:
        opened = self._opened
        if opened.maildrop_locked:
            return self._holds_maildrop
        assert opened.home is not None
        if not opened.home.lock_maildrop():
            return False
        opened.maildrop_locked = self._holds_maildrop = True
        opened.has_maildrop = self
        if not await opened.has_among_nodes():
            self._unlock_maildrop()
            return False
        return True

    def lost_maildrop(self) -> None:
        """Somebody else has the account's POP3 lock."""
        self._has_lost = True
        self._unlock_maildrop()

    def _unlock_maildrop(self) -> None:
        opened = self._opened
        self._holds_maildrop = opened.maildrop_locked = False
        opened.has_maildrop = None
        opened.leave_among_nodes()
        if opened.home is not None:
            opened.home.unlock_maildrop()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for changed in self._watching:
            self._opened.watchers.remove(changed)
        self._watching.clear()
        for end in self._attending:
            end()
        self._attending.clear()
        if self._holds_maildrop:
            self._unlock_maildrop()
        self._leave()


def _unnoticed(*_about: int) -> None:
    """Nobody has to know."""


def _nobody_else(_account_id: int) -> None:
    """There is one process."""


def _nobody_tells(_account_id: int, _folder_id: int) -> None:
    """There is one node."""


def _anywhere(_account: str, _maildir: Path) -> None:
    """Nothing is known of it."""


def _somewhere() -> None:
    """Nothing is known of the disk."""


def _as_it_is(_account: str, _home: MailHome) -> None:
    """A home without anything of its own."""


class Homes:
    """All open homes, by account."""

    def __init__(
        self,
        engine: Mailboxes,
        *,
        in_thread: InThread,
        from_thread: FromThread,
        clock: IReactorTime | None = None,
        watcher: Watcher | None = None,
        report: Callable[..., None] = lambda _event, **_figures: None,
    ) -> None:
        """Without a clock a home is closed behind the last who leaves. `watcher` tells at once of changes in
        directories; without one they are noticed when a client asks. `report(event, **figures)` is for the log,
        called in any thread."""
        self._watcher = watcher
        self._report = report
        self._engine = engine
        self._in_thread = in_thread
        self.barriers = engine.barriers
        self.payments = Payments(in_thread, engine.barriers, time.perf_counter)
        self.shared: set[int] = set()  # accounts that other processes have sessions of
        self._from_thread = from_thread
        self.clock = self._clock = clock
        self._open: dict[int, _Open] = {}
        self.furnish: Callable[[str, MailHome], None] = _as_it_is  # called with each home that is opened, in a thread
        self.expect: Callable[[str, Path], None] = (
            _anywhere  # … before it is: raises StorageFailed where it is not there
        )
        self.also_tell: Callable[[int, int], None] = _unnoticed  # called with each change made here: account, folder
        self.there: Callable[[], None] = _somewhere  # raises StorageFailed where the disk with all Maildirs is away
        self.tell_nodes: Callable[[int, int], None] = _nobody_tells  # the same, for those of other nodes
        self.maildrops: Maildrops | None = None
        self.now: Callable[[], float] = time.time  # the time of day that all nodes go by
        # What fires when other processes know of all changes made here to an account; None where they do.
        self.others_know: Callable[[int], Deferred[None] | None] = _nobody_else
        # Called with an account, UIDs and whether the whole messages are needed: they are to be fetched next.
        self.hurry: Callable[[int, Collection[int], bool], None] = self._nobody_fetches
        self.also_in_vain: Callable[[int], None] = _unnoticed  # called with each account of which nothing comes
        self._kept: OrderedDict[int, tuple[_Open, float]] = OrderedDict()  # unused, and closed when; the next first
        self._closing: IDelayedCall | None = None
        self._ending = False
        self._quiet = None if clock is None else QuietTimes(clock, self._open.values, report)

    async def open(
        self, account_id: int, account: str, maildir: Path, closed: Callable[[], None] = _unnoticed
    ) -> Handle:
        """A handle on an account's home, opened if it is not. Close it; `closed` is called then. Raises
        StorageFailed."""
        kept = account_id in self._kept
        if kept:
            self._open[account_id], _ = self._kept.pop(account_id)
        opened = self._open.get(account_id)
        if opened is not None and opened.home is not None and opened.home.damaged:
            opened = None  # who still has it is on the way out
        if opened is None:
            opened = self._open[account_id] = _Open(self, account_id, account, Lane(self._in_thread))
            self._make_attentive(opened)
        opened.users += 1
        opened.wake()
        if self._quiet is not None:
            self._quiet.begin()

        def left() -> None:
            self._left(account_id, opened)
            closed()

        handle = Handle(opened, left)
        if kept:
            return handle
        try:
            await opened.lane.run(lambda: self._ready(account_id, opened, maildir))
        except BaseException:
            handle.close()
            raise
        return handle

    async def closed(self) -> None:
        """Close the homes that nobody uses any more, and wait until they are. From now on none is kept: who was on the
        way to one finds out now that it is in vain."""
        self._ending = True
        while self._kept:
            self._close_next()
        self._plan_closing()
        for opened in list(self._open.values()):
            await opened.lane.run(lambda: None)
        while shutting := [opened for opened in self._open.values() if opened.shutting]:
            for opened in shutting:
                await opened.lane.run(lambda: None)
        if self._quiet is not None:
            self._quiet.stop()

    def _ready(self, account_id: int, opened: _Open, maildir: Path) -> None:
        if opened.home is None:
            self.expect(opened.account, maildir)
            home = MailHome(
                self._engine,
                account_id,
                maildir,
                announce=lambda folder, modseq=None: self._announce(opened, folder, modseq),
                clock=self.now,
                report=lambda event, **figures: self._report(event, account=opened.account, **figures),
                there=self.there,
            )
            try:
                self.furnish(opened.account, home)
            except BaseException:
                home.close()
                raise
            opened.home = home

    def _make_attentive(self, opened: _Open) -> None:
        if self._watcher is None:
            return

        def run(operation: Callable[[MailHome], Any]) -> Deferred[Any]:
            opened.wake()
            return opened.run(operation)

        opened.attention = Attention(self._watcher, run, self._report)

    def _announce(self, opened: _Open, folder_id: int, modseq: int | None) -> None:
        """Called in whichever thread made the change."""
        if opened.untold is not None:
            opened.untold.append((folder_id, modseq))
        else:
            self._from_thread(lambda: opened.changed(folder_id, modseq))

    def tell(self, account_id: int, folder_id: int) -> None:
        """Another process has changed a folder of an account."""
        opened = self._open.get(account_id)
        if opened is not None:
            opened.tell(folder_id)

    def attended(self) -> list[int]:
        """The accounts whose sessions want to know of changes."""
        return [account_id for account_id, opened in self._open.items() if opened.watchers]

    def lost_maildrop(self, account_id: int) -> None:
        """This process's POP3 lock of an account is somebody else's now."""
        opened = self._open.get(account_id)
        if opened is not None and opened.has_maildrop is not None:
            opened.has_maildrop.lost_maildrop()

    def in_vain(self, account_id: int) -> None:
        """Nothing of an account's old mailbox comes at the moment: who waits for some of it is told so."""
        opened = self._open.get(account_id)
        if opened is not None:
            opened.awaiting.in_vain()
        self.also_in_vain(account_id)

    def ask_anew(self, account: str | None) -> None:
        """Whatever moved this account does so no more, or that of some account if it is not named: who waits for mail
        of it asks for it once more."""
        for opened in list(self._open.values()):
            if opened.awaiting.waits and account in {None, opened.account}:
                opened.awaiting.ask_anew()

    def has_sessions(self, account_id: int) -> bool:
        """… in this process. A move has none."""
        opened = self._open.get(account_id)
        return opened is not None and bool(opened.watchers)

    def _nobody_fetches(self, account_id: int, _uids: Collection[int], _whole: bool) -> None:
        """There are no moves."""
        self.in_vain(account_id)

    def settled(self, account_id: int) -> Deferred[None]:
        """Fires when nothing is under way on the account that was when it was called."""
        opened = self._open.get(account_id)
        return succeed(None) if opened is None else opened.lane.run(lambda: None)

    def _left(self, account_id: int, opened: _Open) -> None:
        opened.users -= 1
        if opened.users:
            return
        keeping = self._clock is not None and not self._ending
        if not keeping or opened.home is None or opened.home.damaged or opened.shutting:
            self._close(account_id, opened)
            return
        assert self._clock is not None
        del self._open[account_id]
        self._kept[account_id] = opened, self._clock.seconds() + KEPT_SECONDS
        if len(self._kept) > KEPT_MOST:
            self._close_next()
        self._plan_closing()

    def _plan_closing(self) -> None:
        """Have the timer run while homes are kept, and only then."""
        if self._closing is not None and not self._kept:
            self._closing.cancel()
            self._closing = None
        elif self._closing is None and self._kept and self._clock is not None:
            _, due = next(iter(self._kept.values()))
            self._closing = self._clock.callLater(max(0.0, due - self._clock.seconds()), self._close_due)

    def _close_due(self) -> None:
        self._closing = None
        assert self._clock is not None
        now = self._clock.seconds()
        while self._kept and next(iter(self._kept.values()))[1] <= now:
            self._close_next()
        self._plan_closing()

    def _close_next(self) -> None:
        account_id, (opened, _) = self._kept.popitem(last=False)
        self._open[account_id] = opened  # who comes while it is being closed waits for it
        self._close(account_id, opened)

    def _close(self, account_id: int, opened: _Open) -> None:
        opened.shutting = True
        opened.lane.run(lambda: self._shut(opened)).addBoth(lambda _result: self._forget(account_id, opened))

    def _shut(self, opened: _Open) -> None:
        if opened.users == 0 and opened.home is not None:
            opened.home.close()
            opened.home = None

    def _forget(self, account_id: int, opened: _Open) -> None:
        opened.shutting = False
        if opened.users == 0 and self._open.get(account_id) is opened:
            del self._open[account_id]
