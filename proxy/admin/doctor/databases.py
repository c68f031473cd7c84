"""A database read by whoever only looks, in the state that it is in: damaged, locked, of another version.

Nothing is made or changed, and nobody is waited for: where there is no log it is read as a file that nobody has open.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

WAIT: Final = 2.0  # seconds for a lock
LONGEST: Final = 30.0  # seconds for one question
_STEPS: Final = 10_000  # of SQLite's machine between two looks at the clock


@contextmanager
def looked_into(path: Path) -> Iterator[sqlite3.Connection]:
    """Raises sqlite3.Error, OSError."""
    path.stat()
    mode = "mode=ro" if path.with_name(path.name + "-wal").exists() else "immutable=1"
    with closing(sqlite3.connect(f"file:{quote(str(path))}?{mode}", uri=True, timeout=WAIT)) as connection:
        until = time.monotonic() + LONGEST
        connection.set_progress_handler(lambda: time.monotonic() > until, _STEPS)
        connection.execute("PRAGMA query_only=ON")
        yield connection


def integrity(connection: sqlite3.Connection) -> str:
    """ "ok", or how much is wrong: SQLite's own words may have values in them."""
    found = [row[0] for row in connection.execute("PRAGMA quick_check(100)")]
    return "ok" if found == ["ok"] else f"{len(found)} faults"


def revision(connection: sqlite3.Connection) -> str:
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row and str(row[0]).isdigit() else "none"


def tables(connection: sqlite3.Connection) -> dict[str, int]:
    """How many rows each has."""
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    plain = [name for name in names if name.replace("_", "").isalnum()]
    return {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in plain}  # noqa: S608
