"""Connections to PostgreSQL on which nobody waits for ever.

The server ends statements that take too long (`statement_timeout`). A server whose process is stopped does not, and its
machine goes on acknowledging what is sent to it, so that TCP notices nothing. Here a connection that has waited for
longer than any statement may take is shut down under whoever waits: the operation is refused, and the pool makes
another connection.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import psycopg
from psycopg._preparing import PrepareManager  # nothing public says when it forgets

LOOKS: Final = 10  # in the time that is allowed: so much of it passes unnoticed at most


class _Prepared(PrepareManager):
    """What is prepared stays so when a transaction is undone. The driver would have the server forget all that it has,
    in case something was made in there that is now gone; but what `mailstore.pipeline` has prepared on the connection
    would be forgotten with it. No transaction of ours makes tables, but that of a migration, which is its
    connection's last."""

    def clear(self) -> bool:
        return False


class Bounded(psycopg.Connection[Any]):
    """`since` when it has been waiting for the server, 0 while it is not; `patient` where it may wait for long."""

    since: float = 0.0
    patient: bool = False

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._prepared = _Prepared()

    def wait(self, *arguments: Any, **named: Any) -> Any:
        """As psycopg's, through which everything goes."""
        self.since = time.monotonic()
        try:
            return super().wait(*arguments, **named)
        finally:
            self.since = 0.0


class Watch:
    """Of an engine's connections. Its thread lives as long as there are some."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._connections: weakref.WeakSet[Bounded] = weakref.WeakSet()
        self._thread: threading.Thread | None = None

    def over(self, connection: Bounded) -> None:
        """Watch it until it is closed."""
        with self._lock:
            self._connections.add(connection)
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="database-watch", daemon=True)
                self._thread.start()

    def _look(self) -> None:
        while True:
            time.sleep(self._seconds / LOOKS)
            with self._lock:
                some = [each for each in self._connections if not each.closed]
                if not some:
                    self._thread = None
                    return
            now = time.monotonic()
            for each in some:
                if not each.patient and 0 < each.since < now - self._seconds:
                    _shut(each)
            del some


def _shut(connection: Bounded) -> None:
    """Whoever waits for it reads its end. The descriptor stays the connection's to close."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as copy:
        copy.shutdown(socket.SHUT_RDWR)


@contextmanager
def patience(connection: object) -> Iterator[None]:
    """What is asked in the block may take as long as it does: tables are made, or cleaned up."""
    assert isinstance(connection, Bounded)
    connection.patient = True
    try:
        yield
    finally:
        connection.patient = False
