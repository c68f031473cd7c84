"""A few connections of a process that transactions of mailboxes find ready.

Nearly every command has several transactions. To have a connection from SQLAlchemy's pool and to give it back takes
longer than all else that this process does for one, so some are not given back, as long as at least as many are left
in the pool for others. One that is found to be ended is thrown away, and another is taken.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final

from sqlalchemy import Connection, Engine, event
from sqlalchemy.pool import QueuePool

from mailstore.pipeline import Pipeline, kept_beside
from mailstore.refusals import translated

Ready = tuple[Connection, Pipeline]

_OPTION: Final = "mailferry_at_hand"  # of an engine
_abroad: Final[list[Ready]] = []  # of the process that this one was forked from


class AtHand:
    """Of one engine. Any thread may call it."""

    def __init__(self, engine: Engine) -> None:
        """For `of`."""
        self._connect = engine.connect
        self._ready: list[Ready] = []
        pool = engine.pool
        self._most = (pool.size() - 1) // 2 if isinstance(pool, QueuePool) else 0
        self._process = os.getpid()
        event.listen(engine, "engine_disposed", self._dispose)

    @staticmethod
    def of(engine: Engine) -> AtHand:
        """The engine's."""
        found: AtHand | None = engine.get_execution_options().get(_OPTION)
        if found is None:
            found = AtHand(engine)
            engine.update_execution_options(**{_OPTION: found})
        return found

    def take(self) -> Ready:
        """One on which nothing is under way. Raises what the driver and SQLAlchemy raise."""
        while self._ready:
            try:
                connection, pipeline = self._ready.pop()
            except IndexError:  # another thread has it
                break
            if _is_ready(pipeline):
                return connection, pipeline
            throw_away(connection)
        connection = self._connect()
        return connection, kept_beside(connection)

    def give_back(self, connection: Connection, pipeline: Pipeline, last: bytes = b"") -> None:
        """Its transaction is over, or is with the `last` statement, of which whoever takes it next hears. Nothing is
        raised: what is broken is thrown away."""
        pipeline.open = False
        if len(self._ready) >= self._most or connection.in_transaction():  # SQLAlchemy's, of which the server knows not
            self._release(connection, pipeline, last)
            return
        try:
            if last:
                pipeline.leave(last)
        except Exception as error:
            throw_away(connection)
            if translated(error) is None:
                raise
        else:
            self._ready.append((connection, pipeline))

    def undo(self, connection: Connection, pipeline: Pipeline, last: bytes) -> None:
        """As `give_back`, where it did not go well."""
        pipeline.open = False
        self._release(connection, pipeline, last)

    def _release(self, connection: Connection, pipeline: Pipeline, last: bytes) -> None:
        """To the pool, when it is known what the server says."""
        try:
            if last:
                pipeline.last(last)
            pipeline.settle()
        except Exception as error:
            throw_away(connection)
            if translated(error) is None:
                raise
            return
        driver = pipeline.driver
        if connection.invalidated or driver.closed or driver.pgconn.transaction_status:
            throw_away(connection)
            return
        connection.rollback()
        as_made = connection.get_execution_options() is connection.engine.get_execution_options()
        if as_made and len(self._ready) < self._most:
            self._ready.append((connection, pipeline))
        else:
            connection.close()

    def _dispose(self, _engine: Engine) -> None:
        """The engine is given up."""
        ready, self._ready = self._ready, []
        if os.getpid() != self._process:
            self._process = os.getpid()
            _abroad.extend(ready)  # what is said on them is for the other process to say
            return
        for connection, _ in ready:
            throw_away(connection)


def _is_ready(pipeline: Pipeline) -> bool:
    try:
        pipeline.return_to()
    except Exception as error:
        if translated(error) is None:
            raise
        return False
    return not pipeline.driver.closed and pipeline.is_alive


def throw_away(connection: Connection) -> None:
    """It is not used again, by anybody."""
    with suppress(Exception):  # it is gone already
        connection.invalidate()
    connection.close()
