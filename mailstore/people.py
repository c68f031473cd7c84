"""Accounts with their other addresses, as lists and exports have them.

Reads only. Which accounts, and in which order, is `mailstore.overview`'s; a long list comes a page at a time, so that
it never holds the database.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from sqlalchemy import select

from mailstore.accounts import Account
from mailstore.database import AccountsDatabase
from mailstore.overview import Overview, Wanted
from mailstore.schema import aliases

TOGETHER = 500  # accounts whose addresses are asked for at once


@dataclass(frozen=True, slots=True)
class Person:
    """An account with its other addresses."""

    account: Account
    aliases: tuple[str, ...]


class People:
    """All accounts of the installation."""

    def __init__(self, database: AccountsDatabase) -> None:
        self._database = database
        self._overview = Overview(database)

    def each(self, wanted: Wanted) -> Iterator[Person]:
        """All that are wanted, by domain and local part. Raises MailstoreError."""
        for some in self._overview.batches(wanted, TOGETHER):
            names = self._aliases([account.id for account in some])
            yield from (Person(account, names.get(account.id, ())) for account in some)

    def aliases(self, account_id: int) -> tuple[str, ...]:
        """The account's other addresses. Raises MailstoreError."""
        return self._aliases([account_id]).get(account_id, ())

    def _aliases(self, numbers: Sequence[int]) -> dict[int, tuple[str, ...]]:
        """By account."""
        c = aliases.c
        owned = select(c.account_id, c.local, c.domain).where(c.account_id.in_(numbers))
        with self._database.read() as connection:
            rows = connection.execute(owned.order_by(c.account_id, c.domain, c.local)).all()
        return {
            number: tuple(f"{row.local}@{row.domain}" for row in some)
            for number, some in groupby(rows, lambda row: int(row.account_id))
        }
