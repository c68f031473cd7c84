"""The accounts of one machine: a file of SQLite. What `mailstore.database.AccountsDatabase` stands on there."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, event
from sqlalchemy.pool import QueuePool

from mailstore.errors import StorageFailed
from mailstore.prepared import Prepared
from mailstore.refusals import storage_errors
from mailstore.schema import accounts_metadata
from mailstore.sqlite import BEGIN_WRITE, bring_to_head, connect, make_private, prepare, sqlite_engine
from mailstore.turns import Turn

T = TypeVar("T")

_SCRUB_TRIES: Final = 3


def _overwrite(connection: sqlite3.Connection, _record: object = None) -> None:
    """Have what is deleted or replaced written over in the file: it may have been a sealed password."""
    connection.execute("PRAGMA secure_delete=ON").close()


def _begin(connection: Connection) -> None:
    write = connection.get_execution_options().get("write", True)
    connection.exec_driver_sql(BEGIN_WRITE if write else "BEGIN")


class AccountsFile:
    """One file. Every writing transaction is alone (BEGIN IMMEDIATE): there are no turns to take."""

    instant: Final = True

    def __init__(self, path: Path) -> None:
        """Open or make the file. Raises StorageFailed."""
        self.clock: Callable[[], float] = time.time
        self._lookup = threading.Lock()
        self._looking: Connection | None = None
        self._path = path
        with storage_errors():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            make_private(path)  # it holds password hashes
            self._engine = sqlite_engine(
                creator=lambda: connect(path, create=False), poolclass=QueuePool, pool_size=4, max_overflow=16
            )
            event.listen(self._engine, "connect", _overwrite)
            event.listen(self._engine, "begin", _begin)
            try:
                with self.write() as connection:
                    bring_to_head(connection, accounts_metadata)
            except BaseException:
                self.close()
                raise

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """See `AccountsDatabase`, as with the others."""
        with (
            storage_errors(),
            self._engine.connect().execution_options(write=False) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def write(self, *_alone: Turn, beside: Collection[Turn] = ()) -> Iterator[Connection]:
        with storage_errors(), self._engine.begin() as connection:
            yield connection

    def change(self, change: Callable[[Connection], T], *alone: Turn, beside: Collection[Turn] = ()) -> T:
        with self.write(*alone, beside=beside) as connection:
            return change(connection)

    def _quick(self) -> Connection:
        if self._looking is None:
            self._looking = self._engine.connect()
        return self._looking

    def time(self) -> float:
        return self.clock()

    def first(self, statement: Prepared, parameters: Mapping[str, Any]) -> Any:
        with storage_errors(), self._lookup:
            return statement.first(self._quick(), parameters)

    def version(self) -> int:
        with storage_errors(), self._lookup:
            driver = self._quick().connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            return int(driver.execute("PRAGMA data_version").fetchone()[0])

    def scrub(self) -> None:
        """The file is written anew and its log emptied. Others wait meanwhile, for a second where there are 100,000
        accounts. Raises StorageFailed where they do not let it happen."""
        with storage_errors(), closing(connect(self._path, create=False)) as driver:
            prepare(driver)
            driver.execute("VACUUM")
            for _ in range(_SCRUB_TRIES):  # each waits BUSY_TIMEOUT for whoever reads or writes
                busy, *_ = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                if not busy:
                    return
        raise StorageFailed("the database is read all the time, so that its log cannot be emptied; try it again")

    def close(self) -> None:
        if self._looking is not None:
            self._looking.close()
        self._engine.dispose()
