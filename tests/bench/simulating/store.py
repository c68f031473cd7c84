"""Accounts in memory: as much of `mailstore.accounts.Accounts` and `mailstore.queue.Queue` as logins and moves ask.

A million accounts that log in would be some ten million transactions. `tests/bench/run simulate --store
sqlite` has them, and a test plays the same day over both, which must come to the same.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any, Final

from mailstore.accounts import SOON, Account, Far, PasswordState, State
from mailstore.leases import Fence
from mailstore.queue import Backlog

_NEW = {
    "password_hash": None,
    "sealed_password": None,
    "last_login": None,
    "refreshed": None,
    "messages_done": 0,
    "messages_total": 0,
    "bytes_done": 0,
    "bytes_total": 0,
    "due": None,
    "asked": None,
    "again": False,
    "paused": False,
    "tries": 0,
    "password_state": PasswordState.KNOWN,
}


_BEGUN = {State.MOVING, State.MOVED}
_FIELDS: Final = tuple(field.name for field in fields(Account))
_values: Final = attrgetter(*_FIELDS)


def number_of(local: str) -> int:
    """Accounts are called "u" and their number."""
    return int(local[1:])


class Memory:
    """All accounts of one domain, whose numbers are those in their names. Those that have not come take
    nothing."""

    instant = True  # see `proxy.login.asking`

    def __init__(self, domain: str, count: int, clock: Callable[[], float]) -> None:
        self.domain = domain
        self.count = count
        self._clock = clock
        self._known: dict[int, Account] = {}
        self._due: list[tuple[int, int]] = []
        self._version = 0
        self._newcomer: Account | None = None  # the last one that was asked for and has not come: it is asked for again
        self.shared: Any = None  # what leases are in, where there are several nodes

    def fenced(self, fence: Fence) -> Memory:
        """See `Accounts.fenced`."""
        fenced: Any = _Fenced(self, fence)
        return fenced  # type: ignore[no-any-return]

    def go_on(self, domain: str, local: str) -> None:
        """The node that moved it is dead."""
        account = self.find(local, domain)
        if account is not None and account.due is None and account.movable and account.state in _BEGUN:
            self._set(account.id, due=self._now())

    def _now(self) -> int:
        return int(self._clock())

    def get(self, account_id: int) -> Account:
        known = self._known.get(account_id)
        if known is not None:
            return known
        if self._newcomer is None or self._newcomer.id != account_id:
            self._newcomer = Account(account_id, self.domain, f"u{account_id}", State.WAITING, "", **_NEW)
        return self._newcomer

    def find(self, local: str, domain: str) -> Account | None:
        number = number_of(local)
        return self.get(number) if domain == self.domain and 0 < number <= self.count else None

    def _set(self, account_id: int, **values: Any) -> Account:
        now = self._known[account_id] = Account(
            **dict(zip(_FIELDS, _values(self.get(account_id)), strict=True)) | values
        )
        if "due" in values and now.due is not None:
            heapq.heappush(self._due, (now.due, account_id))
            self._version += 1
        return now

    def owner(self, _local: str, _domain: str) -> tuple[str, str] | None:
        return None

    def legacy_login(self, _local: str, _domain: str) -> str:
        return ""

    def legacy_logins(self) -> list[tuple[str, str, str]]:
        return []

    def is_paused(self, _local: str, _domain: str) -> bool:
        return False

    def any_asked_for(self, _domain: str) -> bool:
        return True

    def admit(self, local: str, domain: str, sealed: Any, password_hash: str | None = None) -> Account:
        account = self.find(local, domain)
        assert account is not None
        begun = account.state in {State.WAITING, State.MOVING}
        return self._set(
            account.id,
            password_hash=password_hash,
            sealed_password=sealed if isinstance(sealed, bytes) else sealed(),
            state=State.MOVING if account.state is State.WAITING else account.state,
            due=self._now() + SOON if begun else account.due,
            tries=0,
            password_state=PasswordState.KNOWN,
        )

    def password_hashed(self, account_id: int, password_hash: str) -> None:
        self._set(account_id, password_hash=password_hash)

    def password_rejected(self, account_id: int, reason: str, trace: str = "") -> None:
        rejected = PasswordState.REJECTED
        self._set(account_id, password_state=rejected, reason=reason, trace=trace, due=None, asked=None, tries=0)

    def logged_in(self, *account_ids: int) -> None:
        for account_id in account_ids:
            self._set(account_id, last_login=self._now())

    def progress(self, account_id: int, messages: Far, octets: Far) -> None:
        self._set(account_id, **_far(messages, octets))

    def begun(self, account_id: int) -> None:
        self._set(account_id, due=None)

    def moved(
        self,
        account_id: int,
        reason: str = "",
        next_in: float | None = None,
        far: tuple[Far, Far] | None = None,
        trace: str = "",
    ) -> None:
        state = self.get(account_id).state
        self._set(
            account_id,
            state=State.MOVED if state is State.MOVING else state,
            reason=reason,
            trace=trace,
            refreshed=self._now(),
            due=self._in(next_in),
            asked=None,
            tries=0,
            **({} if far is None else _far(*far)),
        )

    def interrupted(self, account_id: int, reason: str, next_in: float | None, trace: str = "") -> None:
        tries = self.get(account_id).tries + 1
        self._set(account_id, reason=reason, trace=trace, due=self._in(next_in), asked=None, tries=tries)

    def gave_way(self, account_id: int) -> None:
        self._set(account_id, due=self._now())

    def set_reason(self, account_id: int, reason: str, trace: str = "") -> None:
        self._set(account_id, reason=reason, trace=trace)

    def _in(self, seconds: float | None) -> int | None:
        return None if seconds is None else int(self._clock() + seconds)

    # The queue

    def version(self) -> int:
        return self._version

    def begin(self, _every: int) -> None: ...

    def _first(self) -> tuple[int, int] | None:
        while self._due and self.get(self._due[0][1]).due != self._due[0][0]:
            heapq.heappop(self._due)
        return self._due[0] if self._due else None

    def outlook(self, domains: Iterable[str]) -> dict[str, int]:
        first = self._first()
        return {} if first is None else dict.fromkeys(domains, first[0])

    def backlog(self, domains: Iterable[str]) -> dict[str, Backlog]:
        now = self._now()
        due = len({number for at, number in self._due if at <= now and self.get(number).due == at})
        first = self._first()
        return {domain: Backlog(due, 0, max(0, now - first[0]) if first is not None else 0) for domain in domains}

    def take(self, _domains: Sequence[str], most: int, *, asked_only: bool = False) -> list[Account]:
        taken: list[Account] = []
        while len(taken) < most and (first := self._first()) is not None and first[0] <= self._now():
            heapq.heappop(self._due)
            account = self._set(first[1], due=None)
            if account.movable:
                taken.append(account)
        return taken

    def put_off(self, _domains: Sequence[str], _reason: str, _seconds: int) -> None:
        """Nobody has asked."""

    def paused_of(self, _account_ids: Iterable[int]) -> list[int]:
        return []


class _Fenced:
    """Writes under a lease."""

    def __init__(self, memory: Memory, fence: Fence) -> None:
        self._memory = memory
        self._fence = fence

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._memory, name)
        if not callable(method):
            return method

        def write(*arguments: Any, **named: Any) -> Any:
            self._fence(self._memory.shared)
            return method(*arguments, **named)

        return write


def _far(messages: Far, octets: Far) -> dict[str, int]:
    done, total = messages, octets
    return {"messages_done": done[0], "messages_total": done[1], "bytes_done": total[0], "bytes_total": total[1]}
