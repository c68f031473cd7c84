"""Where the questions of `tests.bench.scale` are asked: a database in a file, or in PostgreSQL.

A server of one's own is begun on loopback, and gone afterwards, where `--postgresql` is said; one that is named has to
be empty, and is left as it is filled. Nothing waits for the disk at each transaction in the private one: what is
measured is asked, not written. Of a server on this machine whose owner asks (a superuser) processor time is known.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from mailstore.accounts_server import AccountsServer
from mailstore.database import AccountsDatabase
from mailstore.postgres import address, postgres_engine
from mailstore.silence import patience
from tests.bench.ground import ground
from tests.bench.processor import server_seconds
from tests.postgres.server import PostgresServer

_SETTINGS: Final = """
shared_buffers = 1GB
work_mem = 32MB
maintenance_work_mem = 512MB
max_wal_size = 4GB
autovacuum = off
"""


@contextmanager
def in_file(kept: Path | None) -> Iterator[tuple[AccountsDatabase, bool, Path]]:
    """The database, whether it is filled, and its file: a copy of the one that is kept, if that is there."""
    with ground() as place:
        path = place.fresh("scale") / "accounts.db"
        filled = kept is not None and kept.exists()
        if filled and kept is not None:
            shutil.copy(kept, path)
        database = AccountsDatabase(path)
        try:
            yield database, filled, path
        finally:
            database.close()


@contextmanager
def in_server(url: str | None) -> Iterator[tuple[AccountsDatabase, bool, Callable[[], float] | None]]:
    """The database, whether it is filled, and what processor time a server that was begun for it has used."""
    server = None if url is not None else PostgresServer(_SETTINGS)
    try:
        where = url if url is not None else server and server.url(server.make_database())
        assert where is not None
        engine = postgres_engine(address(where), connections=4, name="bench")
        database = AccountsDatabase(AccountsServer(engine))
        try:
            with database.read() as connection:
                ready = connection.execute(text("SELECT 1 FROM accounts LIMIT 1")).first() is not None
                pid = server.pid if server is not None else _pid_here(connection)
            yield database, ready, None if pid is None else partial(server_seconds, pid)
        finally:
            database.close()
    finally:
        if server is not None:
            server.remove()


@contextmanager
def beside(engine: Engine) -> Iterator[Engine]:
    """Another database of the same server, empty but for our tables; gone afterwards."""
    name = f"{engine.url.database}_beside"
    alone = engine.execution_options(isolation_level="AUTOCOMMIT")
    with alone.connect() as connection:
        connection.execute(text(f"CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'"))
    try:
        made = postgres_engine(engine.url.set(database=name), connections=4, name="bench")
        database = AccountsDatabase(AccountsServer(made))
        try:
            yield made
        finally:
            database.close()
    finally:
        with alone.connect() as connection:
            connection.execute(text(f'DROP DATABASE "{name}"'))


def _pid_here(connection: Connection) -> int | None:
    """Of the server's first process, if it is one of this machine."""
    try:
        with connection.begin_nested():
            pid = int(connection.execute(text("SELECT pg_read_file('postmaster.pid')")).scalar_one().split()[0])
    except DBAPIError:
        return None
    command = Path(f"/proc/{pid}/comm")
    return pid if command.exists() and command.read_text().strip() == "postgres" else None


def settle(engine: Engine, tables: str = "") -> None:
    """Have the server know what is in these tables, or all, as autovacuum does within a minute or so."""
    alone = engine.execution_options(isolation_level="AUTOCOMMIT")
    with alone.connect() as connection, patience(connection.connection.driver_connection):
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text(f"VACUUM (ANALYZE) {tables}"))
        with suppress(DBAPIError):  # who may not have one waits for it: what is measured is not the filling
            connection.execute(text("CHECKPOINT"))


def octets(database: AccountsDatabase, tables: dict[str, int]) -> Iterator[tuple[str, int, float]]:
    """Of each table of a server with its indexes: name, octets, and octets a row, of those that have any."""
    assert database.engine is not None
    with database.read() as connection:
        for name, rows in tables.items():
            size = int(connection.execute(text(f"SELECT pg_total_relation_size('{name}')")).scalar_one())
            if rows:
                yield name, size, size / rows


def whole(database: AccountsDatabase, path: Path | None) -> int:
    """Octets of all of it."""
    if path is not None:
        empty_log(path)
        return path.stat().st_size
    with database.read() as connection:
        return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())


def empty_log(path: Path) -> None:
    """Of a file that is to be copied."""
    plain = sqlite3.connect(path)
    plain.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    plain.close()
