"""How far all of it is: figures of domains and departments, and pages of accounts as an administrator wants them.

Figures are kept (`mailstore.counters`), so that they cost what there are departments, not accounts. A page costs its
own accounts, not all that there are: how it is found is `mailstore.paging`'s to say. It is found by the last account of
the one before it (keyset), so it stays where it is while accounts change, come and go. Reads only. Every method is one
transaction, or one for each thousand accounts, and may be called from any thread. `proxy.admin.overview` puts into
words what is found here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import Any, Final

from sqlalchemy import Connection, func, literal, select

from mailstore import paging
from mailstore.accounts import Account
from mailstore.database import AccountsDatabase
from mailstore.figures import Figures, Kept
from mailstore.naming import Looking
from mailstore.page_statements import NUMBERS, among, inside
from mailstore.paging import Page, key_of
from mailstore.schema import accounts
from mailstore.wanted import Key, Sort, Wanted, conditions, is_key

__all__ = ["Figures", "Key", "Overview", "Page", "Sort", "Wanted", "conditions", "is_key", "key_of"]

MOST_COUNTED: Final = 10_000  # accounts that a filter finds; beyond that it is "more than"
MOST_FOUND: Final = 1_000  # … that are searched for by a part of a name, and have to be looked at one by one
BATCH: Final = 1_000


class Overview:
    """All accounts of the installation, as they are now."""

    def __init__(self, database: AccountsDatabase) -> None:
        self._database = database

    def domains(self) -> dict[str, Figures]:
        """Each domain that has accounts, with its figures."""
        with self._database.read() as connection:
            return Kept(connection).domains()

    def departments(self, domain: str) -> dict[str, Figures]:
        """By path, each without what is below it; "" are accounts that have no department."""
        with self._database.read() as connection:
            return Kept(connection).departments(domain)

    def figures(self, wanted: Wanted) -> Figures:
        """Of a domain, or a department and what is below it, in a state or in all. Raises ValueError for what no
        figures are kept of."""
        with self._database.read() as connection:
            return Kept(connection).figures(wanted)

    def count(self, wanted: Wanted, most: int | None = None) -> int:
        """How many there are, counted up to one more than `most`; if not said, than `most_counted`."""
        most = most_counted(wanted) if most is None else most
        with self._database.read() as connection:
            return _count(connection, Looking(connection, wanted), wanted, most)

    def exactly(self, wanted: Wanted) -> int:
        """How many there are, however many."""
        with self._database.read() as connection:
            return _count(connection, Looking(connection, wanted), wanted, None)

    def page(
        self,
        wanted: Wanted,
        limit: int,
        *,
        sort: Sort = Sort.NAME,
        behind: Key | None = None,
        before: Key | None = None,
    ) -> Page:
        """Up to `limit` accounts behind one place of the order, or the last ones before it; else the first ones."""
        with self._database.read() as connection:
            looking = Looking(connection, wanted, ordered=sort in NUMBERS)
            return paging.page(connection, looking, wanted, limit, sort=sort, behind=behind, before=before)

    def page_and_count(
        self,
        wanted: Wanted,
        limit: int,
        *,
        sort: Sort = Sort.NAME,
        behind: Key | None = None,
        before: Key | None = None,
    ) -> tuple[Page, int]:
        """Both, of one moment: names are looked up once."""
        with self._database.read() as connection:
            looking = Looking(connection, wanted, ordered=sort in NUMBERS)
            most = most_counted(wanted)
            page = paging.page(
                connection, looking, wanted, limit, sort=sort, behind=behind, before=before, counted=most
            )
            return page, _count(connection, looking, wanted, most) if page.known is None else page.known

    def each(self, wanted: Wanted, *, sort: Sort = Sort.NAME) -> Iterator[Account]:
        """All of them, a thousand at a time: a long list never holds the database."""
        for some in self.batches(wanted, BATCH, sort=sort):
            yield from some

    def batches(self, wanted: Wanted, size: int, *, sort: Sort = Sort.NAME) -> Iterator[Sequence[Account]]:
        """The same by up to `size` accounts, each batch as it is when it is asked for."""
        behind: Key | None = None
        while True:
            page = self.page(wanted, size, sort=sort, behind=behind)
            yield page.accounts
            if not page.behind:
                return
            behind = key_of(page.accounts[-1], sort)


def most_counted(wanted: Wanted) -> int:
    """Of those that a filter finds. A number that is told is exact; beyond this it is not told."""
    return MOST_FOUND if wanted.text or wanted.words else MOST_COUNTED


def _count(connection: Connection, looking: Looking, wanted: Wanted, most: int | None) -> int:
    """Up to one more than `most`, if that is said."""
    kept = Kept(connection).count(wanted)
    if kept is not None:
        return kept if most is None else min(kept, most + 1)
    numbers = looking.found()
    if numbers is not None:
        return _among(connection, wanted, numbers, most)
    within = looking.within()
    if within is None and most is not None and _among(connection, wanted, looking.some(), most) > most:
        return most + 1
    # Of all accounts it is quicker to look for aliases first; of some, one by one.
    holds = conditions(wanted, one_by_one=most is not None)
    if within is not None:
        holds.append(inside(within, server=connection.dialect.name == "postgresql"))
    some: Any = select(literal(1)).select_from(accounts).where(*holds)
    if most is not None:
        some = some.limit(most + 1)
    return int(connection.execute(select(func.count()).select_from(some.subquery())).scalar_one())


def _among(connection: Connection, wanted: Wanted, numbers: Collection[int], most: int | None) -> int:
    found = among(connection, wanted, numbers)
    return sum(1 for _ in (found if most is None else islice(found, most + 1)))
