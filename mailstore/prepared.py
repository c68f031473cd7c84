"""Statements that nearly every command runs, without what SQLAlchemy does anew for each execution.

A statement is written once, in SQLAlchemy Core, for every database. Its text is compiled at the first use, for SQLite
and for PostgreSQL by itself, and then handed to the driver as it is: with SQLite a lookup costs 5 µs, and 60 µs by way
of `Connection.execute`. Parameters are named, values are those that the drivers know: integers, text, bytes and None;
no result is converted. Lists ("IN") have no place here: `many` runs a statement for each row, and a `Bulk` does the
same for the thousands of rows of a move, at half the cost. For PostgreSQL both make one statement of it
(`mailstore.arrays`), so no two rows may be about the same row of a table. Within a transaction of a mailbox, what gives
nothing back is said there with what comes after it (`mailstore.pipeline`), and so what is refused of it is raised by
that.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Executable, Integer, LargeBinary
from sqlalchemy.dialects import sqlite
from sqlalchemy.types import TypeEngine

from mailstore.arrays import Arrays
from mailstore.noting import Noting, note
from mailstore.pipeline import Numbered, pipeline_of

_DIALECT = sqlite.dialect(paramstyle="named")
_BY_POSITION = sqlite.dialect(paramstyle="qmark")

_CURSOR = "mailferry cursor"  # psycopg's, in what SQLAlchemy keeps beside a connection

Parameters = Mapping[str, Any]


class Prepared:
    """One statement. What the driver raises is for `mailstore.refusals.storage_errors`."""

    __slots__ = ("_arrays", "_defaults", "_sql", "_statement", "_told")

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._sql = ""
        self._defaults: dict[str, Any] = {}
        self._told: _Told | None = None  # for PostgreSQL
        self._arrays: Arrays | None = None  # … and for many rows

    def _compile(self) -> None:
        compiled = self._statement.compile(dialect=_DIALECT)  # type: ignore[attr-defined]
        self._defaults = {str(name): value for name, value in compiled.params.items() if value is not None}
        self._sql = str(compiled)

    def _execute(self, driver: sqlite3.Connection, parameters: Parameters) -> sqlite3.Cursor:
        if not self._sql:
            self._compile()
        return driver.execute(self._sql, {**self._defaults, **parameters} if self._defaults else parameters)

    def _learn(self, connection: Connection) -> _Told:
        """As PostgreSQL is told it."""
        if self._told is None:
            self._told = _Told.of(self._statement, connection)
        return self._told

    def all(self, connection: Connection, parameters: Parameters) -> list[Any]:
        """Every row, as a tuple."""
        driver = connection.connection.driver_connection
        if isinstance(driver, sqlite3.Connection):
            return self._execute(driver, parameters).fetchall()
        told = self._told or self._learn(connection)
        pipeline = pipeline_of(connection)
        if pipeline is not None:
            return pipeline.rows(pipeline.ask(told.numbered.text, told.values(parameters)))
        found: list[Any] = _cursor(connection).execute(told.sql, {**told.constants, **parameters}).fetchall()
        return found

    def ask(self, connection: Connection, parameters: Parameters) -> Callable[[], list[Any]]:
        """As `all`, for who has something else to ask before the rows are needed: PostgreSQL is told it with that. What
        this gives back gives the rows, within the transaction."""
        driver = connection.connection.driver_connection
        pipeline = None if isinstance(driver, sqlite3.Connection) else pipeline_of(connection)
        if pipeline is None:
            found = self.all(connection, parameters)
            return lambda: found
        told = self._told or self._learn(connection)
        return pipeline.asked(told.numbered.text, told.values(parameters))

    def first(self, connection: Connection, parameters: Parameters) -> Any:
        """The first row as a tuple, or None."""
        driver = connection.connection.driver_connection
        if isinstance(driver, sqlite3.Connection):
            cursor = self._execute(driver, parameters)
            row = cursor.fetchone()
            cursor.close()  # or the statement would go on, and hold its lock
            return row
        found = self.all(connection, parameters)
        return found[0] if found else None

    def run(self, connection: Connection, parameters: Parameters) -> None:
        """For a statement without rows."""
        driver = connection.connection.driver_connection
        if isinstance(driver, sqlite3.Connection):
            self._execute(driver, parameters)
            if isinstance(driver, Noting):
                note(driver, self._sql, {**self._defaults, **parameters})
            return
        told = self._told or self._learn(connection)
        pipeline = pipeline_of(connection)
        if pipeline is not None:
            pipeline.tell(told.numbered.text, told.values(parameters))
        else:
            _cursor(connection).execute(told.sql, {**told.constants, **parameters})

    def many(self, connection: Connection, rows: Sequence[Parameters]) -> None:
        """The same for each of `rows`, which all have the same names."""
        if not rows:
            return
        driver = connection.connection.driver_connection
        if isinstance(driver, sqlite3.Connection):
            self._execute_many(driver, rows)
        elif len(rows) == 1:
            self.run(connection, rows[0])
        else:
            arrays = self._arrays_for(connection, rows[0])
            arrays.run(connection, [[row[name] for name in arrays.names] for row in rows])

    def count(self, connection: Connection, rows: Sequence[Parameters]) -> int:
        """As `many`: how many rows of the table it touched together."""
        if not rows:
            return 0
        driver = connection.connection.driver_connection
        if isinstance(driver, sqlite3.Connection):
            return self._execute_many(driver, rows)
        arrays = self._arrays_for(connection, rows[0])
        return arrays.count(connection, [[row[name] for name in arrays.names] for row in rows])

    def _execute_many(self, driver: sqlite3.Connection, rows: Sequence[Parameters]) -> int:
        if not self._sql:
            self._compile()
        values = [{**self._defaults, **row} for row in rows] if self._defaults else rows
        count = driver.executemany(self._sql, values).rowcount
        if isinstance(driver, Noting):
            note(driver, self._sql, values)
        return count

    def _arrays_for(self, connection: Connection, row: Parameters) -> Arrays:
        if self._arrays is None:
            self._arrays = _arrays_of(self._statement, connection, tuple(row))
        return self._arrays


class Bulk:
    """One statement for many rows, each a tuple of the values for `names`, in that order."""

    __slots__ = ("_arrays", "_constants", "_names", "_pick", "_sql", "_statement")

    def __init__(self, statement: Executable, names: Sequence[str]) -> None:
        self._statement = statement
        self._names = tuple(names)
        self._sql = ""
        self._constants: tuple[Any, ...] = ()
        self._pick: Callable[[tuple[Any, ...]], tuple[Any, ...]] | None = None
        self._arrays: Arrays | None = None

    def _compile(self) -> None:
        compiled = self._statement.compile(dialect=_BY_POSITION)  # type: ignore[attr-defined]
        wanted: list[str] = compiled.positiontup
        fixed = [name for name in compiled.params if name not in self._names]
        if any(compiled.params[name] is None for name in fixed) or not set(self._names) <= set(wanted):
            raise ValueError(f"{self._names} are not what the statement takes: {wanted}")
        self._constants = tuple(compiled.params[name] for name in fixed)
        given = [*self._names, *fixed]
        if given != wanted:
            self._pick = itemgetter(*(given.index(name) for name in wanted))
        self._sql = str(compiled)

    def run(self, connection: Connection, rows: Iterable[tuple[Any, ...]]) -> None:
        """What the driver raises is for `mailstore.refusals.storage_errors`; ValueError for names that do not fit."""
        driver = connection.connection.driver_connection
        if not isinstance(driver, sqlite3.Connection):
            if self._arrays is None:
                self._arrays = _arrays_of(self._statement, connection, self._names)
            if values := list(rows):
                self._arrays.run(connection, values)
            return
        if not self._sql:
            self._compile()
        constants, pick = self._constants, self._pick
        if constants:
            rows = (row + constants for row in rows)
        wanted = list(rows if pick is None else map(pick, rows))
        driver.executemany(self._sql, wanted)
        if isinstance(driver, Noting):
            note(driver, self._sql, wanted)


@dataclass(frozen=True, slots=True)
class _Told:
    """A statement as PostgreSQL is told it, and those of its parameters that are always the same."""

    sql: str
    constants: dict[str, Any]
    kinds: dict[str, str]  # of all its parameters
    numbered: Numbered

    def values(self, parameters: Parameters) -> list[Any]:
        """Of its parameters, in the order in which they are numbered."""
        if self.constants:
            parameters = {**self.constants, **parameters}
        return [parameters[name] for name in self.numbered.names]

    @staticmethod
    def of(statement: Executable, connection: Connection) -> _Told:
        compiled = statement.compile(dialect=connection.dialect)  # type: ignore[attr-defined]
        constants = {str(name): value for name, value in compiled.params.items() if value is not None}
        kinds = {str(name): _kind(bound.type) for bound, name in compiled.bind_names.items()}
        return _Told(str(compiled), constants, kinds, Numbered.of(str(compiled)))


def _cursor(connection: Connection) -> Any:
    """psycopg's: to make one costs as much as to use it."""
    cursor = connection.info.get(_CURSOR)
    if cursor is None:
        driver: Any = connection.connection.driver_connection
        cursor = connection.info[_CURSOR] = driver.cursor(binary=True)
    return cursor


def _kind(of: TypeEngine[Any]) -> str:
    if isinstance(of, LargeBinary):
        return "BYTEA"
    return "BIGINT" if isinstance(of, Integer) else "TEXT"


def _arrays_of(statement: Executable, connection: Connection, names: tuple[str, ...]) -> Arrays:
    told = _Told.of(statement, connection)
    return Arrays(told.sql, names, told.kinds, told.constants)
