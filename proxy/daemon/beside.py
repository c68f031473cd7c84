"""The daemon beside those of other nodes, wired together: what `proxy.daemon.moving` has of it where several nodes may
have the database.

    proxy.login.nodes      what is told, and heard
    proxy.login.leasing    which node has an account
    proxy.login.allotting  what all nodes together ask of legacy hosts
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from mailstore import agreement
from mailstore.accounts import Accounts
from mailstore.database import AccountsDatabase
from mailstore.errors import StorageFailed
from proxy.login.allotting import Allotting, Ceiling
from proxy.login.guesses import counted_by_all
from proxy.login.homes import Homes
from proxy.login.hurrying import Hurrying
from proxy.login.leasing import Leased
from proxy.login.legacy import LegacyDoor
from proxy.login.names import Name
from proxy.login.nodes import VAIN, Nodes
from proxy.login.outcomes import Log
from proxy.login.throttle import Guess, Throttle
from proxy.wire.in_thread import InThread

HURRY: Final = "hurry"  # news: a session waits for messages of an account that another node carries over
GUESS: Final = "guess"  # news: a login was refused
TOGETHER: Final = 500  # UIDs that one piece of it names


def see_that_keys_agree(database: AccountsDatabase, keys: bytes) -> None:
    """Does this node seal passwords as the others do? Raises OtherKey, StorageFailed."""
    if database.engine is not None:
        with database.write() as connection:
            agreement.agree(connection, keys)


class Beside:
    """One daemon's."""

    def __init__(
        self,
        nodes: Nodes,
        database: AccountsDatabase,
        accounts: Accounts,
        homes: Homes,
        door: LegacyDoor,
        *,
        reactor: Any,
        in_thread: InThread,
        log: Log,
    ) -> None:
        self.nodes = nodes
        self._homes = homes
        self._domains = frozenset(domain for host in door.hosts for domain in host.domains)
        self._log = log
        self.leased = Leased(nodes, database, accounts, reactor=reactor, in_thread=in_thread, log=log)
        self._allotting = Allotting(
            door.hosts, self.leased, nodes, database, reactor=reactor, in_thread=in_thread, log=log
        )
        self._door = door
        self.leased.freed = self._freed
        self.leased.others_died = self._others_died
        self.ceiling = Ceiling(database, in_thread, log)

    def hurry_by(self, hurrying: Hurrying) -> None:
        """Sessions of other nodes may wait for what is carried over here, and the other way round."""
        hurrying.ask_others = self._ask_others
        self.nodes.on(HURRY, lambda account_id, more: hurrying.asked(account_id, *_hurried(more)))

    def share_guesses(self, throttle: Throttle) -> None:
        """A guess counts on all nodes, whichever it was made at."""
        tell = counted_by_all(self.nodes, GUESS, lambda *words: throttle.count(Guess(*words)))
        throttle.tell = lambda guess: tell(*guess)
        self.leased.counted = throttle.among

    def _freed(self, name: Name) -> None:
        if name.domain in self._domains:
            self._door.host_of(name.domain).left(name)

    def _others_died(self) -> None:
        for host in self._door.hosts:
            host.others_left()
        self._homes.ask_anew(None)

    def in_vain(self, account_id: int) -> None:
        """Nothing of an account's old mailbox comes at the moment, wherever somebody waits for it."""
        self._homes.in_vain(account_id)
        self.nodes.tell(VAIN, account_id)

    def _ask_others(self, account_id: int, uids: Collection[int], whole: bool) -> None:
        ordered = list(uids)
        for first in range(0, len(ordered), TOGETHER):
            some = ",".join(map(str, ordered[first : first + TOGETHER]))
            self.nodes.tell(HURRY, account_id, f"{int(whole)} {some}")

    async def start(self) -> None:
        """Be a node; one whose database cannot be reached yet becomes one when it can."""
        self.nodes.start()
        try:
            await self.leased.start()
        except StorageFailed as error:
            self._log.warning("not a node yet", reason=str(error))
        self._allotting.start()

    def end_asking(self) -> None:
        """No connections to legacy hosts are begun any more."""
        self._allotting.stop()

    async def stop(self) -> None:
        """When no move is under way, and nobody has a home open."""
        await self.leased.stop()
        self.nodes.stop()


def _hurried(more: str) -> tuple[list[int], bool]:
    whole, _, uids = more.partition(" ")
    return [int(uid) for uid in uids.split(",") if uid], whole == "1"
