"""Accounts and their states.

`waiting` → `moving` → `moved` → `final`, and `blocked` from anywhere (DESIGN.md, "Words"). Names are kept in
lower case; the gate folds what clients send before it asks here. Every method is one transaction and may be
called from any thread.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, case, func, insert, select, update
from sqlalchemy.engine import Row

from mailstore.database import AccountsDatabase
from mailstore.prepared import Prepared
from mailstore.schema import accounts


class State(enum.StrEnum):
    WAITING = "waiting"  # never logged in here
    MOVING = "moving"  # the legacy server said yes, the old mailbox is not whole here yet
    MOVED = "moved"  # everything listed is here; later logins fetch what arrived since
    FINAL = "final"  # the legacy server is no longer asked
    BLOCKED = "blocked"  # needs a person


@dataclass(frozen=True, slots=True)
class Account:
    """One mailbox owner. Times in seconds since 1970."""

    id: int
    domain: str
    local: str
    state: State
    reason: str
    password_hash: str | None
    sealed_password: bytes | None
    last_login: int | None
    refreshed: int | None
    messages_done: int
    messages_total: int
    bytes_done: int
    bytes_total: int

    @property
    def name(self) -> str:
        return f"{self.local}@{self.domain}"

    def __repr__(self) -> str:  # hash and sealed password stay out of logs
        return f"<Account {self.name} {self.state}>"


@dataclass(frozen=True, slots=True)
class Totals:
    """A domain's figures for `status`."""

    accounts: int = 0
    waiting: int = 0
    moving: int = 0
    moved: int = 0
    final: int = 0
    blocked: int = 0
    messages: int = 0
    bytes: int = 0


_COLUMNS = [accounts.c[name] for name in Account.__slots__]
_FIND = select(*_COLUMNS).where(accounts.c.domain == bindparam("d"), accounts.c.local == bindparam("l"))
_LOOK_UP = Prepared(_FIND)
_GET = select(*_COLUMNS).where(accounts.c.id == bindparam("i"))

_LOGGED_IN = update(accounts).where(accounts.c.id == bindparam("i")).values(last_login=bindparam("now"))


def _account(row: Row[Any]) -> Account:
    values = dict(row._mapping)
    values["state"] = State(values["state"])
    return Account(**values)


class Accounts:
    """All accounts of the installation."""

    def __init__(self, database: AccountsDatabase, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def _now(self) -> int:
        return int(self._clock())

    def find(self, local: str, domain: str) -> Account | None:
        row = self._database.first(_LOOK_UP, {"d": domain, "l": local})
        if row is None:
            return None
        values = dict(zip(Account.__slots__, row, strict=True))
        return Account(**values | {"state": State(values["state"])})

    def get(self, account_id: int) -> Account:
        with self._database.read() as connection:
            return _account(connection.execute(_GET, {"i": account_id}).one())

    def add(self, local: str, domain: str) -> Account:
        """The account of that name, made as `waiting` if there is none."""
        values = {"local": local, "domain": domain, "state": State.WAITING, "created": self._now()}
        with self._database.write() as connection:
            row = connection.execute(_FIND, {"d": domain, "l": local}).first()
            if row is None:
                connection.execute(insert(accounts), values)
                row = connection.execute(_FIND, {"d": domain, "l": local}).one()
        return _account(row)

    def _change(self, account_id: int, **values: Any) -> None:
        with self._database.write() as connection:
            connection.execute(update(accounts).where(accounts.c.id == account_id).values(**values))

    def password_accepted(self, account_id: int, password_hash: str, sealed: bytes) -> None:
        """The legacy server said yes to this password: keep it. A waiting account is now moving; one that became
        final meanwhile gets no sealed copy (invariant 9)."""
        state = case((accounts.c.state == State.WAITING, State.MOVING.value), else_=accounts.c.state)
        kept = case((accounts.c.state == State.FINAL, None), else_=sealed)
        self._change(account_id, password_hash=password_hash, sealed_password=kept, state=state)

    def logged_in(self, *account_ids: int) -> None:
        """Their users have logged in: one transaction for all of them."""
        values = [{"i": account_id, "now": self._now()} for account_id in account_ids]
        with self._database.write() as connection:
            connection.execute(_LOGGED_IN, values)

    def progress(self, account_id: int, messages: tuple[int, int], octets: tuple[int, int]) -> None:
        """How far the account's move is: (done, total) of messages and of bytes."""
        self._change(
            account_id,
            messages_done=messages[0],
            messages_total=messages[1],
            bytes_done=octets[0],
            bytes_total=octets[1],
        )

    def moved(self, account_id: int, reason: str = "") -> None:
        """Everything that the legacy server listed is here. `reason` warns, for instance of quarantined messages."""
        state = case((accounts.c.state == State.MOVING, State.MOVED.value), else_=accounts.c.state)
        self._change(account_id, state=state, reason=reason, refreshed=self._now())

    def set_reason(self, account_id: int, reason: str) -> None:
        """Why the account is not further on, in words for the administrator; no secrets."""
        self._change(account_id, reason=reason)

    def totals(self) -> dict[str, Totals]:
        """Each domain that has accounts, with its figures."""
        counted = [func.sum(case((accounts.c.state == state, 1), else_=0)).label(state.value) for state in State]
        statement = select(
            accounts.c.domain,
            func.count().label("accounts"),
            *counted,
            func.sum(accounts.c.messages_done).label("messages"),
            func.sum(accounts.c.bytes_done).label("bytes"),
        ).group_by(accounts.c.domain)
        with self._database.read() as connection:
            rows = [dict(row._mapping) for row in connection.execute(statement)]
        return {row.pop("domain"): Totals(**row) for row in rows}

    def list(self, domain: str | None = None) -> Iterator[Account]:
        """The accounts by name, a thousand at a time: a long list never holds the database."""
        after = ("", "")
        while True:
            statement = select(*_COLUMNS).order_by(accounts.c.domain, accounts.c.local).limit(1000)
            later = (accounts.c.domain > after[0]) | ((accounts.c.domain == after[0]) & (accounts.c.local > after[1]))
            statement = statement.where(later)
            if domain is not None:
                statement = statement.where(accounts.c.domain == domain)
            with self._database.read() as connection:
                page = [_account(row) for row in connection.execute(statement)]
            yield from page
            if len(page) < 1000:
                return
            after = (page[-1].domain, page[-1].local)
