"""This process among those of other nodes that have the same database (`mailstore.telling`), as its sessions have it.

    a folder was changed here    ─ changed ─→  sessions of the account elsewhere look at it
    nothing comes at the moment  ─ vain ────→  those that wait for old mail are told so
    an account is left           ─ free ────→  … or ask for it anew, since another node may bring it
    a node has died              ─ dead ────→  the same, of all accounts
    … for other parts of the daemon: see `Nodes.on`

News may get lost, so the mailboxes that sessions here attend to are looked at from time to time: one statement for all
of them tells which have changed. Each process has a line of its own, the daemon and each worker: what workers of one
node tell each other by way of their daemon they tell others as well, and are told twice at worst.

The POP3 locks of maildrops are the line's as well: they hold among all processes of all nodes, beside those of the
directory, and go with the process. When the connection is lost, whoever asks first after that has the lock; a session
that has lost it so is refused what it asks for next, and removes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import Connection, Engine, bindparam, text
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from mailstore.errors import StorageFailed
from mailstore.index.special import ACCOUNT
from mailstore.telling import Line, News, own_connection
from proxy.login.homes import Homes
from proxy.wire.faults import kind, where

if TYPE_CHECKING:
    from proxy.login.outcomes import Log  # a worker loads nothing of moves

T = TypeVar("T")

CHANGED: Final = "changed"  # a folder (`more`) of an account
VAIN: Final = "vain"  # nothing of an account's old mailbox comes
FREE: Final = "free"  # news: a name (`more`) may be taken: see `proxy.login.leasing`
DEAD: Final = "dead"  # news: a node is
LOOK_SECONDS: Final = 10.0  # between two looks at what may have changed unnoticed

_STANDS = text("""
    SELECT account_id, id, highestmodseq, uidnext, md5(name) AS name FROM folders WHERE account_id IN :accounts
""").bindparams(bindparam("accounts", expanding=True))

Stand = dict[int, tuple[int, int, str]]  # of an account: its folders, and how far each is


def _stands(connection: Connection, accounts: Sequence[int]) -> dict[int, Stand]:
    found: dict[int, Stand] = {account_id: {} for account_id in accounts}
    for row in connection.execute(_STANDS, {"accounts": list(accounts)}):
        found[row.account_id][row.id] = (row.highestmodseq, row.uidnext, row.name)
    return found


class Nodes:
    """Of one process. All but what is said otherwise is for the reactor's thread."""

    def __init__(self, engine: Engine, homes: Homes, *, reactor: Any, log: Log, name: str) -> None:
        """`engine` is of the database; `name` is what its administrator sees of this process."""
        self._homes = homes
        self._reactor = reactor
        self._log = log
        self._line = Line(
            own_connection(engine, name),
            lambda news: reactor.callFromThread(self._heard, news),
            began=lambda: reactor.callFromThread(self._begun),
            lost=lambda account_id: reactor.callFromThread(homes.lost_maildrop, account_id),
            report=lambda why: reactor.callFromThread(self._report, why),
        )
        self._on: defaultdict[str, list[Callable[[int, str], None]]] = defaultdict(list)
        self._stands: dict[int, Stand] = {}
        self._looks = LoopingCall(self.look)
        self._looks.clock = reactor
        self._looking = False
        self._away = False  # is it in the log that there is no connection?
        self.began: list[Callable[[], None]] = []  # called after each new connection
        self.on(CHANGED, lambda account_id, folder: homes.tell(account_id, int(folder)))
        self.on(VAIN, lambda account_id, _more: homes.in_vain(account_id))
        self.on(FREE, lambda _about, account: homes.ask_anew(account))
        self.on(DEAD, lambda _about, _more: homes.ask_anew(None))
        homes.tell_nodes = self._changed
        homes.maildrops = self
        homes.now = self.time

    def start(self) -> None:
        self._line.start()
        self._looks.start(LOOK_SECONDS, now=False).addErrback(self._failed)

    def stop(self) -> None:
        """When there are no sessions any more. What there is to be said is said."""
        if self._looks.running:
            self._looks.stop()
        self._line.close()

    def time(self) -> float:
        """The time of day by the database server's clock, nearly: all nodes go by it. In any thread."""
        return self._line.time()

    def set_time(self, now: float) -> None:
        """What is known of the server's clock before it is asked here."""
        self._line.set(now)

    def on(self, kind: str, told: Callable[[int, str], None]) -> None:
        """Have `told(about, more)` called with each piece of news of a kind."""
        self._on[kind].append(told)

    def tell(self, kind: str, about: int = 0, more: str = "") -> None:
        """Tell all other processes."""
        self._line.tell(News(kind, about, more))

    def run(self, job: Callable[[Connection], T]) -> Deferred[T]:
        """Do something over this process's own connection. The Deferred may fail with StorageFailed."""
        result: Deferred[T] = Deferred()

        def done(value: Any) -> None:
            self._reactor.callFromThread(_fire, result, value)

        self._line.run(job, done)
        return result

    # The POP3 lock: a `proxy.login.homes.Maildrops`

    def take(self, account_id: int) -> Deferred[bool]:
        result: Deferred[bool] = Deferred()
        self._line.lock_maildrop(account_id, lambda value: self._reactor.callFromThread(_fire, result, value))
        return result

    def leave(self, account_id: int) -> None:
        self._line.unlock_maildrop(account_id)

    # What changes

    def _changed(self, account_id: int, folder_id: int) -> None:
        self.tell(CHANGED, account_id, str(folder_id))

    def _heard(self, news: Sequence[News]) -> None:
        for each in news:
            for told in self._on.get(each.kind, ()):
                told(each.about, each.more)

    def _begun(self) -> None:
        if self._away:
            self._away = False
            self._log.info("the database is there again")
        self.look()
        for began in self.began:
            began()

    def _report(self, why: str) -> None:
        if not self._away:
            self._away = True
            self._log.warning("the database cannot be reached", reason=why)

    def look(self) -> None:
        """Which of the mailboxes that sessions here attend to have changed since the last look?"""
        accounts = self._homes.attended()
        self._stands = {number: self._stands[number] for number in accounts if number in self._stands}
        if accounts and not self._looking:
            self._looking = True
            self.run(lambda connection: _stands(connection, accounts)).addBoth(self._looked)

    def _looked(self, found: dict[int, Stand] | Failure) -> None:
        self._looking = False
        if isinstance(found, Failure):
            found.trap(StorageFailed)  # type: ignore[no-untyped-call]
            return
        for account_id, stand in found.items():
            before = self._stands.get(account_id, {})  # one that is looked at for the first time has changed
            self._stands[account_id] = stand
            for folder_id in stand.keys() | before.keys():
                if stand.get(folder_id) != before.get(folder_id):
                    self._homes.tell(account_id, folder_id)
            if {number: about[2] for number, about in stand.items()} != {n: about[2] for n, about in before.items()}:
                self._homes.tell(account_id, ACCOUNT)

    def _failed(self, failure: Failure) -> None:
        self._log.error("unexpected", error=kind(failure), where=where(failure))


def _fire(result: Deferred[Any], value: Any) -> None:
    if result.called:  # who asked waits no more
        return
    if isinstance(value, BaseException):
        result.errback(Failure(value))  # type: ignore[no-untyped-call]
    else:
        result.callback(value)
