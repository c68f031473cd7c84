"""What a damaged index can still tell: rows read out of the file that was set aside.

The file is opened for reading only, and nothing that comes out of it is believed before it is looked at: SQLite's
pages carry no checksums, so a row may be read without an error and yet be nonsense. A row whose columns are not of
the schema's kinds counts as lost, and so do two rows with one key, but for the first. What the rows mean, and
whether the files that they speak of are there, is for `mailstore.rebuilding`.

Rows are read in order of their rowid; where that fails, reading goes on behind the damage.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Column, Integer, LargeBinary, Table
from sqlalchemy.schema import DefaultClause

from mailstore import schema

WANTED: Final = (
    schema.mailboxes,
    schema.folders,
    schema.subscriptions,
    schema.metadata,
    schema.messages,
    schema.old_folders,
    schema.ledger,
)

_LARGEST: Final = 1024 * 1024  # octets of one value
_HIGHEST: Final = 2**53  # no number here is anywhere near
_ONE_BY_ONE: Final = 2_000  # rowids tried one after the other behind a damage, more than fit on a page
_LAST_ROWID: Final = 2**62

# Names and error texts may be no UTF-8; and a length that SQLite makes of nonsense is more memory than there is.
_UNREADABLE: Final = (sqlite3.Error, UnicodeDecodeError, MemoryError)

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Salvage:
    """The rows of one account, by table."""

    rows: dict[str, list[Row]] = field(default_factory=dict)

    def of(self, table: Table) -> list[Row]:
        return self.rows.get(table.name, [])

    def __bool__(self) -> bool:
        return any(self.rows.values())


def read(path: Path, account_id: int) -> Salvage:
    """Everything that can still be read of a damaged index. Raises nothing: what cannot be read is not there."""
    for mode in ("mode=ro", "mode=ro&immutable=1"):  # with what stands in its log, or without where that fails
        with suppress(*_UNREADABLE), closing(_opened(path, mode)) as connection:
            found = Salvage({table.name: list(_of_account(connection, table, account_id)) for table in WANTED})
            if found:
                return found
    return Salvage()


def free_name(path: Path) -> Path:
    """Where a damaged database is to be set aside."""
    number = 1
    while (aside := path.with_name(f"{path.name}.corrupt-{number}")).exists():
        number += 1
    return aside


def asides(path: Path) -> list[Path]:
    """The files that were set aside for a database, the last first."""
    numbered = []
    for aside in path.parent.glob(f"{path.name}.corrupt-*"):
        number = aside.name.rpartition("-")[2]
        if number.isascii() and number.isdigit():
            numbered.append((int(number), aside))
    return [aside for _, aside in sorted(numbered, reverse=True)]


def _opened(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, isolation_level=None)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LARGEST)
    connection.execute("PRAGMA trusted_schema=OFF")
    connection.execute("PRAGMA cell_size_check=ON")
    return connection


def of_record(connection: sqlite3.Connection, tables: Iterable[Table]) -> Salvage:
    """The rows of the one account that a record tells of; none where it does not tell of one."""
    accounts = connection.execute("SELECT account_id FROM mailboxes").fetchall()
    if len(accounts) != 1 or not isinstance(accounts[0][0], int):
        return Salvage()
    return Salvage({table.name: list(_of_account(connection, table, accounts[0][0])) for table in tables})


def _of_account(connection: sqlite3.Connection, table: Table, account_id: int) -> Iterator[Row]:
    columns = list(table.columns)
    key = [column.name for column in table.primary_key.columns]
    seen = set()
    for values in _rows(connection, table, columns):
        if not all(_sound(column, value) for column, value in zip(columns, values, strict=True)):
            continue
        row = dict(zip((column.name for column in columns), values, strict=True))
        name = tuple(row[each] for each in key)
        if row["account_id"] == account_id and name not in seen:
            seen.add(name)
            yield row


def _rows(connection: sqlite3.Connection, table: Table, columns: Sequence[Column[Any]]) -> Iterator[Sequence[Any]]:
    """The table's rows as far as they can be read."""
    there = {row[1] for row in connection.execute(f"PRAGMA table_info({table.name})")}
    if not there:
        return
    names = ", ".join(column.name if column.name in there else _default(column) for column in columns)
    query = f"SELECT rowid, {names} FROM {table.name} NOT INDEXED WHERE rowid > ? ORDER BY rowid"  # noqa: S608 - ours
    at = failures = 0
    while at < _LAST_ROWID:
        try:
            for rowid, *values in connection.execute(query, (at,)):
                if rowid <= at:
                    break  # pages that point in a circle
                at, failures = rowid, 0
                yield values
            else:
                return
        except _UNREADABLE:
            pass
        failures += 1
        at += 1 if failures <= _ONE_BY_ONE else 2 ** min(failures - _ONE_BY_ONE, 62)


def _default(column: Column[Any]) -> str:
    """What stands for a column that an older file does not have."""
    default = column.server_default
    if not isinstance(default, DefaultClause):
        return "NULL"
    text = str(default.arg)
    return text if isinstance(column.type, Integer) else f"'{text}'"


def _sound(column: Column[Any], value: object) -> bool:
    """Can this be the column's value?"""
    if value is None:
        return bool(column.nullable)
    if isinstance(column.type, Integer):
        return isinstance(value, int) and abs(value) < _HIGHEST
    return isinstance(value, bytes if isinstance(column.type, LargeBinary) else str)
