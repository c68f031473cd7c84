"""Which node moves an account, as the gate and the mover ask it: `mailstore.leases` for this process.

    take ──→ Tenure: this node has the account, until all who took it have left
     │
     └─────→ MovesElsewhere: another node moves it, or asks its legacy server; `wait` until that is over, or may be

With one node, SQLite's, there is nobody else: `Alone` says yes to everything, and costs nothing.

A node says every few seconds that it is there. One that could not for too long, because it was stopped, or the database
could not be reached, has lost all its accounts: whatever it is at with them ends, others go on with them at the last
barrier, and it is a new node from then on. What it writes meanwhile is refused (`Tenure.fence`).
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from mailstore import leases, membership, said_no
from mailstore.accounts import Account, Accounts, State
from mailstore.database import AccountsDatabase
from mailstore.errors import MailstoreError, StorageFailed
from mailstore.leases import Elsewhere, Fence, Lease
from mailstore.mailhome import MailHome
from mailstore.telling import in_one
from proxy.login.names import Name
from proxy.login.nodes import DEAD, FREE, Nodes
from proxy.login.outcomes import Log
from proxy.login.throttle import FAILURE_SECONDS
from proxy.wire.door import Hold, Home
from proxy.wire.faults import kind, where
from proxy.wire.in_thread import InThread

T = TypeVar("T")

EVERY: Final = 5.0  # seconds between two times that a node says that it is there
LONG: Final = 20.0  # … after which it is dead to the others
LOOK: Final = 1.0  # seconds until a login that waits for a move on another node looks there again; then twice as long
SELDOM: Final = 5.0  # … and at most so long, since news wakes it: with it a dead node is replaced within 30 s
LOOKS: Final = 50  # … of one node in a second: where more accounts are waited for, each is looked at less often


class MovesElsewhere(Exception):
    """Another node has the account: it moves it, or asks its legacy server."""

    def __init__(self, node: str) -> None:
        super().__init__(f"{node} moves this account at the moment")
        self.node = node


@dataclass(eq=False)
class Tenure:
    """One account that this node has. Who took it leaves it."""

    name: Name
    lease: Lease | None  # None: there are no other nodes
    leave: Callable[[], None]
    lost: Callable[[], None] = lambda: None  # called when another node may have it

    @property
    def fence(self) -> Fence | None:
        """What has to be asked in every transaction that is for its move."""
        return None if self.lease is None else self.lease.holds

    @property
    def number(self) -> int:
        """Higher than of any node that had the account before; 0: there is none."""
        return 0 if self.lease is None else self.lease.fence


Enough = Callable[[Account], Awaitable[bool]]


class Leasing(Protocol):
    """What the gate and the mover need."""

    several: bool  # may there be other nodes?

    async def take(self, name: Name) -> Tenure:
        """In the account's turn. Raises MovesElsewhere, StorageFailed."""

    async def wait(self, name: Name, seen: Account | None, hold: Hold, enough: Enough) -> None:
        """Until it is worth trying again: nobody has the account any more, it is not what was `seen` of it, or what is
        here of it is `enough`. How far the move elsewhere is, is in `hold` meanwhile. Raises StorageFailed."""

    def look(self, lease: Lease) -> None:
        """In a thread: is it still ours? Raises LeaseLost, StorageFailed."""


def differ(seen: Account | None, account: Account | None) -> bool:
    """Is there something new that decides about a login?"""
    return _decides(seen) != _decides(account)


def _decides(account: Account | None) -> tuple[State, str | None] | None:
    return None if account is None else (account.state, account.password_hash)


def _milliseconds() -> int:
    return int(LONG * 1000)


def _joined(connection: Connection, former: int | None, name: str) -> int:
    """The number of a new node."""
    if former is not None:
        membership.leave(connection, former)
    return membership.join(connection, name, _milliseconds())


class _Beat(NamedTuple):
    lives: bool  # does the node live on?
    kept: set[int]  # its leases that it still has
    dead: list[str]  # others that were found dead
    nodes: int  # that there are


def _beaten(connection: Connection, node: int, fences: list[int], owed: dict[Name, int | None]) -> _Beat:
    lives = membership.renew(connection, node, _milliseconds())
    for name, fence in owed.items():
        leases.forget(connection, node, name.domain, name.local, fence)
    dead = membership.bury(connection)
    membership.sweep(connection)
    said_no.sweep(connection, FAILURE_SECONDS)
    return _Beat(lives, leases.kept(connection, node, fences), dead, len(membership.every(connection)))


class Alone:
    """There is one node."""

    several = False

    async def take(self, name: Name) -> Tenure:
        return Tenure(name, None, _nothing)

    async def wait(self, name: Name, seen: Account | None, hold: Hold, enough: Enough) -> None:
        raise AssertionError("nobody else has it")

    def look(self, lease: Lease) -> None:
        raise AssertionError("there are no leases")


def _nothing() -> None:
    """Nobody else wants it."""


@dataclass(eq=False)
class _Held:
    """A lease of this node."""

    name: Name
    lease: Lease
    users: list[Tenure] = field(default_factory=list)


class _Look(NamedTuple):
    """At an account that another node has."""

    holder: str | None
    account: Account | None


class Leased:
    """There may be others. `reactor` is Twisted's."""

    several = True

    def __init__(
        self,
        nodes: Nodes,
        database: AccountsDatabase,
        accounts: Accounts,
        *,
        reactor: Any,
        in_thread: InThread,
        log: Log,
    ) -> None:
        self._nodes = nodes
        self._database = database
        self._accounts = accounts
        self._reactor = reactor
        self._in_thread = in_thread
        self._log = log
        self.name = f"{membership.here()}{os.getpid()})"
        self._node: int | None = None
        self._former: int | None = None  # the number that it gave up: others may have what that had
        self._said = 0.0  # when it was said last that this node is there
        self._unsaid = ""  # … and why not since
        self._saying = self._ended = False
        self._joining: list[Deferred[None]] = []  # who waits for this node to have a number
        self._held: dict[Name, _Held] = {}
        # Leases that this node may have and does not want, since the database was away just then; and their fences.
        self._owed: dict[Name, int | None] = {}
        self._waiting: dict[str, list[Deferred[None]]] = {}  # who waits for news of a name
        self._beat = LoopingCall(self._say)
        self._beat.clock = reactor
        self.joined: list[Callable[[int], None]] = []  # called with this node's number each time that it has one
        self.dead: list[Callable[[], None]] = []  # called when it has lost all that it had
        # Called with each name that another node has given back, and when a node was found dead: what it was at with a
        # legacy server may not have ended there.
        self.freed: Callable[[Name], None] = lambda _name: None
        self.others_died: Callable[[], None] = lambda: None
        self.counted: Callable[[int], None] = lambda _nodes: None  # called with how many nodes there are
        nodes.on(FREE, self._is_free)
        nodes.on(DEAD, lambda _about, _more: self._are_dead())

    # This node

    @property
    def number(self) -> int | None:
        """Its number; None while it has none."""
        return self._node

    async def _numbered(self) -> int:
        """The same, as soon as it has one. Raises StorageFailed where that cannot be now."""
        if self._node is None:
            waiting: Deferred[None] = Deferred()
            self._joining.append(waiting)
            self._say()
            await waiting
        if self._node is None:
            raise StorageFailed("the database does not answer")
        return self._node

    def _has_joined(self, failed: StorageFailed | None = None) -> None:
        """… or could not."""
        joining, self._joining = self._joining, []
        for waiting in [each for each in joining if not each.called]:
            if failed is None:
                waiting.callback(None)
            else:
                waiting.errback(Failure(failed))  # type: ignore[no-untyped-call]

    async def start(self) -> None:
        """Be a node; it is tried again where that fails. Raises StorageFailed."""
        self._beat.start(EVERY, now=False).addErrback(self._failed)
        self._saying = True
        try:
            await self._join()
        except StorageFailed as error:
            self._has_joined(error)
            raise
        finally:
            self._saying = False

    async def _join(self) -> None:
        began = self._reactor.seconds()
        joining = partial(_joined, former=self._former, name=self.name)
        self._node = await self._nodes.run(lambda connection: in_one(connection, joining))
        self._said, self._former = began, None
        self._has_joined()
        for joined in self.joined:
            joined(self._node)

    async def stop(self) -> None:
        """When no move is under way any more: others go on with what is not whole."""
        self._ended = True
        self._has_joined(StorageFailed("the daemon is stopping"))
        if self._beat.running:
            self._beat.stop()
        node, self._node = self._node, None
        if node is not None:
            try:
                await self._nodes.run(lambda connection: in_one(connection, partial(membership.leave, node=node)))
            except StorageFailed as error:  # the others find out
                self._log.warning("node not signed off", reason=str(error))

    def _failed(self, failure: Failure) -> None:
        self._log.error("unexpected", error=kind(failure), where=where(failure))

    def _say(self) -> None:
        if self._node is not None and self._reactor.seconds() - self._said > LONG:
            self._lose(f"it could not say for too long that it is there{self._unsaid}")
        if not self._saying:
            self._saying = True
            Deferred.fromCoroutine(self._say_so()).addErrback(self._failed)

    async def _say_so(self) -> None:
        try:
            if self._node is not None:
                await self._renew(self._node)
            if self._node is None and not self._ended:
                await self._join()
                self._log.info("this is a new node now", node=self.name)
        except StorageFailed as error:  # it is in the log that there is no connection; not, why nothing can be written
            self._unsaid = f": {error}"
            self._has_joined(error)
        finally:
            self._saying = False

    async def _renew(self, node: int) -> None:
        began = self._reactor.seconds()
        fences = [held.lease.fence for held in self._held.values()]
        owed = {name: fence for name, fence in self._owed.items() if fence is not None or name not in self._held}
        beating = partial(_beaten, node=node, fences=fences, owed=owed)
        beat = await self._nodes.run(lambda connection: in_one(connection, beating))
        if node != self._node:
            return
        self.counted(max(1, beat.nodes))
        for name, fence in owed.items():
            if name in self._owed and self._owed[name] == fence:
                del self._owed[name]
                self._nodes.tell(FREE, 0, str(name))
        if not beat.lives:
            self._lose("others have taken it for dead")
            return
        self._said, self._unsaid = began, ""
        gone = set(fences) - beat.kept
        for held in [each for each in self._held.values() if each.lease.fence in gone]:
            self._lose_one(held)
        if beat.dead:
            self._log.warning("node is dead: others go on with its moves", nodes=beat.dead)
            self._found_dead()

    def _found_dead(self) -> None:
        self._are_dead()
        self._nodes.tell(DEAD)

    def _are_dead(self) -> None:
        """Others; what they had may be taken."""
        self.others_died()
        for name in list(self._waiting):
            self._tell_waiting(name)

    def _lose(self, why: str) -> None:
        self._former, self._node = self._node, None
        self._owed.clear()  # they are gone with it
        self._log.error("this node has lost its accounts", reason=why, accounts=len(self._held))
        for held in list(self._held.values()):
            self._lose_one(held)
        for dead in self.dead:
            dead()

    def _lose_one(self, held: _Held) -> None:
        """Whoever works for it hears of it now; those that wait will ask anew."""
        users, held.users = held.users, []
        if self._held.get(held.name) is held:
            del self._held[held.name]
        for tenure in users:
            tenure.lost()

    # Accounts

    async def take(self, name: Name) -> Tenure:
        held = self._held.get(name)
        if held is None:
            node = await self._numbered()
            try:
                taken = await self._in_thread(self._take, name, node)
            except StorageFailed:
                self._owed[name] = None
                raise
            self._owed.pop(name, None)  # in its place came this one
            if isinstance(taken, Elsewhere):
                raise MovesElsewhere(taken.node)
            held = self._held[name] = _Held(name, taken)
            if taken.inherited:
                self._found_dead()
        tenure = Tenure(name, held.lease, _nothing)
        tenure.leave = partial(self._leave, held, tenure)
        held.users.append(tenure)
        return tenure

    def _take(self, name: Name, node: int) -> Lease | Elsewhere:
        with self._database.write() as connection:
            return leases.take(connection, name.domain, name.local, node)

    def _leave(self, held: _Held, tenure: Tenure) -> None:
        if tenure not in held.users:
            return
        held.users.remove(tenure)
        if not held.users and self._held.get(tenure.name) is held:
            del self._held[tenure.name]
            giving = self._in_thread(self._give_back, held.lease)
            free, owed = self._nodes.tell, (held.lease, tenure.name)
            giving.addCallbacks(lambda _: free(FREE, 0, str(tenure.name)), self._not_given_back, errbackArgs=owed)

    def _give_back(self, lease: Lease) -> None:
        with self._database.write() as connection:
            leases.give_back(connection, lease)

    def _not_given_back(self, failure: Failure, lease: Lease, name: Name) -> None:
        """It is tried again when this node says the next time that it is there: others wait for it."""
        failure.trap(MailstoreError)  # type: ignore[no-untyped-call]
        if name not in self._held:
            self._owed[name] = lease.fence
        self._log.warning("lease not given back", reason=failure.getErrorMessage())

    def look(self, lease: Lease) -> None:
        with self._database.read() as connection:
            lease.still(connection)

    # Those that others have

    async def wait(self, name: Name, seen: Account | None, hold: Hold, enough: Enough) -> None:
        pause = LOOK
        while True:
            holder, account = await self._in_thread(self._look, name)
            if account is not None:
                hold.done, hold.total = account.messages_done, account.messages_total
            if holder is None or differ(seen, account) or (account is not None and await enough(account)):
                return
            await self._news(str(name), pause)
            pause = min(2 * pause, max(SELDOM, len(self._waiting) / LOOKS))

    def _look(self, name: Name) -> _Look:
        account = self._accounts.find(name.local, name.domain)
        with self._database.read() as connection:
            return _Look(leases.holder(connection, name.domain, name.local), account)

    async def _news(self, name: str, pause: float) -> None:
        """So many seconds, or less where there is news of it."""
        news: Deferred[None] = Deferred()
        waiting = self._waiting.setdefault(name, [])
        waiting.append(news)
        timer = self._reactor.callLater(pause, news.callback, None)
        try:
            await news
        finally:
            waiting.remove(news)
            if not waiting:
                self._waiting.pop(name, None)
            if timer.active():
                timer.cancel()

    def _is_free(self, _about: int, name: str) -> None:
        local, _, domain = name.rpartition("@")
        self.freed(Name(local, domain))
        self._tell_waiting(name)

    def _tell_waiting(self, name: str) -> None:
        for news in list(self._waiting.get(name, ())):
            if not news.called:
                news.callback(None)


class FencedHome:
    """A `proxy.wire.door.Home` for a move that another node may take over."""

    def __init__(self, home: Home, fence: Fence) -> None:
        self._home = home
        self._fence = fence
        self.watch, self.attend = home.watch, home.attend
        self.lock_maildrop, self.close = home.lock_maildrop, home.close

    @property
    def account(self) -> str:
        return self._home.account

    async def run(self, operation: Callable[[MailHome], T]) -> T:
        return await self._home.run(lambda mail: mail.fenced(self._fence, operation))

    async def run_briefly(self, operation: Callable[[MailHome], T]) -> T:
        return await self._home.run_briefly(lambda mail: mail.fenced(self._fence, operation))
