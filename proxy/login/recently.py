"""What happened to accounts of late: moves that ended, and logins that were refused. For whoever helps their users.

In memory, of this process, and bounded: the last few of each account, of those accounts that something happened to
last. It outlives a reload, and is gone with the process; what lasts is in the accounts' table and in the log.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from typing import Any, Final

from proxy.wire import trace

EACH: Final = 8  # of an account, of each kind
MOST: Final = 5_000  # accounts


@dataclass(frozen=True, slots=True)
class EndedMove:
    """`ended` in seconds since 1970; messages and octets are those that came with it; `reason` is "" where it got to
    its end without a remark."""

    ended: int
    seconds: float
    messages: int
    octets: int
    whole: bool
    reason: str
    trace: str  # in the log


@dataclass(frozen=True, slots=True)
class RefusedLogin:
    """`at` in seconds since 1970; `why` is the value of a `proxy.wire.door.Because`, or of a `Refusal`."""

    at: int
    protocol: str
    peer: str
    why: str
    trace: str  # in the log


class _Of:
    __slots__ = ("moves", "refusals")

    def __init__(self) -> None:
        self.moves: deque[EndedMove] = deque(maxlen=EACH)
        self.refusals: deque[RefusedLogin] = deque(maxlen=EACH)


class Recently:
    """Of all accounts, by name. `clock` is the time of day."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._accounts: OrderedDict[str, _Of] = OrderedDict()

    def _of(self, account: str) -> _Of:
        found = self._accounts.setdefault(account, _Of())
        self._accounts.move_to_end(account)
        while len(self._accounts) > MOST:
            self._accounts.popitem(last=False)
        return found

    def remembered(self) -> list[Any]:
        """All of it, as JSON, for the next daemon in this process."""
        return [
            [account, [astuple(move) for move in of.moves], [astuple(refused) for refused in of.refusals]]
            for account, of in self._accounts.items()
        ]

    def remember(self, remembered: list[Any]) -> None:
        """What the daemon before this one remembered."""
        for account, moves, refusals in remembered:
            of = self._of(account)
            of.moves.extend(EndedMove(*each) for each in moves)
            of.refusals.extend(RefusedLogin(*each) for each in refusals)

    def moved(self, account: str, *, seconds: float, messages: int, octets: int, whole: bool, reason: str) -> None:
        """A move has ended."""
        now = int(self._clock())
        self._of(account).moves.append(EndedMove(now, seconds, messages, octets, whole, reason, trace.current()))

    def refused(self, account: str, protocol: str, peer: str, why: str) -> None:
        """A login was refused."""
        self._of(account).refusals.append(RefusedLogin(int(self._clock()), protocol, peer, why, trace.current()))

    def moves(self, account: str) -> Sequence[EndedMove]:
        """The last ones, the latest first."""
        found = self._accounts.get(account)
        return [] if found is None else list(reversed(found.moves))

    def refusals(self, account: str) -> Sequence[RefusedLogin]:
        """The last ones, the latest first."""
        found = self._accounts.get(account)
        return [] if found is None else list(reversed(found.refusals))
