"""One statement for many rows, on PostgreSQL: the rows go as one array for each of their values.

A statement that is written for one row becomes one that takes its values from a table of rows:

    UPDATE ledger SET uid=%(u)s::BIGINT WHERE ledger.id = %(i)s::BIGINT
    UPDATE ledger SET uid=v."u" FROM unnest(%(u)s::BIGINT[], %(i)s::BIGINT[]) AS v("u", "i") WHERE ledger.id = v."i"

So thousands of rows cost one way to the server and one plan. Of rows that change the same row of a table one alone
counts, and it is not said which. For `mailstore.prepared`, and the driver psycopg.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection

from mailstore.pipeline import Numbered, pipeline_of

_PARAMETER: Final = re.compile(r"%\((\w+)\)s(?:::\w+)?")
_WHERE: Final = " WHERE "
_VALUES: Final = re.compile(r" VALUES \((.*)\)\s*$", re.DOTALL)


class Arrays:
    """A statement, compiled for psycopg, over rows that have values for `names`, in that order. `constants` are those
    of its other parameters."""

    def __init__(self, sql: str, names: Sequence[str], kinds: Mapping[str, str], constants: dict[str, Any]) -> None:
        """`kinds`: BIGINT, TEXT or BYTEA, by name. Raises ValueError for a statement that takes other values, or is of
        another kind."""
        if not set(names) <= kinds.keys() or not kinds.keys() <= {*names, *constants}:
            raise ValueError(f"{tuple(names)} are not what the statement takes: {sorted(kinds)}")
        self.names = tuple(names)
        self._constants = constants
        self._write = tuple(_WRITERS[kinds[name]] for name in names)
        given = ", ".join(f"%({name})s::{kinds[name]}[]" for name in names)
        table = f"unnest({given}) AS v({', '.join(map(_named, names))})"
        self._sql = _over(_PARAMETER.sub(self._of_a_row, sql), table)
        self._numbered = Numbered.of(self._sql)

    def _of_a_row(self, found: re.Match[str]) -> str:
        return f"v.{_named(found[1])}" if found[1] in self.names else found[0]

    def _written(self, rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
        columns = zip(*rows, strict=True)
        arrays = {name: write(column) for name, write, column in zip(self.names, self._write, columns, strict=True)}
        return {**self._constants, **arrays}

    def run(self, connection: Connection, rows: Sequence[Sequence[Any]]) -> None:
        written = self._written(rows)
        pipeline = pipeline_of(connection)
        if pipeline is not None:
            pipeline.tell(self._numbered.text, [written[name] for name in self._numbered.names])
        else:
            _driver(connection).execute(self._sql, written)

    def count(self, connection: Connection, rows: Sequence[Sequence[Any]]) -> int:
        """The same; how many it touched."""
        written = self._written(rows)
        pipeline = pipeline_of(connection)
        if pipeline is not None:
            return pipeline.ask(self._numbered.text, [written[n] for n in self._numbered.names]).command_tuples or 0
        touched: int = _driver(connection).execute(self._sql, written).rowcount
        return touched


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection


def _named(name: str) -> str:
    """As a column: it may be a word of SQL."""
    return f'"{name}"'


def _over(sql: str, table: str) -> str:
    """A statement that speaks of rows of `v`, with where they come from."""
    verb = sql.split(None, 1)[0]
    if verb == "INSERT" and (values := _VALUES.search(sql)):
        return f"{sql[: values.start()]} SELECT {values[1]} FROM {table}"  # noqa: S608 - ours
    head, where, tail = sql.partition(_WHERE)
    if verb == "UPDATE" and where:
        return f"{head} FROM {table}{where}{tail}"
    if verb == "DELETE" and where:
        return f"{head} USING {table}{where}{tail}"
    raise ValueError("no statement for rows")


def _numbers(values: Sequence[int | None]) -> str:
    return "{" + ",".join(["NULL" if value is None else str(int(value)) for value in values]) + "}"


def _texts(values: Sequence[str | None]) -> str:
    return "{" + ",".join(["NULL" if value is None else _quoted(value) for value in values]) + "}"


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _octets(values: Sequence[bytes | None]) -> str:
    return "{" + ",".join(["NULL" if value is None else '"\\\\x' + value.hex() + '"' for value in values]) + "}"


_WRITERS: Final[dict[str, Callable[[Any], str]]] = {
    "BIGINT": _numbers,
    "TEXT": _texts,
    "BYTEA": _octets,
}
