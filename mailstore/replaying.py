"""An index as its record tells it: everything that was said to it, said once more to a database in memory.

Nothing is believed that is not whole; what comes out is rows, which `mailstore.beginning` puts into a new index.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mailstore import record, schema
from mailstore.index import salvage
from mailstore.index.folders import INBOX_ID
from mailstore.index.salvage import Salvage
from mailstore.noting import KEPT, Said, unpacked

_ALLOWED: Final = frozenset(
    {
        sqlite3.SQLITE_DELETE,
        sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_INSERT,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_TRANSACTION,
        sqlite3.SQLITE_UPDATE,
    }
)


@dataclass(frozen=True, slots=True)
class Replayed:
    rows: Salvage
    last: int  # the number of the last entry
    lost: int  # octets of the record that could not be read, or not be said again


def replay(path: Path) -> Replayed | None:
    """None where there is no record, or none of a whole account."""
    found = record.entries(path)
    if found is None:
        return None
    header, entries, lost = found
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        try:
            for statement in header.tables:
                connection.execute(statement)
        except sqlite3.Error:
            return None
        connection.set_authorizer(_authorize)
        for entry in entries:
            try:
                for said in unpacked(entry.octets):
                    _say(connection, said)
            except (sqlite3.Error, ValueError, EOFError, TypeError):
                lost += len(entry.octets)
        connection.set_authorizer(None)
        rows = Salvage()
        with suppress(sqlite3.Error):
            rows = salvage.of_record(connection, KEPT)
    if not any(row["id"] == INBOX_ID for row in rows.of(schema.folders)):
        return None
    return Replayed(rows, max((entry.number for entry in entries), default=0), lost)


def _say(connection: sqlite3.Connection, said: Said) -> None:
    """Where entries are lost, a row may be there already."""
    statement, values = said
    statement = statement.replace("INSERT INTO", "INSERT OR REPLACE INTO", 1)
    if isinstance(values, list):
        connection.executemany(statement, values)
    else:
        connection.execute(statement, values)


def _authorize(action: int, *_of: str | None) -> int:
    """A record is data: nothing in it opens files or changes tables."""
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY
