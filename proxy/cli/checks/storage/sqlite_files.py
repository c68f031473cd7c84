"""SQLite's indexes, which lie beside the Maildirs: may they be where these are?"""

from __future__ import annotations

import sqlite3
from contextlib import closing

from proxy.cli.checks.storage.trial import Trial

_FOLLOWS = "logins would fail: keep the Maildirs on another file system"


def tried(trial: Trial) -> None:
    """An index is opened as the store does it, by two, and read back."""
    path = trial.place / "index.db"
    with trial.tried("SQLite", _FOLLOWS):
        try:
            with closing(sqlite3.connect(path, isolation_level=None, timeout=5.0)) as one:
                mode = one.execute("PRAGMA journal_mode=WAL").fetchone()[0]
                one.execute("CREATE TABLE t (n INTEGER)")
                with closing(sqlite3.connect(path, isolation_level=None, timeout=5.0)) as other:
                    one.execute("BEGIN IMMEDIATE")
                    one.execute("INSERT INTO t VALUES (1)")
                    before = other.execute("SELECT count(*) FROM t").fetchone()[0]
                    one.execute("COMMIT")
                    after = other.execute("SELECT count(*) FROM t").fetchone()[0]
        except sqlite3.Error as error:
            trial.told("fail", "SQLite", f"refused: {error}", _FOLLOWS)
            return
        trial.holds(
            "SQLite",
            (mode, before, after) == ("wal", 0, 1),
            so="opens an index with its log here; its processes are all to be on one machine",
            otherwise=f"does not keep its log here (journal mode {mode}); {_FOLLOWS}",
        )
