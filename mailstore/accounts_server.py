"""The accounts of several nodes: in PostgreSQL. What `mailstore.database.AccountsDatabase` stands on there.

Transactions are READ COMMITTED, and writers write at once: what `mailstore.turns` says holds. A read of several
statements is REPEATABLE READ, so that it sees one state as it does in SQLite.

Has anything changed? Triggers of the tables count in a sequence (`mailstore.server_schema`). A sequence counts before
the transaction that changed something has ended, so the transaction holds a lock until then that all such share: while
anybody has it, every answer is a new number, and whoever asks looks once more than needed. Other nodes are told of what
changed in no other way here; notifications (LISTEN) may make them ask sooner.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine, text

from mailstore.errors import Overtaken, StorageFailed
from mailstore.prepared import Prepared
from mailstore.refusals import storage_errors
from mailstore.server_schema import SEQUENCE, bring_up
from mailstore.silence import patience
from mailstore.turns import SPACE, Turn

T = TypeVar("T")

ASKED: Final = 60.0  # seconds after which it is asked again what time it is
TRIES: Final = 8  # of a change that others' rows were in the way of
_CROSSED: Final = {"40001", "40P01"}  # serialization_failure, deadlock_detected (Appendix A)

_LOCK: Final = {True: "pg_advisory_xact_lock", False: "pg_advisory_xact_lock_shared"}
_TIME: Final = text("SELECT extract(epoch FROM clock_timestamp())::float8")
_VERSION: Final = text(
    f"SELECT last_value, pg_try_advisory_xact_lock({SPACE}, {Turn.CHANGED.value}) FROM {SEQUENCE}"  # noqa: S608
)


class AccountsServer:
    """One PostgreSQL database."""

    instant: Final = False

    def __init__(self, engine: Engine, *, check: bool = True) -> None:
        """Of `mailstore.postgres`, which is closed with this; mailboxes may be in the same. `check`: the tables are
        made, carried forward, or found to be right; without that nothing is connected yet. Raises StorageFailed."""
        self.engine = self._engine = engine
        self._alone = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._one_state = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._lock = threading.Lock()
        self._unsure = 0
        self.clock: Callable[[], float] = self._asked_time
        self._ahead: float | None = None  # the server's time of day, of a clock that nobody sets
        self._asked = float("-inf")  # when it was asked
        if check:
            try:
                with storage_errors():
                    bring_up(self._engine)
            except BaseException:
                self.close()
                raise

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """See `AccountsDatabase`, as with the others."""
        with storage_errors(), self._one_state.begin() as connection:
            yield connection

    @contextmanager
    def write(self, *alone: Turn, beside: Collection[Turn] = ()) -> Iterator[Connection]:
        with storage_errors(), self._engine.begin() as connection:
            _take(connection, alone, beside)
            yield connection

    def change(self, change: Callable[[Connection], T], *alone: Turn, beside: Collection[Turn] = ()) -> T:
        for left in range(TRIES, 0, -1):
            try:
                with self.write(*alone, beside=beside) as connection:
                    return change(connection)
            except StorageFailed as error:
                if left == 1 or not (isinstance(error, Overtaken) or _crossed(error)):
                    raise
        raise AssertionError

    def time(self) -> float:
        return self.clock()

    def _asked_time(self) -> float:
        """A server that does not answer is asked another time."""
        if time.monotonic() - self._asked > ASKED:
            self._asked = time.monotonic()
            with suppress(StorageFailed), storage_errors(), self._alone.connect() as connection:
                before = time.monotonic()
                self._ahead = connection.execute(_TIME).scalar_one() - (before + time.monotonic()) / 2
        return time.time() if self._ahead is None else time.monotonic() + self._ahead

    def first(self, statement: Prepared, parameters: Mapping[str, Any]) -> Any:
        with storage_errors(), self._alone.connect() as connection:
            return statement.first(connection, parameters)

    def version(self) -> int:
        with storage_errors(), self._alone.connect() as connection:
            number, quiet = connection.execute(_VERSION).one()
        if quiet:
            return int(number)
        with self._lock:
            self._unsure -= 1
            return self._unsure

    def scrub(self) -> None:
        """Rows that are gone stay in the server's files until VACUUM, in its log for archives, and in what was copied:
        the files are the server's administrator's, and so is what is left in them."""
        with storage_errors(), self._alone.connect() as connection, patience(connection.connection.driver_connection):
            connection.execute(text("SET statement_timeout = 0"))
            try:
                connection.execute(text("VACUUM accounts"))
            finally:
                connection.execute(text("RESET statement_timeout"))

    def close(self) -> None:
        self._engine.dispose()


def _take(connection: Connection, alone: Collection[Turn], beside: Collection[Turn]) -> None:
    for turn in sorted({*alone, *beside}):
        connection.execute(text(f"SELECT {_LOCK[turn in alone]}({SPACE}, {turn.value})"))


def _crossed(error: StorageFailed) -> bool:
    cause = error.__cause__
    return getattr(getattr(cause, "orig", cause), "sqlstate", None) in _CROSSED
