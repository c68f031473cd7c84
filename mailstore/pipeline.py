"""What is said to PostgreSQL within a transaction of a mailbox: in a pipeline (PostgreSQL's manual, 34.5).

    BEGIN ─┐                    statements that give nothing back are sent with the next one that does,
    lock   ├─ SELECT ─→ rows    and the last ones with COMMIT: a change of flags goes to the server and back
    UPDATE ┤                    three times, not seven
    COMMIT ┴──────────→ done

What is only read, and all of it asked for at once, goes with BEGIN and COMMIT and comes back: one way each.

Each way there and back is two switches between processes and two between threads, which cost more than the statement. A
statement is prepared when a connection meets it first; psycopg's cursors, which do much more, take four times as long.

What the server refuses is raised by whichever call hears of it: the next one that waits for an answer. The transaction
is undone then, so it does not matter which statement it was.

A pipeline is `open` from the beginning of a transaction to its end. Everything else that is said on the connection,
by SQLAlchemy above all, is for when it is `settled`: nothing is under way then. One thread at a time.
"""

from __future__ import annotations

import re
import select
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection

if TYPE_CHECKING:
    import psycopg
    from psycopg.pq.abc import PGresult

    from mailstore.silence import Bounded

_KEPT: Final = "mailferry pipeline"  # in what SQLAlchemy keeps beside a connection

_FAILED, _SYNC = 7, 10  # PGRES_FATAL_ERROR, PGRES_PIPELINE_SYNC
_BAD: Final = 1  # CONNECTION_BAD
_BINARY: Final = 1
_PARAMETER: Final = re.compile(r"%\((\w+)\)s|%%")

Heard = Callable[["PGresult"], None]


@dataclass(frozen=True, slots=True)
class Numbered:
    """A statement with its parameters as $1, $2 and so on, and which those are."""

    text: bytes
    names: tuple[str, ...]

    @staticmethod
    def of(sql: str) -> Numbered:
        """Of one that is written for psycopg, with `%(name)s`."""
        names: list[str] = []

        def number(found: re.Match[str]) -> str:
            name = found[1]
            if name is None:
                return "%"
            if name not in names:
                names.append(name)
            return f"${names.index(name) + 1}"

        text = _PARAMETER.sub(number, sql)
        return Numbered(text.encode(), tuple(names))


class Pipeline:
    """One connection's."""

    __slots__ = (
        *("_due", "_left", "_loader", "_names", "_new", "_numbers", "_on", "_pgconn", "_poll"),
        *("closing", "driver", "open", "over"),
    )

    def __init__(self, driver: Bounded) -> None:
        from psycopg.adapt import Transformer  # noqa: PLC0415 - where SQLite is in use it may not be there

        self.driver = driver
        self.open = False
        self.closing = b""  # goes with whatever is waited for next, as its end
        self.over = False  # has that been?
        self._pgconn = driver.pgconn
        self._loader = Transformer(driver)
        self._poll = select.poll()
        self._poll.register(driver.fileno(), select.POLLIN)
        self._names: dict[bytes, bytes] = {}  # statements that are prepared, and what each is called
        self._new: list[bytes] = []  # those that may be, when the server has answered
        self._numbers = count(1)
        self._due: list[Heard | None] = []  # answers that are under way, and who is to have them
        self._left = False  # has the end been sent, and not been heard of yet?
        self._on = False

    def tell(self, text: bytes, values: Sequence[Any] = (), heard: Heard | None = None) -> None:
        """Send a statement with what comes next; `heard` is given the answer when there is one."""
        pgconn = self._pgconn
        given, formats = _given(values)
        if not self._on:
            pgconn.enter_pipeline_mode()
            self._on = True
        name = self._names.get(text)
        if name is None:
            name = self._names[text] = b"m%d" % next(self._numbers)
            self._new.append(text)
            pgconn.send_prepare(name, text)
            self._due.append(None)
        pgconn.send_query_prepared(name, given, formats, _BINARY)
        self._due.append(heard)

    def ask(self, text: bytes, values: Sequence[Any] = ()) -> PGresult:
        """Send it with all that waits to be sent, and wait for the answer. Raises psycopg.Error."""
        answers: list[PGresult] = []
        self.tell(text, values, answers.append)
        self.settled()
        return answers[0]

    def asked(self, text: bytes, values: Sequence[Any] = ()) -> Callable[[], list[Any]]:
        """Send it with what comes next. What this gives back gives its rows, as `rows` does, and waits for them where
        nothing did that was asked since: raises psycopg.Error."""
        answers: list[PGresult] = []
        self.tell(text, values, answers.append)

        def rows() -> list[Any]:
            if not answers:
                self.settled()
            return self.rows(answers[0])

        return rows

    def last(self, text: bytes, values: Sequence[Any] = ()) -> PGresult:
        """The same, but gives back what was refused: the first of it. Raises psycopg.OperationalError."""
        self.tell(text, values)
        return self._answered()

    def rows(self, answer: PGresult) -> list[Any]:
        """… as tuples."""
        some = answer.ntuples
        if not some:
            return []
        self._loader.set_pgresult(answer)
        return self._loader.load_rows(0, some, tuple)

    def settled(self) -> PGresult:
        """Wait for everything that was sent; gives back the last answer. Raises psycopg.Error."""
        closing, self.closing = self.closing, b""
        if closing:
            self.tell(closing)
        answer = self._answered()
        if answer.status == _FAILED:  # and what came behind it was not done
            raise error_of(answer, self.driver)
        self.over = self.over or bool(closing)
        return answer

    def settle(self) -> None:
        """Have nothing under way: others may speak. Raises psycopg.Error."""
        self.closing = b""
        if self._due:
            self.settled()
        if self._on:
            self._pgconn.exit_pipeline_mode()
            self._on = False

    def leave(self, text: bytes) -> None:
        """Send the last statement, of which `return_to` hears, before the connection is used again.
        Raises psycopg.Error."""
        self.tell(text)
        self._pgconn.pipeline_sync()
        self._flush()
        self._left = True

    def return_to(self) -> None:
        """Hear of what was left. Raises psycopg.Error."""
        if self._left:
            answer = self._collected()
            if answer.status == _FAILED:
                raise error_of(answer, self.driver)

    @property
    def is_alive(self) -> bool:
        """Has the server said nothing by itself? What it says by itself is that it has ended the connection."""
        return not self._poll.poll(0)

    # Within

    def _answered(self) -> PGresult:
        self._pgconn.pipeline_sync()
        self._flush()
        return self._collected()

    def _flush(self) -> None:
        """Send what libpq has. The server may have answers to get rid of before it takes any more."""
        pgconn = self._pgconn
        if not pgconn.flush():
            return
        self._poll.modify(self.driver.fileno(), select.POLLIN | select.POLLOUT)
        try:
            while pgconn.flush():
                if self._wait() & select.POLLIN:
                    pgconn.consume_input()
        finally:
            self._poll.modify(self.driver.fileno(), select.POLLIN)

    def _wait(self) -> int:
        self.driver.since = time.monotonic()
        try:
            return self._poll.poll()[0][1]
        finally:
            self.driver.since = 0.0

    def _collected(self) -> PGresult:
        """All answers up to the mark that was sent last: the last one, or the first that is a refusal. Raises
        psycopg.OperationalError where the connection is gone, and nothing was refused."""
        due, self._due, self._left = self._due, [], False
        failed: PGresult | None = None
        answer: PGresult | None = None
        heard = iter(due)
        for answer in self._answers():
            to = next(heard, None)
            if answer.status == _FAILED:
                failed = failed or answer
            elif failed is None and to is not None:
                to(answer)
        if failed is not None:
            for text in self._new:
                self._names.pop(text, None)
        self._new.clear()
        if failed is not None or answer is not None:
            return failed or answer  # type: ignore[return-value]
        return self._gone()

    def _answers(self) -> Iterable[PGresult]:
        pgconn = self._pgconn
        while True:
            while pgconn.is_busy():
                self._wait()
                try:
                    pgconn.consume_input()
                except Exception:  # noqa: BLE001 - psycopg.OperationalError: what the server said last is there still
                    while (answer := pgconn.get_result()) is not None:
                        yield answer
                    return
            answer = pgconn.get_result()
            if answer is None:
                if pgconn.status == _BAD:
                    return
            elif answer.status == _SYNC:
                return
            else:
                yield answer

    def _gone(self) -> PGresult:
        from psycopg import OperationalError  # noqa: PLC0415 - as above

        raise OperationalError("the connection is lost")


def pipeline_of(connection: Connection) -> Pipeline | None:
    """The one that is open on it."""
    pipeline: Pipeline | None = connection.info.get(_KEPT)
    return pipeline if pipeline is not None and pipeline.open else None


def kept_beside(connection: Connection) -> Pipeline:
    """The connection's own, made where there is none."""
    pipeline: Pipeline | None = connection.info.get(_KEPT)
    if pipeline is None:
        driver: Any = connection.connection.driver_connection
        pipeline = connection.info[_KEPT] = Pipeline(driver)
    return pipeline


def error_of(answer: PGresult, driver: Bounded) -> psycopg.Error:
    from psycopg import errors  # noqa: PLC0415 - as above

    return errors.error_from_result(answer, driver.info.encoding)


def _given(values: Sequence[Any]) -> tuple[list[bytes | None] | None, list[int] | None]:
    """As libpq takes them: text, but bytes as they are. Raises psycopg.DataError."""
    if not values:
        return None, None
    given: list[bytes | None] = []
    formats: list[int] | None = None
    for n, value in enumerate(values):
        if isinstance(value, str):
            if "\0" in value:  # libpq would take it for the end
                raise _no_text()
            given.append(value.encode())
        elif isinstance(value, int):
            given.append(b"%d" % value)
        elif value is None:
            given.append(None)
        else:
            given.append(value)
            if formats is None:
                formats = [0] * len(values)
            formats[n] = _BINARY
    return given, formats


def _no_text() -> Exception:
    from psycopg import DataError  # noqa: PLC0415 - as above

    return DataError("PostgreSQL takes no NUL in a text")
