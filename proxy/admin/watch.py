"""Accounts that an administrator has asked to be moved, watched from the accounts database until the last is done.

Whoever does the moves, this process or the daemon, writes down how far they are; a look reads that. Its cost goes with
those that are under way, and little with those that wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from mailstore.accounts import Account
from mailstore.queue import Queue, Waits

PAUSED: Final = "it is paused; `mailferry resume` ends that"
SPAN: Final = 15.0  # seconds over which the rate is taken


@dataclass(frozen=True, slots=True)
class Ended:
    """One account that is done; `why` says what is missing, or is "" where all of it is here."""

    account: Account
    why: str


@dataclass(frozen=True, slots=True)
class Progress:
    """One look. Messages and bytes are those that came since the first one."""

    accounts: int
    here: int
    not_here: int
    under_way: Sequence[Account]
    ended: Sequence[Ended]  # since the look before
    messages: int
    octets: int
    rate: float  # bytes a second
    elapsed: float  # seconds
    left: float | None  # seconds; None where nothing tells

    @property
    def done(self) -> int:
        return self.here + self.not_here

    @property
    def over(self) -> bool:
        return self.done == self.accounts


class Watch:
    """From the asking to the last end."""

    def __init__(
        self, queue: Queue, accounts: Sequence[Account], clock: Callable[[], float], monotonic: Callable[[], float]
    ) -> None:
        """`accounts` as they were just before they were asked for, which is now. `clock` is the time of day, as
        `queue` has it."""
        self._queue = queue
        self._before = {account.id: (account.messages_done, account.bytes_done) for account in accounts}
        self.pending = set(self._before)
        self._domains = sorted({account.domain for account in accounts})
        self._asked = int(clock())
        self._monotonic = monotonic
        self._began = monotonic()
        self._here = self._not_here = 0
        self._messages = self._octets = 0  # of those that are done
        self._samples: deque[tuple[float, int]] = deque([(self._began, 0)])

    def look(self) -> Progress:
        """Raises MailstoreError."""
        asked = self._queue.asked(self._domains)
        ended = [self._end(account, None) for account in self._queue.of(sorted(self.pending - asked.keys()))]
        paused = [n for n, waits in asked.items() if waits is Waits.PAUSED and n in self.pending]
        ended += [self._end(account, PAUSED) for account in self._queue.of(paused)]
        moving = [n for n, waits in asked.items() if waits is Waits.END and n in self.pending]
        under_way = sorted(self._queue.of(moving), key=lambda account: account.name)
        self.pending &= asked.keys()
        messages, octets, share = self._messages, self._octets, 0.0
        for account in under_way:
            before = self._before[account.id]
            messages += account.messages_done - before[0]
            octets += account.bytes_done - before[1]
            share += account.messages_done / account.messages_total if account.messages_total else 0.0
        now = self._monotonic()
        self._samples.append((now, octets))
        while len(self._samples) > 2 and now - self._samples[1][0] >= SPAN:
            self._samples.popleft()
        since, before_octets = self._samples[0]
        done = self._here + self._not_here + share
        return Progress(
            accounts=len(self._before),
            here=self._here,
            not_here=self._not_here,
            under_way=under_way,
            ended=ended,
            messages=messages,
            octets=octets,
            rate=max(0, octets - before_octets) / (now - since) if now > since else 0.0,
            elapsed=now - self._began,
            left=(now - self._began) * (len(self._before) - done) / done if done else None,
        )

    def _end(self, account: Account, why: str | None) -> Ended:
        self.pending.discard(account.id)
        before = self._before[account.id]
        self._messages += account.messages_done - before[0]
        self._octets += account.bytes_done - before[1]
        ended = Ended(account, self._missing(account) if why is None else why)
        if ended.why:
            self._not_here += 1
        else:
            self._here += 1
        return ended

    def _missing(self, account: Account) -> str:
        """Why not all of it is here; "" if it is."""
        if account.refreshed is not None and account.refreshed >= self._asked and not account.tries:
            if account.messages_done >= account.messages_total:
                return ""
            return account.reason or f"{account.messages_total - account.messages_done} messages are missing"
        return account.reason or "its move was interrupted"
