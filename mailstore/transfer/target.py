"""The PostgreSQL database that an installation is copied into.

While a copy is not finished there is a table beside mailferry's own, `storage_copy`: a row for each mailbox that has
arrived and was proven, and one, number 0, that says of which installation it all is. No daemon serves such a database
(`mailstore.server_schema`). It goes in the transaction that ends the copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any, Final

import psycopg
from sqlalchemy import Engine, Table

from mailstore.errors import MailstoreError
from mailstore.refusals import storage_errors
from mailstore.schema import DERIVED
from mailstore.server_schema import UNFINISHED, bring_up
from mailstore.silence import Bounded
from mailstore.transfer.rows import ACCOUNTS, MAILBOX, Proof, key_of, names_of

_WHOSE: Final = 0  # accounts begin at 1
_PIECE: Final = 256 * 1024


class CopyRefused(MailstoreError):
    """The copy cannot be made, or what has arrived is not what was sent. The text is for the administrator."""


class Target:
    """One connection of an engine of `mailstore.postgres`, with which it is closed. What is refused is StorageFailed,
    and CopyRefused."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        with storage_errors():
            self._held = engine.raw_connection()
            driver = self._held.driver_connection
            assert isinstance(driver, Bounded)
            driver.patient = True
        self._connection: psycopg.Connection[tuple[Any, ...]] = driver
        self._connection.autocommit = True
        self._run("SET bytea_output = hex")
        self._run("SET statement_timeout = 0")  # a table of millions takes its time

    def close(self) -> None:
        self._held.close()
        self._engine.dispose()

    def prepare(self) -> None:
        """See that the server will do, and make the tables."""
        with storage_errors():
            bring_up(self._engine, serve=False)

    def _run(self, statement: str, parameters: Sequence[Any] = ()) -> psycopg.Cursor[tuple[Any, ...]]:
        return self._connection.execute(statement, parameters)

    def claim(self, whose: str, *, write: bool = True) -> dict[int, bytes]:
        """The database is this installation's from now on: gives back the digests of mailboxes that are there already.
        Without `write` it is only looked at; its tables need not be there."""
        with storage_errors():
            known = self._run(f"SELECT to_regclass('{UNFINISHED}')").fetchone() != (None,)
            if known:
                rows = dict(self._run(f"SELECT account_id, digest FROM {UNFINISHED}").fetchall())  # noqa: S608
                if rows.pop(_WHOSE, b"").decode() != whose:
                    raise CopyRefused(
                        "the copy of another installation was begun in this database: give this one another"
                    )
                return {int(number): bytes(digest) for number, digest in rows.items()}
            for table in (*ACCOUNTS, *MAILBOX):
                if self._run(f"SELECT to_regclass('{table.name}')").fetchone() == (None,):
                    continue
                if self._run(f'SELECT 1 FROM "{table.name}" LIMIT 1').fetchone() is not None:  # noqa: S608
                    raise CopyRefused(
                        f"there is something in the database already (in {table.name}), and it is no copy that was "
                        "begun: give it an empty one"
                    )
            if write:
                with self._connection.transaction():
                    self._run(f"CREATE TABLE {UNFINISHED} (account_id bigint PRIMARY KEY, digest bytea NOT NULL)")
                    self._run(f"INSERT INTO {UNFINISHED} VALUES (%s, %s)", (_WHOSE, whose.encode()))  # noqa: S608
            return {}

    def put(self, sent: Mapping[int, Mapping[str, Sequence[bytes]]], proofs: Mapping[int, Proof]) -> None:
        """Mailboxes, by account and table: they replace what there is of them, are read back, and are kept only if they
        are what was sent, whose `proofs` are given."""
        numbers = list(sent)
        with storage_errors(), self._connection.transaction():
            self._run("SET LOCAL synchronous_commit = off")  # the last commit waits for all
            for table in MAILBOX:
                self._run(f'DELETE FROM "{table.name}" WHERE account_id = ANY(%s)', (numbers,))  # noqa: S608
                self._copy_in(table, (line for number in numbers for line in sent[number].get(table.name, ())))
            found = {number: Proof() for number in numbers}
            for table in MAILBOX:
                for proof in found.values():
                    proof.begin(table.name)
                for prefix, lines in groupby(self._copy_out(table, numbers), _account_of):
                    found[int(prefix)].add(list(lines))
            for number in numbers:
                _same(f"the mailbox of account {number}", found[number], proofs[number])
            with self._connection.cursor() as cursor:
                cursor.executemany(
                    f"INSERT INTO {UNFINISHED} VALUES (%s, %s) ON CONFLICT (account_id) DO UPDATE "  # noqa: S608
                    "SET digest = excluded.digest",
                    [(number, proofs[number].digest()) for number in numbers],
                )

    def remove(self, numbers: Sequence[int]) -> None:
        """Mailboxes that are not there any more."""
        with storage_errors(), self._connection.transaction():
            for name in (*(table.name for table in MAILBOX), UNFINISHED):
                self._run(f'DELETE FROM "{name}" WHERE account_id = ANY(%s)', (list(numbers),))  # noqa: S608

    @contextmanager
    def ending(self) -> Iterator[None]:
        """The last transaction: what is `put_table` in it is there, and the copy is finished, or nothing is."""
        with storage_errors(), self._connection.transaction():
            names = ", ".join(f'"{table.name}"' for table in ACCOUNTS)
            self._run(f"TRUNCATE {names}, {', '.join(sorted(DERIVED))}")
            yield
            for name in ("accounts", "notices"):
                self._run(
                    f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), greatest(max(id), 1), max(id) IS NOT NULL) "  # noqa: S608
                    f"FROM {name}"
                )
            self._run(f"DROP TABLE {UNFINISHED}")

    def put_table(self, table: Table, lines: Iterable[bytes]) -> int:
        """A table of accounts, in `ending`; gives back how many rows it has."""
        sent, found = Proof(), Proof()
        self._copy_in(table, sent.take(lines))
        for _ in found.take(self._copy_out(table)):
            pass
        _same(table.name, found, sent)
        return sent.rows

    def settle(self) -> None:
        """Have the server know what is in its tables, so that its plans are good from the first moment on."""
        with storage_errors():
            for table in (*ACCOUNTS, *MAILBOX):
                self._run(f'VACUUM (ANALYZE) "{table.name}"')

    def _copy_in(self, table: Table, lines: Iterable[bytes]) -> None:
        statement = f'COPY "{table.name}" ({names_of(table)}) FROM STDIN'
        with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            piece, size = [], 0
            for line in lines:
                piece.append(line)
                size += len(line)
                if size >= _PIECE:
                    copy.write(b"".join(piece))
                    piece, size = [], 0
            copy.write(b"".join(piece))

    def _copy_out(self, table: Table, numbers: Sequence[int] | None = None) -> Iterator[bytes]:
        chosen = "" if numbers is None else f"WHERE account_id = ANY('{{{','.join(map(str, numbers))}}}')"
        statement = f'COPY (SELECT {names_of(table)} FROM "{table.name}" {chosen} ORDER BY {key_of(table)}) TO STDOUT'  # noqa: S608
        with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            for line in copy:
                yield bytes(line)


def _account_of(line: bytes) -> bytes:
    """The first column of a mailbox's table."""
    return line[: line.index(b"\t")]


def _same(what: str, found: Proof, sent: Proof) -> None:
    if (found.rows, found.digest()) != (sent.rows, sent.digest()):
        raise CopyRefused(
            f"{what} is not the same in the database as in the files ({found.rows:,} rows of {sent.rows:,}): nothing "
            "of it is kept; run the copy again, and report this"
        )
