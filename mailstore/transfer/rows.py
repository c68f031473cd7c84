"""The rows of a table, as lines of PostgreSQL's COPY in text format (PostgreSQL, COPY, "Text Format").

SQLite writes them, which is several times as quick as Python. They are in the order of the table's key, text octet by
octet in both databases, so that the same rows are the same octets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from sqlalchemy import Connection, LargeBinary, String, Table

from mailstore.entries import NUL
from mailstore.onlooking import column_of
from mailstore.schema import DERIVED, accounts_metadata, mailbox_metadata

# What triggers keep is made by the server itself, as the rows come: see `mailstore.counters`.
ACCOUNTS: Final = tuple(table for table in accounts_metadata.sorted_tables if table.name not in DERIVED)
MAILBOX: Final = tuple(mailbox_metadata.sorted_tables)

# Of one file of SQLite alone: in a server there is no such file.
_LEFT_OUT: Final = {("mailboxes", "inode")}
_TOGETHER: Final = 1_000  # rows that SQLite is asked for at once
_ESCAPES: Final = ((92, "\\\\"), (8, "\\b"), (9, "\\t"), (10, "\\n"), (11, "\\v"), (12, "\\f"), (13, "\\r"))


def key_of(table: Table) -> str:
    """The columns that give the order."""
    return ", ".join(f'"{column.name}"' for column in table.primary_key.columns)


def names_of(table: Table) -> str:
    """All columns, in the order of a line."""
    return ", ".join(f'"{column.name}"' for column in table.columns)


def lines_of(connection: Connection, table: Table, account_id: int | None = None) -> Iterator[bytes]:
    """The rows of a table of SQLite, or those of one account. A NUL, which PostgreSQL does not take, is what
    stands for it there (`mailstore.entries.NUL`). Raises what the driver raises (for `mailstore.refusals`)."""
    parts = [_expression(connection, table, column.name) for column in table.columns]
    where = "" if account_id is None else f" WHERE account_id = {account_id}"
    statement = f'SELECT {" || char(9) || ".join(parts)} FROM "{table.name}"{where} ORDER BY {key_of(table)}'  # noqa: S608
    for some in connection.exec_driver_sql(statement).partitions(_TOGETHER):
        for (line,) in some:
            yield line.replace("\0", NUL).encode() + b"\n"


def _expression(connection: Connection, table: Table, name: str) -> str:
    column = table.columns[name]
    if (table.name, name) in _LEFT_OUT:
        return "'\\N'"
    there = column_of(connection, column)
    value = f'"{name}"' if there is column else str(there.compile(compile_kwargs={"literal_binds": True}))
    if isinstance(column.type, LargeBinary):
        text = f"'\\\\x' || lower(hex({value}))"
    elif isinstance(column.type, String):
        text = value
        for code, escape in _ESCAPES:
            text = f"replace({text}, char({code}), '{escape}')"
    else:
        text = f"CAST({value} AS TEXT)"
    return f"coalesce(CASE WHEN {value} IS NULL THEN NULL ELSE {text} END, '\\N')"


class Proof:
    """Counts and digests of lines."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self.rows = 0

    def take(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """The same lines, seen on their way."""
        for line in lines:
            self._digest.update(line)
            self.rows += 1
            yield line

    def add(self, lines: Sequence[bytes]) -> None:
        """The same for some that are there already."""
        self._digest.update(b"".join(lines))
        self.rows += len(lines)

    def begin(self, table: str) -> None:
        """What follows is of another table."""
        self._digest.update(f"\0{table}\n".encode())

    def digest(self) -> bytes:
        return self._digest.digest()
