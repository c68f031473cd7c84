"""How far an account's move is, as its user sees it."""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from mailstore.accounts import Account, PasswordState, State
from mailstore.entries import Quarantined, Sums
from mailstore.mailhome import MailHome
from proxy.web.visit import Web

SPAN: Final = 20.0  # seconds over which the rate is taken
SURE: Final = 3.0  # seconds after which it tells anything
REMEMBERED: Final = 10_000  # accounts whose rate is known
NAMED: Final = 20  # messages in quarantine that are told one by one

# waiting: nothing has begun; halted: it goes on by itself; again: the user has to log in with the new password
Stage = Literal["waiting", "listing", "moving", "halted", "paused", "again", "here", "blocked"]


@dataclass(frozen=True, slots=True)
class Standing:
    """One look. `left`: seconds, None where nothing tells; `missing` are messages that could not be carried over."""

    stage: Stage
    done: int = 0
    total: int = 0
    octets: int = 0
    octets_total: int = 0
    left: float | None = None
    final: bool = False  # is the old server no longer asked?
    missing: int = 0
    named: Sequence[Quarantined] = ()

    @property
    def over(self) -> bool:
        """Does nothing change any more by itself?"""
        return self.stage in {"here", "blocked", "again", "waiting"}

    @property
    def percent(self) -> int:
        """Of the octets, since a large message takes longer than a small one; rounded down."""
        if self.octets_total:
            return min(100, 100 * self.octets // self.octets_total)
        return 100 if self.total and self.done >= self.total else 0


class Paces:
    """How fast moves go, from look to look; bounded, the account that was looked at longest ago is forgotten first."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._looks: OrderedDict[int, deque[tuple[float, int]]] = OrderedDict()

    def left(self, account_id: int, done: int, total: int) -> float | None:
        """Seconds until all octets are here, at the pace of the last looks; no more exact than it is."""
        now = self._seconds()
        looks = self._looks.setdefault(account_id, deque(maxlen=256))
        self._looks.move_to_end(account_id)
        while len(self._looks) > REMEMBERED:
            self._looks.popitem(last=False)
        if looks and done < looks[-1][1]:
            looks.clear()  # another move
        if not looks or now - looks[-1][0] >= 0.2:
            looks.append((now, done))
        while len(looks) > 2 and now - looks[1][0] >= SPAN:
            looks.popleft()
        since, before = looks[0]
        if now - since < SURE or done <= before:
            return None
        left = (total - done) * (now - since) / (done - before)
        step = 5 if left <= 90 else 60
        return float(step * math.ceil(left / step))


class Standings:
    """Of all accounts."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self._paces = Paces(web.reactor.seconds)

    async def of(self, account: Account) -> Standing:
        """Raises MailstoreError."""
        match account.state:
            case State.BLOCKED:
                return Standing("blocked")
            case State.WAITING:
                return Standing("waiting")
            case State.MOVING:
                return await self._moving(account)
        return await self._here(account)

    async def _moving(self, account: Account) -> Standing:
        running = self._web.mover.moves.of(account.id)
        sums = running.move.sums if running is not None else None
        if sums is None:
            far = account.messages_done, account.messages_total, account.bytes_done, account.bytes_total
        else:
            far = sums.messages_done, sums.messages_total, sums.bytes_done, sums.bytes_total
        if running is not None:
            left = self._paces.left(account.id, far[2], far[3])
            return Standing("moving" if far[1] else "listing", *far, left=left)
        if account.password_state is PasswordState.REJECTED:
            return Standing("again", *far)
        accounts = self._web.accounts
        if await self._web.ask(accounts, accounts.is_paused, account.local, account.domain):
            return Standing("paused", *far)
        return Standing("halted" if account.tries else "listing", *far)  # it is about to begin, if none has failed

    async def _here(self, account: Account) -> Standing:
        maildir = self._web.config.maildir_for(account.local, account.domain)
        home = await self._web.homes.open(account.id, account.name, maildir)
        try:
            sums, quarantined = await home.run(_counted)
        finally:
            home.close()
        return Standing(
            "here",
            sums.messages_done,
            sums.messages_total,
            sums.bytes_done,
            sums.bytes_total,
            final=account.state is State.FINAL,
            missing=len(quarantined),
            named=quarantined[:NAMED],
        )


def _counted(mail: MailHome) -> tuple[Sums, list[Quarantined]]:
    sums = mail.ledger.sums()
    return sums, mail.ledger.quarantined() if sums.quarantined else []
