"""From a session that needs a message to the move that can bring it.

    a move is under way              it fetches the message next
    none is, the password is kept    one is started, unless the last one has failed a moment ago
    another node carries it over     that one is asked
    otherwise                        nothing comes: those who wait are told so

Sessions may be in other processes; here is where the moves are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from twisted.internet.interfaces import IReactorTime

from proxy.login.mover import Mover
from proxy.migration.move import Move

AGAIN: Final = 10.0  # seconds after a failure in which nobody is waited for


class Hurrying:
    """All that sessions wait for in this installation."""

    def __init__(self, mover: Mover, in_vain: Callable[[int], None], *, reactor: IReactorTime) -> None:
        """`in_vain` is told of accounts of which nothing comes at the moment."""
        self._mover = mover
        self._in_vain = in_vain
        self._reactor = reactor
        self._failed: dict[int, float] = {}  # when, by account
        self._starting: dict[int, list[tuple[Collection[int], bool]]] = {}  # what is waited for until a move begins
        # Asks other nodes for what one of them carries over: account, UIDs, and whether whole messages are needed.
        self.ask_others: Callable[[int, Collection[int], bool], None] = lambda _account, _uids, _whole: None
        mover.begins = self._begins
        mover.failed = self._has_failed
        mover.elsewhere = self._elsewhere

    def hurry(self, account_id: int, uids: Collection[int], whole: bool) -> None:
        """A session waits for these messages of INBOX, or for their headers."""
        running = self._mover.moves.of(account_id)
        if running is not None:
            running.move.hurry(uids, whole=whole)
        elif account_id in self._starting:
            self._starting[account_id].append((uids, whole))
        elif self._reactor.seconds() - self._failed.get(account_id, float("-inf")) < AGAIN:
            self._in_vain(account_id)
        else:
            self._starting[account_id] = [(uids, whole)]
            self._mover.apart(self._mover.go_on(account_id))

    def asked(self, account_id: int, uids: Collection[int], whole: bool) -> None:
        """A session on another node waits for these; whether its move is here is for us to know."""
        running = self._mover.moves.of(account_id)
        if running is not None:
            running.move.hurry(uids, whole=whole)

    def _elsewhere(self, account_id: int) -> None:
        """The move is on another node."""
        for uids, whole in self._starting.pop(account_id, ()):
            self.ask_others(account_id, uids, whole)

    def _begins(self, account_id: int, move: Move) -> None:
        self._failed.pop(account_id, None)
        for uids, whole in self._starting.pop(account_id, ()):
            move.hurry(uids, whole=whole)

    def _has_failed(self, account_id: int) -> None:
        """A move has ended before its end, or could not begin."""
        self._failed[account_id] = self._reactor.seconds()
        self._starting.pop(account_id, None)
        self._in_vain(account_id)
