"""Rows to accounts, and everything that is wrong with them, each with its row, its value and what would be right."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from mailstore.roster import Address, Entry
from proxy.admin.spreadsheet import values
from proxy.admin.spreadsheet.columns import Columns
from proxy.admin.spreadsheet.table import Row, Table, Unreadable
from proxy.config.mistakes import Unfit, printable
from proxy.login.names import Name

T = TypeVar("T")

# "合计：312 人" below a list.
_SUM = re.compile(
    r"(?:合计|总计|小计|共计|合計|總計|小計|共計|共)\s*[:：]?\s*[\d,]*\s*(?:人|名|个|個|户|戶|条|條|位)?|totals?\s*:?\s*[\d,]+.*",
    re.IGNORECASE,
)
_ONE_MAILBOX: Final = "one mailbox there is one account here"
_SUM_BESIDE: Final = re.compile(r"totals?:?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that keeps a list from being taken. `place` is "row 7", or "" where it is about the whole; `text` says
    what is wrong and what would be right."""

    place: str
    text: str
    account: str = ""
    order: tuple[int, int] = (0, 0)  # which table it is in, and which row

    def __str__(self) -> str:
        return f"{self.place}: {self.text}" if self.place else self.text


@dataclass(slots=True)
class Listing:
    """A whole list, as it was understood. Wrong if there are mistakes."""

    entries: dict[Address, Entry] = field(default_factory=dict)
    fields: frozenset[str] = frozenset()
    understood: list[str] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)
    places: dict[Address, str] = field(default_factory=dict)  # of accounts
    orders: dict[Address, tuple[int, int]] = field(default_factory=dict)  # … as in Mistake
    spaced_passwords: int = 0  # that begin or end with a space


class Checking:
    """One list, of one table or several."""

    def __init__(self, served: Mapping[str, str], domain: str | None, login_at: Callable[[str, str], str]) -> None:
        """`served`: domains by their spellings; `domain`: of accounts that are written without one; `login_at`: what an
        account, of local part and domain, is called at the legacy server where nobody says otherwise."""
        self.listing = Listing()
        self._served = served
        self._domain = domain
        self._login_at = login_at
        self._tables = 0
        self._before: str | None = None  # the sheet that was added last
        self._logins: dict[tuple[str, str], Address] = {}  # by domain and login at the legacy server
        self._alias_places: dict[Address, tuple[str, Address]] = {}

    def add(self, table: Table, columns: Columns, rows: Iterable[Row]) -> None:
        """Raises Unreadable."""
        self.listing.understood += [table.understood, *columns.understood, *table.remarks]
        if self._before is not None and columns.fields != self.listing.fields:
            raise Unreadable(
                f'the sheets "{self._before}" and "{table.sheet}" have different columns: give them the same, or '
                "import one after the other"
            )
        self._tables += 1
        self._before, self.listing.fields = table.sheet, columns.fields
        for row in rows:
            if any(cell.strip() for cell in row.cells) or row.odd:
                self._take(table, columns, row)

    def finish(self) -> Listing:
        """The list, once all of it was added."""
        listing = self.listing
        for alias, (place, owner) in self._alias_places.items():
            other = listing.places.get(alias)
            if other is not None and alias != owner:
                text = f"the alias {_spelled(alias)} is the account of {other}: take one of them out"
                listing.mistakes.append(Mistake(place, text, _spelled(owner), listing.orders[owner]))
        if self._logins:
            listing.mistakes += self._logins_of_others()
        listing.mistakes.sort(key=lambda mistake: mistake.order)
        if not listing.entries and not listing.mistakes:
            listing.mistakes.append(
                Mistake("", "there is no account in it: has it the right sheet, and rows below the titles?")
            )
        return listing

    def _take(self, table: Table, columns: Columns, row: Row) -> None:
        place = table.place(row.number)
        if _is_sum(row, columns.account):
            self.listing.understood.append(f"passed over, because it is a sum: {place}")
            return
        if columns.title and values.words(row.cell(columns.account)) == columns.title:
            self.listing.understood.append(f"passed over, because it has the titles again: {place}")
            return
        problems: list[str] = []
        entry = _Reading(row, columns, self._served, self._domain, problems).entry()
        name = "" if entry is None else entry.name
        order = self._tables, row.number
        before = None if entry is None else self.listing.places.get(entry.address)
        if before is not None:
            problems.append(f"{name} stands in {before} already: take one of them out")
        elif entry is not None:
            self.listing.entries[entry.address] = entry
            self.listing.places[entry.address] = place
            self.listing.orders[entry.address] = order
            problems += self._aliases_elsewhere(entry, place)
            login = entry.domain, entry.legacy_login.lower()
            if entry.legacy_login and (other := self._logins.setdefault(login, entry.address)) != entry.address:
                text = f'the legacy login "{entry.legacy_login}" stands in {self.listing.places[other]} already'
                problems.append(f"{text}: {_ONE_MAILBOX}")
            if entry.password is not None and entry.password != entry.password.strip():
                self.listing.spaced_passwords += 1
        self.listing.mistakes += [Mistake(place, text, name, order) for text in problems]

    def _logins_of_others(self) -> Iterator[Mistake]:
        """Legacy logins that are another account's, of which the list says nothing else."""
        listing = self.listing
        for other in listing.entries.values():
            login = other.domain, self._login_at(other.local, other.domain).lower()
            address = self._logins.get(login) if not other.legacy_login else None
            if address is not None and address != other.address:
                entry = listing.entries[address]
                of = f"{other.name} in {listing.places[other.address]}"
                text = f'the legacy login "{entry.legacy_login}" is that of {of}, by the domain\'s form: {_ONE_MAILBOX}'
                yield Mistake(listing.places[address], text, entry.name, listing.orders[address])

    def _aliases_elsewhere(self, entry: Entry, place: str) -> Iterator[str]:
        for alias in entry.aliases:
            known = self._alias_places.setdefault(alias, (place, entry.address))
            if known[1] != entry.address:
                yield f"the alias {_spelled(alias)} stands in {known[0]} already: take one of them out"


def _spelled(address: Address) -> str:
    return f"{address[0]}@{address[1]}"


def _is_sum(row: Row, account: int) -> bool:
    first = next((values.words(cell) for cell in row.cells if cell.strip()), "")
    empty = not row.cell(account).strip() and account not in row.odd
    return bool(_SUM.fullmatch(first) or (empty and _SUM_BESIDE.fullmatch(first)))


class _Reading:
    """One row. What is wrong goes to `problems`."""

    def __init__(
        self, row: Row, columns: Columns, served: Mapping[str, str], domain: str | None, problems: list[str]
    ) -> None:
        self._row = row
        self._columns = columns
        self._served = served
        self._domain = domain
        self._problems = problems

    def entry(self) -> Entry | None:
        """None where it is not even known whose row it is."""
        columns = self._columns
        name = self._name()
        if name is None:
            return None
        return Entry(
            name.local,
            name.domain,
            full_name=self._full_name(),
            department=self._of(self._departments, ""),
            quota=self._at(columns.quota, "quota", lambda text: values.quota(text, columns.unit), None),
            legacy_login=self._at(columns.legacy_login, "legacy login", values.login, ""),
            aliases=tuple(self._aliases(name)),
            password=self._at(columns.password, "", values.password, None),
        )

    def _text(self, column: int | None, word: str) -> str:
        if column is None:
            return ""
        if column in self._row.odd:
            shown = printable(values.words(self._row.cell(column)))
            value = f' "{shown}"' if shown and word else ""
            self._problems.append(f"the {word or 'password'}{value} {self._row.odd[column]}")
            return ""
        return self._row.cell(column)

    def _of(self, read: Callable[[], T], otherwise: T) -> T:
        try:
            return read()
        except Unfit as error:
            self._problems.append(str(error))
            return otherwise

    def _at(self, column: int | None, word: str, read: Callable[[str], T], otherwise: T) -> T:
        text = self._text(column, word)
        return self._of(lambda: read(text), otherwise) if text.strip() else otherwise

    def _name(self) -> Name | None:
        text = self._text(self._columns.account, "account")
        if self._columns.account in self._row.odd:
            return None
        if not values.words(text):
            self._problems.append("the account is missing: write it, or take the row out")
            return None
        domain = self._domain_beside() or self._domain
        name = self._of(lambda: values.address(text, self._served, domain), None)
        if name is not None and self._columns.domain is not None and domain is not None:
            beside = self._served.get(domain)
            if beside is not None and beside != name.domain:
                self._problems.append(f"{name} stands beside the domain {beside}: which of them is right?")
        return name

    def _domain_beside(self) -> str:
        text = values.words(self._text(self._columns.domain, "domain"))
        return text.lstrip("@＠").strip().lower().rstrip(".")

    def _full_name(self) -> str:
        columns = self._columns
        if columns.name is not None:
            return self._at(columns.name, "name", values.person, "")
        surname, given = self._text(columns.surname, "surname"), self._text(columns.given, "given name")
        return self._of(lambda: values.full_name(surname, given), "")

    def _departments(self) -> str:
        parts: list[str] = []
        for column, whole in self._columns.departments:
            parts += values.levels(self._text(column, "department"), hyphens=whole)
        return values.path(parts)

    def _aliases(self, name: Name) -> Iterator[Address]:
        met = {(name.local, name.domain)}
        for column in self._columns.aliases:
            for part in values.several(self._text(column, "alias")):
                alias = self._of(lambda part=part: self._alias(part, name), None)  # type: ignore[misc]
                if alias is not None and (alias.local, alias.domain) not in met:
                    met.add((alias.local, alias.domain))
                    yield alias.local, alias.domain

    def _alias(self, text: str, name: Name) -> Name:
        try:
            return values.address(text, self._served, name.domain, cell=False)
        except Unfit as error:
            raise Unfit(f"the alias {error}") from None
