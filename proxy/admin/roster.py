"""Importing a list of accounts: read whole, checked whole, held against what is here, and taken over whole or not at
all. And exporting what `read` reads.

    read → compare (a dry run) → enrol

`mailstore.roster` has the rules for what an import may change; `proxy.admin.spreadsheet` how files are understood.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from mailstore.accounts import Accounts
from mailstore.database import AccountsDatabase
from mailstore.overview import Wanted
from mailstore.people import People, Person
from mailstore.roster import FIELDS, Clash, Clashes, Comparison, Entry, LoginAt, Roster
from mailstore.secrets import Sealer
from proxy.admin.spreadsheet import Row, Table, Unreadable
from proxy.admin.spreadsheet.checking import Checking, Listing, Mistake
from proxy.admin.spreadsheet.columns import Columns, understand
from proxy.admin.spreadsheet.formulas import defused, marked
from proxy.admin.spreadsheet.table import LARGEST
from proxy.admin.spreadsheet.values import spelled_path, spelled_quota
from proxy.config import Config

TITLES: Final = ("account", "name", "department", "quota", "alias", "legacy login")


class BadList(Exception):
    """A list that cannot be taken; nothing was changed. Everything that is wrong with it, and what was understood."""

    def __init__(self, mistakes: Sequence[Mistake], understood: Sequence[str] = ()) -> None:
        super().__init__(f"{len(mistakes)} mistakes")
        self.mistakes = mistakes
        self.understood = understood


def kept(config: Config, database: AccountsDatabase, sealer: Sealer | None = None) -> Roster:
    """The accounts that lists are held against. `sealer` is needed where lists have passwords."""
    return Roster(database, _login_at(config), sealer)


def _login_at(config: Config) -> LoginAt:
    return lambda local, name: config.domains[name].legacy.login_name(local, name)


def read_file(
    config: Config, path: Path, *, charset: str | None = None, sheets: Sequence[str] = (), domain: str | None = None
) -> Listing:
    """As `read`. Raises BadList, also for a file that cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise BadList([Mistake("", f"cannot be read: {error.strerror}")]) from None
    return read(config, data, charset=charset, sheets=sheets, domain=domain)


def read(
    config: Config, data: bytes, *, charset: str | None = None, sheets: Sequence[str] = (), domain: str | None = None
) -> Listing:
    """A list without mistakes. `charset` of a text, if it is not to be found out; `sheets` of a workbook, where not
    the one that has accounts; `domain`, in lower case, of accounts that are written without one. Raises BadList."""
    if len(data) > LARGEST:
        raise BadList([Mistake("", f"is over {LARGEST // 1024**2} MiB: import it in parts")])
    served = config.spellings
    if domain is None and len(config.domains) == 1:
        (domain,) = config.domains
    checking = Checking(served, domain, _login_at(config))
    try:
        for table, columns, below in _with_accounts(_tables(data, charset, sheets), served, all_of_them=bool(sheets)):
            checking.add(table, columns, below)
    except Unreadable as error:
        raise BadList([Mistake("", str(error))], checking.listing.understood) from None
    listing = checking.finish()
    if listing.mistakes:
        raise BadList(listing.mistakes, listing.understood)
    return listing


def _tables(data: bytes, charset: str | None, sheets: Sequence[str]) -> list[Table]:
    from proxy.admin.spreadsheet import delimited, packed  # noqa: PLC0415

    if not data.strip(b"\xef\xbb\xbf \t\r\n"):
        raise Unreadable("is empty")
    if packed.is_workbook(data):
        from proxy.admin.spreadsheet import workbook  # noqa: PLC0415 - openpyxl takes a quarter of a second

        return workbook.tables(data, sheets)
    if sheets:
        raise Unreadable("is a text file, which has no sheets: leave --sheet out")
    return [delimited.table(data, charset)]


def _with_accounts(
    tables: Sequence[Table], served: Mapping[str, str], *, all_of_them: bool
) -> list[tuple[Table, Columns, Iterator[Row]]]:
    """The tables that have a column of accounts. Raises Unreadable where there is none, or more than one that nobody
    has named."""
    understood = [(table, *found) for table in tables if (found := understand(table, served)) is not None]
    if not understood:
        raise Unreadable(_no_accounts(tables))
    if len(understood) > 1 and not all_of_them:
        named = _sheets(table for table, *_ in understood)
        raise Unreadable(f"several sheets have accounts: {named}; say with --sheet which, once for each")
    known = [table.sheet for table, *_ in understood]
    without = [table for table in tables if table.sheet not in known]
    if without and all_of_them:
        raise Unreadable(f"no column of accounts was found in {_sheets(without)}")
    if without:
        understood[0][0].remarks.append(f"not read, because no column of accounts was found: {_sheets(without)}")
    return understood


def _sheets(tables: Iterable[Table]) -> str:
    """The first ten, in words."""
    return ", ".join(f'the sheet "{table.sheet}"' for table in islice(tables, 10))


def _no_accounts(tables: Sequence[Table]) -> str:
    if not tables:
        return "has no sheet with anything in it"
    how = tables[0].understood if len(tables) == 1 else f"{len(tables)} sheets"
    return (
        f"no column of accounts was found ({how}): give the columns titles in one of the first rows, such as "
        "account, name, department, or 邮箱, 姓名, 部门"
    )


def compare(roster: Roster, listing: Listing) -> Comparison:
    """What `enrol` would do. Raises BadList where names would be two accounts', and MailstoreError."""
    found = roster.compare(listing.entries, listing.fields)
    if found.clashes:
        raise BadList(_clashes(found.clashes, listing), listing.understood)
    return found


def enrol(roster: Roster, listing: Listing, agreed: Callable[[Comparison], bool] | None = None) -> Comparison:
    """Take the list over; what was done. Raises as `compare`, and Otherwise where `agreed` is told something else than
    was agreed to; then nothing was changed."""
    try:
        return roster.enrol(listing.entries, listing.fields, agreed)
    except Clashes as error:
        raise BadList(_clashes(error.clashes, listing), listing.understood) from None


def _clashes(clashes: Sequence[Clash], listing: Listing) -> list[Mistake]:
    found = []
    for clash in clashes:
        name = f"{clash.address[0]}@{clash.address[1]}"
        owner = clash.entry
        place = listing.places.get(owner.address, "") if owner is not None else ""
        what = f"the alias {name}" if owner is not None and owner.address != clash.address else name
        found.append(Mistake(place, f"{what} {clash.why}: take one of them out", "" if owner is None else owner.name))
    return found


# Single accounts


class Refused(Exception):
    """It cannot be done. The text is for the administrator."""


def add(roster: Roster, accounts: Accounts, entry: Entry) -> None:
    """One account that is not here yet. Raises Refused and MailstoreError."""
    if accounts.find(entry.local, entry.domain) is not None:
        raise Refused(f"{entry.name} is here already; `mailferry accounts import` changes what a list says otherwise")
    listing = Listing({entry.address: entry}, frozenset(FIELDS))
    try:
        enrol(roster, listing)
    except BadList as error:
        raise Refused("; ".join(map(str, error.mistakes))) from None


# Exporting


def rows(people: People, wanted: Wanted) -> Iterator[tuple[str, ...]]:
    """The titles, and then a row for each account, as `read` understands them; no password. Raises MailstoreError."""
    yield TITLES
    for person in people.each(wanted):
        yield _row(person)


def _row(person: Person) -> tuple[str, ...]:
    account = person.account
    return (
        marked(account.name),
        defused(account.full_name),
        defused(spelled_path(account.department)),
        spelled_quota(account.quota),
        marked(";".join(person.aliases)),
        marked(account.legacy_login),
    )
