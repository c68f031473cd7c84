"""PostgreSQL as it is used here: the engine, its pool, and what a connection is told at its beginning.

Bounded on every side: how many connections a process has, how long it waits for one, how long the server may be silent,
and how long a statement, a lock, and a transaction that its process forgot may take. A connection that broke is found
out by the statement that meets it, which is refused as temporary; the pool then begins anew, so that a server that was
away is used again as soon as it is back.
"""

from __future__ import annotations

import select
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from mailstore.pipeline import pipeline_of
from mailstore.silence import Bounded, Watch

CONNECT_TIMEOUT: Final = 5  # seconds
POOL_TIMEOUT: Final = 10.0  # seconds that an operation waits for a connection
STATEMENT_TIMEOUT: Final = 30_000  # milliseconds; LOCK_TIMEOUT as long as a writer waits for another one in SQLite
LOCK_TIMEOUT: Final = 30_000
_IDLE_TIMEOUT: Final = 25_000  # … in a transaction: a node that is stopped in one keeps others waiting no longer
UNHEARD: Final = 45.0  # seconds: longer than any statement may take
SILENT: Final = 20  # seconds after which a server that does not even acknowledge is taken for gone

_SESSION: Final = " ".join(
    f"-c {name}={value}"
    for name, value in {
        "statement_timeout": STATEMENT_TIMEOUT,
        "lock_timeout": LOCK_TIMEOUT,
        "synchronous_commit": "on",  # or more is lost than what was written lightly
        "idle_in_transaction_session_timeout": _IDLE_TIMEOUT,
        "timezone": "UTC",
        "client_min_messages": "warning",
        "jit": "off",  # for short statements it costs more than it gives
        "max_parallel_workers_per_gather": 0,  # … and who searches is not to have what logins need
    }.items()
)


def address(database: str, password: str | None = None) -> URL:
    """`postgresql+psycopg://…` of the configuration, with the password of its file where there is one. Raises
    sqlalchemy.exc.ArgumentError."""
    url = make_url(database)
    return url if password is None else url.set(password=password)


def connecting(name: str) -> dict[str, str | int]:
    """What libpq is told beside the address; `name` is shown in pg_stat_activity."""
    return {
        "application_name": name,
        "connect_timeout": CONNECT_TIMEOUT,
        "options": _SESSION,
        "keepalives_idle": 10,
        "keepalives_interval": 3,
        "keepalives_count": 3,
        "tcp_user_timeout": SILENT * 1000,
    }


def postgres_engine(url: URL, *, connections: int, name: str = "mailferry", silence: float = UNHEARD) -> Engine:
    """At most so many connections, the ones used last first; one that has heard nothing for `silence` seconds while it
    waits is given up. Nothing is connected yet."""
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT,
        pool_use_lifo=True,
        connect_args=connecting(name),
    )

    watch = Watch(silence)

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: object, _record: object, arguments: Any, named: Any) -> Bounded:
        made = Bounded.connect(*arguments, **named)
        watch.over(made)
        return made

    @event.listens_for(engine, "connect")
    def prepare(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
        connection.prepare_threshold = 2  # what is said again is planned once

    @event.listens_for(engine, "checkout")
    def see_that_it_lives(connection: DBAPIConnection, _record: ConnectionPoolEntry, _proxy: object) -> None:
        """A server that has ended an idle connection has said so on it: another one is made, and nobody is refused."""
        waiting = select.poll()
        waiting.register(connection.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
        if waiting.poll(0):
            raise exc.DisconnectionError

    @event.listens_for(engine, "before_cursor_execute")
    def be_the_only_one_who_speaks(connection: Connection, *_about: object) -> None:
        if (pipeline := pipeline_of(connection)) is not None:
            pipeline.settle()

    return engine
