"""What was sent to users, so that nobody is sent the same thing twice.

A row is made before a message is handed to the relay, and completed after it: with the time where the relay took it,
with the relay's words where it did not. A row with neither is of a sending whose end nobody knows: the process was
killed, or the connection lost, after the relay had the whole message and before it answered.

Every method is one transaction, or one for each page of accounts, and may be called from any thread.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, case, func, insert, or_, select, update

from mailstore.accounts import Account, State, account_of, storable
from mailstore.database import AccountsDatabase
from mailstore.schema import accounts, notices
from mailstore.turns import Turn

PAGE: Final = 500  # accounts

_a, _n = accounts.c, notices.c
_COLUMNS = [_a[name] for name in Account.__slots__]
_OPEN = and_(_n.sent.is_(None), _n.refusal == "")


class Standing(enum.StrEnum):
    """What an account has had of one kind of notice."""

    NONE = "none"
    SENT = "sent"  # the relay took it
    REFUSED = "refused"  # the relay did not, whenever it was tried
    UNKNOWN = "unknown"  # it was begun, and nobody knows how that ended


_Had = tuple[Standing, int | None, str]  # standing, sent, refusal: as in `Recipient`
_NOTHING: Final[_Had] = (Standing.NONE, None, "")


@dataclass(frozen=True, slots=True)
class Recipient:
    """An account, and what it has had. `sent` in seconds since 1970; `refusal` are the relay's last words."""

    account: Account
    standing: Standing
    sent: int | None = None
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Sent:
    """One message to one account. `begun` and `sent` in seconds since 1970; without `sent` it was refused, with the
    relay's words, or nobody knows."""

    kind: str
    begun: int
    sent: int | None
    address: str
    refusal: str


@dataclass(frozen=True, slots=True)
class Choice:
    """Which accounts of a domain are meant. `names` are local parts, None for all; `department` is one with all that
    are below it; `newcomers`: only those who have never logged in."""

    domain: str
    names: Sequence[str] | None = None
    department: str = ""
    newcomers: bool = False

    def conditions(self) -> list[ColumnElement[bool]]:
        """Those that are final have nothing to be told any more."""
        found: list[ColumnElement[bool]] = [_a.domain == self.domain, _a.state != State.FINAL.value]
        if self.names is not None:
            found.append(_a.local.in_(self.names))
        if self.department:
            below = _a.department.startswith(f"{self.department}/", autoescape=True)
            found.append(or_(_a.department == self.department, below))
        if self.newcomers:
            found.append(_a.last_login.is_(None))
        return found


class Notices:
    """All sendings of the installation."""

    def __init__(self, database: AccountsDatabase, clock: Callable[[], float] | None = None) -> None:
        self._database = database
        self._clock = clock or database.time

    def _now(self) -> int:
        return int(self._clock())

    def mark(self) -> int:
        """The last row that there is: what comes behind it was begun later. To be taken before `recipients`."""
        with self._database.read() as connection:
            return int(connection.execute(select(func.max(_n.id))).scalar() or 0)

    def recipients(self, choice: Choice, kind: str, since: int = 0) -> Iterator[Recipient]:
        """Those who are meant, by name. Of what they have had, what was begun before `since` does not count."""
        after = ""
        while True:
            wanted = select(*_COLUMNS).where(*choice.conditions(), _a.local > after).order_by(_a.local).limit(PAGE)
            with self._database.read() as connection:
                page = [account_of(row._asdict()) for row in connection.execute(wanted)]
                had = self._had(connection, [account.id for account in page], kind, since)
            yield from (Recipient(account, *had.get(account.id, _NOTHING)) for account in page)
            if len(page) < PAGE:
                return
            after = page[-1].local

    def of(self, accounts: Iterable[Account], kind: str, since: int = 0) -> Iterator[Recipient]:
        """These, in their order, with what they have had of it since then."""
        left = iter(accounts)
        while page := list(islice(left, PAGE)):
            with self._database.read() as connection:
                had = self._had(connection, [account.id for account in page], kind, since)
            yield from (Recipient(account, *had.get(account.id, _NOTHING)) for account in page)

    def history(self, account_id: int, most: int) -> list[Sent]:
        """What was sent to an account, the latest first."""
        columns = [_n[name] for name in Sent.__slots__]
        wanted = select(*columns).where(_n.account_id == account_id).order_by(_n.id.desc()).limit(most)
        with self._database.read() as connection:
            return [Sent(*row) for row in connection.execute(wanted)]

    def _had(self, connection: Connection, numbers: Sequence[int], kind: str, since: int) -> dict[int, _Had]:
        """What these accounts have had of it, by number; those are left out that had nothing."""
        unknown = func.sum(case((_OPEN, 1), else_=0))
        last = func.max(case((_n.refusal != "", _n.id)))
        rows = connection.execute(
            select(_n.account_id, func.max(_n.sent).label("sent"), unknown.label("unknown"), last.label("last"))
            .where(_n.account_id.in_(numbers), _n.kind == kind, _n.begun >= since)
            .group_by(_n.account_id)
        ).all()
        refused = [row.last for row in rows if row.last is not None]
        words = connection.execute(select(_n.id, _n.refusal).where(_n.id.in_(refused)))
        said = {row.id: row.refusal for row in words}
        return {row.account_id: _had_so_far(row, said.get(row.last, "")) for row in rows}

    def begin(self, account_id: int, kind: str, address: str, known: int) -> int | None:
        """A message is about to be handed over; gives back the row's number. None, and nothing is to be sent, where
        somebody else has begun one since the mark `known` was taken."""
        with self._database.write(Turn.NOTICES) as connection:
            theirs = select(_n.id).where(_n.account_id == account_id, _n.kind == kind, _n.id > known, _n.refusal == "")
            if connection.execute(theirs).first() is not None:
                return None
            values = {"account_id": account_id, "kind": kind, "begun": self._now(), "address": address}
            made = connection.execute(insert(notices).values(values)).inserted_primary_key
            assert made is not None
            return int(made[0])

    def sent(self, number: int) -> None:
        """The relay took it."""
        self._complete(number, sent=self._now())

    def refused(self, number: int, words: str) -> None:
        """It was not sent, for certain. `words` say why."""
        self._complete(number, refusal=storable(words) or "no reason is known")

    def _complete(self, number: int, **values: Any) -> None:
        with self._database.write() as connection:
            connection.execute(update(notices).where(_n.id == number).values(**values))


def _had_so_far(row: Any, refusal: str) -> _Had:
    """One that was taken outweighs the others, and one of unknown end those that were refused."""
    if row.sent is not None:
        return Standing.SENT, row.sent, ""
    return Standing.UNKNOWN if row.unknown else Standing.REFUSED, None, refusal
