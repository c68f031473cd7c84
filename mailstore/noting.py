"""What a transaction writes into an index, noted as it is written: for the record beside it (`mailstore.record`).

Statements are noted with their values, so that it is the same whichever part of the store writes, and so that a row
costs 0.2 µs. What can be computed again (`contents`, `texts`, `looked`) is left out. A statement that writes what is
kept reads nothing else: said once more, in order, all of them make the same rows.
"""

from __future__ import annotations

import marshal
import re
import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache
from io import BytesIO
from typing import Any, Final

from sqlalchemy import Connection, Engine, Table, event

from mailstore import schema

FORM: Final = 2  # of marshal: what every Python 3 reads and writes
COMPUTED: Final = frozenset({schema.contents.name, schema.texts.name, schema.looked.name})
KEPT: Final[Sequence[Table]] = [t for t in schema.mailbox_metadata.sorted_tables if t.name not in COMPUTED]

_TARGET: Final = re.compile(r"(?:INSERT INTO|UPDATE|DELETE FROM) (\w+)(?: SET content_id=)?")
_KEPT: Final = frozenset(table.name for table in KEPT)

Said = tuple[str, Any]  # a statement, and its values: those of one row, or a list of those of several


class Noting(sqlite3.Connection):
    """A connection that can be asked what was written."""

    said: list[bytes] | None = None  # in this transaction; None: nobody asks


@cache
def _is_kept(sql: str) -> bool:
    """Does it write what is to be noted? The link to what was computed is computed, too."""
    found = _TARGET.match(sql)
    return found is not None and found[1] in _KEPT and not found[0].endswith("=")


def note(driver: sqlite3.Connection, sql: str, values: Any) -> None:
    """A statement was run with the values of a row, or with a list of them. They are those that the driver knows."""
    if isinstance(driver, Noting) and driver.said is not None and _is_kept(sql):
        driver.said.append(packed(sql, values))


def packed(sql: str, values: Any) -> bytes:
    try:
        return marshal.dumps((sql, values), FORM)
    except ValueError:  # a kind of text or number of its own, which the driver takes for what it is
        return marshal.dumps((sql, _plain(values)), FORM)


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, str):
        return str(value)
    return int(value) if isinstance(value, int) else bytes(value)


def unpacked(octets: bytes) -> Iterator[Said]:
    """What was `packed`, one after the other. Raises ValueError, EOFError, TypeError for anything else."""
    source = BytesIO(octets)
    while source.tell() < len(octets):
        sql, values = marshal.load(source)  # noqa: S302 - written here, and looked at by its check sum
        yield sql, values


def listen(engine: Engine) -> None:
    """Have noted what goes to the driver by way of SQLAlchemy."""

    @event.listens_for(engine, "after_cursor_execute")
    def _executed(
        connection: Connection, _cursor: Any, statement: str, parameters: Any, context: Any, _many: bool
    ) -> None:
        if context is not None and (context.isinsert or context.isupdate or context.isdelete):
            driver = connection.connection.driver_connection
            if isinstance(driver, Noting):
                note(driver, statement, parameters)
