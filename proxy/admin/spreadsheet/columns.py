"""Which column of a table has what: by the titles, wherever in its first rows they stand; without titles, the accounts
by what is in the cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Final

from proxy.admin.spreadsheet.table import Row, Table, Unreadable
from proxy.admin.spreadsheet.titles import Field, Title, title_of
from proxy.admin.spreadsheet.values import has_address, looks_like_address, words

_TITLES_WITHIN: Final = 20  # rows
_SAMPLE: Final = 200  # rows
_NAMES: Final[Mapping[Field, str]] = {
    "email": "account",
    "legacy_login": "legacy login",
    "given": "given name",
}
_ONE_AT_MOST: Final[tuple[Field, ...]] = ("domain", "password", "quota", "legacy_login")


@dataclass(slots=True)
class Columns:
    """Columns from 0. `understood` is for the administrator."""

    account: int
    domain: int | None = None
    name: int | None = None
    surname: int | None = None
    given: int | None = None
    departments: list[tuple[int, bool]] = field(default_factory=list)  # from the top; is it a whole path?
    password: int | None = None
    quota: int | None = None
    unit: str = ""  # of quotas
    aliases: list[int] = field(default_factory=list)
    legacy_login: int | None = None
    title: str = ""  # of the column of accounts
    understood: list[str] = field(default_factory=list)

    @property
    def fields(self) -> frozenset[str]:
        """Those of `mailstore.roster.FIELDS` that the table has."""
        present = {
            "full_name": {self.name, self.surname, self.given} != {None},
            "department": bool(self.departments),
            "quota": self.quota is not None,
            "legacy_login": self.legacy_login is not None,
            "aliases": bool(self.aliases),
            "password": self.password is not None,
        }
        return frozenset(name for name, there in present.items() if there)


def understand(table: Table, served: Mapping[str, str]) -> tuple[Columns, Iterator[Row]] | None:
    """The columns, and the rows below the titles; None where no column has accounts. Raises Unreadable."""
    rows = iter(table.rows)
    head = list(islice(rows, _SAMPLE))
    at = _titles_at(head, served)
    if at is not None:
        columns = _by_title(table, head, at, served)
        return columns, chain(head[at + 1 :], rows)
    column = _by_content(head, served)
    if column is None:
        return None
    said = f"no titles: column {column + 1} has addresses, and is taken for the accounts"
    others = max(map(len, (row.cells for row in head)), default=0) > 1
    return Columns(column, understood=[said + ("; the others are ignored" if others else "")]), chain(head, rows)


# By title


def _titles_at(head: Sequence[Row], served: Mapping[str, str]) -> int | None:
    """The row with most known titles, an account's among them; nobody's address stands above it."""
    best, most = None, 0
    for number, row in enumerate(head[:_TITLES_WITHIN]):
        if any(has_address(cell) for cell in row.cells):
            break
        found = {title.field for cell in row.cells if (title := title_of(words(cell))) is not None}
        if found & {"email", "account"} and len(found) > most:
            filled = sum(bool(words(cell)) for cell in row.cells)
            if len(found) > 1 or filled == 1 or number == 0 or _is_no_account(head, number, served):
                best, most = number, len(found)
    return best


def _is_no_account(head: Sequence[Row], number: int, served: Mapping[str, str]) -> bool:
    """Is a single known title, among unknown ones and below other rows, really one? Accounts can be called "mail"."""
    row = head[number]
    titles = [title_of(words(cell)) for cell in row.cells]
    column = next(n for n, title in enumerate(titles) if title is not None and title.field in {"email", "account"})
    return not row.cells[column].isascii() or _share(head[number + 1 :], column, served) > 0.5


def _share(rows: Sequence[Row], column: int, served: Mapping[str, str]) -> float:
    """Of the cells of a column that are not empty, how many are addresses of domains that are served."""
    cells = [cell for row in rows if (cell := row.cell(column)).strip()]
    return sum(looks_like_address(cell, served) for cell in cells) / len(cells) if cells else 0.0


def _by_title(table: Table, head: Sequence[Row], at: int, served: Mapping[str, str]) -> Columns:
    row = head[at]
    texts = [words(cell) for cell in row.cells]
    titles = {n: title for n, text in enumerate(texts) if (title := title_of(text)) is not None}
    account = _account(titles, head[at + 1 :], served)
    columns = Columns(account, title=texts[account])
    used = {account: "account"}
    for name in _ONE_AT_MOST:
        same = [n for n, title in titles.items() if title.field == name]
        if len(same) > 1:
            named = " and ".join(f'"{texts[n]}"' for n in same)
            raise Unreadable(
                f"{table.place(row.number)}: {named} are both taken for the {_NAMES.get(name, name)}: keep one of them"
            )
        for n in same:
            setattr(columns, name, n)
            used[n] = _NAMES.get(name, name)
    if columns.quota is not None:
        columns.unit = titles[columns.quota].unit
        used[columns.quota] += f" in {columns.unit.rstrip('B')}B" if columns.unit else ""
    _names(columns, titles, used)
    columns.aliases = [n for n, title in titles.items() if title.field == "alias"]
    used |= dict.fromkeys(columns.aliases, "alias")
    below = sorted((title.level, n) for n, title in titles.items() if title.field == "department")
    columns.departments = [(n, level == 0 and len(below) == 1) for level, n in below]
    used |= dict.fromkeys((n for n, _ in columns.departments), "department")
    columns.understood = list(_said(table, head, at, texts, titles, used))
    return columns


def _account(titles: Mapping[int, Title], below: Sequence[Row], served: Mapping[str, str]) -> int:
    """Among several, the one that has addresses of served domains; where none has, the one for names of accounts."""
    found = [(n, title.field) for n, title in titles.items() if title.field in {"email", "account"}]
    shares = {n: _share(below, n, served) for n, _ in found}
    first = "email" if max(shares.values()) > 0 else "account"
    return max(found, key=lambda one: (shares[one[0]], one[1] == first, -one[0]))[0]


def _names(columns: Columns, titles: Mapping[int, Title], used: dict[int, str]) -> None:
    """The whole name, or surname and given name."""
    of: dict[Field, int] = {}
    for n, title in titles.items():
        of.setdefault(title.field, n)
    if "name" in of and not ("given" in of and "surname" in of):
        columns.name = of["name"]
        used[of["name"]] = "name"
        return
    columns.surname, columns.given = of.get("surname"), of.get("given")
    for column, word in ((columns.surname, "surname"), (columns.given, "given name")):
        if column is not None:
            used[column] = word


def _said(
    table: Table,
    head: Sequence[Row],
    at: int,
    texts: Sequence[str],
    titles: Mapping[int, Title],
    used: Mapping[int, str],
) -> Iterator[str]:
    where = table.place(head[at].number)
    said = ", ".join(f"{texts[n]} = {used[n]}" if texts[n] != used[n] else texts[n] for n in sorted(used))
    yield f"titles in {where}: {said}"
    if at:
        above = table.place(head[0].number) if at == 1 else table.places(head[0].number, head[at - 1].number)
        yield f"passed over, because above the titles: {above}"
    spare = [n for n, title in titles.items() if n not in used and title.field in {"email", "account"}]
    if spare:
        named = ", ".join(texts[n] for n in spare)
        yield (
            f"ignored, because {texts[next(n for n in used if used[n] == 'account')]} has the accounts: {named}; if "
            "that is what they are called at the old server, give it the title legacy login (原登录名)"
        )
    unknown = [text for n, text in enumerate(texts) if text and n not in used and n not in spare]
    if unknown:
        more = f" and {len(unknown) - 20} more" if len(unknown) > 20 else ""
        yield f"ignored, because not known here: {', '.join(unknown[:20])}{more}"


# By content


def _by_content(head: Sequence[Row], served: Mapping[str, str]) -> int | None:
    width = max((len(row.cells) for row in head), default=0)
    shares = {column: _share(head, column, served) for column in range(width)}
    best = max(shares, key=lambda column: (shares[column], -column), default=None)
    return best if best is not None and shares[best] > 0.5 else None
