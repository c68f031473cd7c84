"""Mailboxes in PostgreSQL: the indexes and ledgers of all accounts, in the tables of one database.

Thousands of mailboxes are open in a process that has a few connections: each transaction takes one from the pool, and
gives it back at its end. Nothing here is ever brief (`Mailbox.hurry`): whoever waits for the network waits in a thread.

- A `read` is REPEATABLE READ, READ ONLY. A `write` is READ COMMITTED under the account's advisory lock, which all
  processes of all nodes take: whatever it reads is what the writer before it has left, and stays so.
- BEGIN and the lock are sent with the first statement, and COMMIT with the last ones (`mailstore.pipeline`).
- A connection that the server has ended meanwhile is replaced by another one, unnoticed. One that breaks later undoes
  the transaction.
- If it breaks while COMMIT is under way nobody knows what became of that, and files were put in place for it, or are to
  be removed after it. So the server is asked, by the transaction's number, as soon as it can be.
- The database is known by `identity`: another cluster, another database, or another timeline of the same one, as after
  a restore or a failover, may lack what clients were told. Mailboxes that were open are to be opened anew then
  (`mailstore.beginning`).
- `fence`, where it is set, is called in each transaction that writes, behind the lock: what it raises undoes it.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, Engine, bindparam, delete, select

from mailstore import schema
from mailstore.at_hand import AtHand, throw_away
from mailstore.barrier import Barriers
from mailstore.errors import OutcomeUnknown, StorageCorrupt, StorageFailed, TakesLonger
from mailstore.index.salvage import Salvage
from mailstore.mailbox import Mailbox, Report
from mailstore.pipeline import Pipeline, error_of
from mailstore.prepared import Prepared
from mailstore.refusals import storage_errors, translated
from mailstore.replaying import Replayed

if TYPE_CHECKING:
    import psycopg
    from psycopg.pq.abc import PGresult

LOCKS: Final = 0x6D61696C  # the first key of the advisory locks of mailboxes; the second is the account's number
SETTLING: Final = 60.0  # seconds in which the server has to say what became of a transaction
_PAUSE: Final = 0.25  # … between two questions
_INT4: Final = 1 << 31

_READ: Final = b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_WRITE: Final = b"BEGIN ISOLATION LEVEL READ COMMITTED"
_LIGHTLY: Final = b"SET LOCAL synchronous_commit = off"
_LOCK: Final = b"SELECT pg_advisory_xact_lock($1::int, $2::int), pg_current_xact_id()::text"
_COMMIT, _ROLLBACK = b"COMMIT", b"ROLLBACK"
_FATE: Final = b"SELECT pg_xact_status($1::xid8)"
_IN_THE_FUTURE: Final = "22023"  # it has no such transaction: the one it has been restored from had
_WHICH: Final = (
    "SELECT system_identifier, timeline_id, oid FROM pg_control_system(), pg_control_checkpoint(), pg_database "
    "WHERE datname = current_database()"
)
_FAILED: Final = 7  # PGRES_FATAL_ERROR: the driver is not imported, where SQLite is in use it may not be there
_IDENTITY: Final = "mailferry identity"  # in what SQLAlchemy keeps beside a connection
_IS_KNOWN: Final = Prepared(select(schema.mailboxes.c.token).where(schema.mailboxes.c.account_id == bindparam("a")))
_HAS_MAIL: Final = Prepared(
    select(schema.messages.c.uid)
    .where(schema.messages.c.account_id == bindparam("a"), schema.messages.c.file != "")
    .limit(1)
)


def commit(pipeline: Pipeline) -> PGresult:
    """The end of every transaction that changed something in a mailbox: the moment from which it is kept."""
    return pipeline.last(_COMMIT)


class PostgresMailboxes:
    """Opens mailboxes in one database, whose tables are there."""

    def __init__(self, engine: Engine) -> None:
        """`engine` as of `mailstore.postgres.postgres_engine`; it may be used for other things beside."""
        self.engine = engine
        self._at_hand = AtHand.of(engine)
        self.barriers = Barriers()  # nothing is ever owed, so none is ever slow

    def open(self, account_id: int) -> PostgresMailbox:
        """Asks the server for nothing yet."""
        return PostgresMailbox(self._at_hand, account_id)

    def knows(self, account_id: int) -> bool:
        """Has the account a mailbox? Raises StorageFailed."""
        with self.open(account_id).read() as connection:
            return _IS_KNOWN.first(connection, {"a": account_id}) is not None

    def has_mail(self, account_id: int) -> bool:
        """Are there to be files of messages? Raises StorageFailed."""
        with self.open(account_id).read() as connection:
            return _HAS_MAIL.first(connection, {"a": account_id}) is not None

    def forget(self, account_id: int) -> None:
        """Remove every row of an account. Raises StorageFailed."""
        with self.open(account_id).write() as connection:
            for table in schema.mailbox_metadata.sorted_tables:
                connection.execute(delete(table).where(table.c.account_id == account_id))


class _Transaction:
    """A block that is one transaction."""

    __slots__ = ("_at_once", "_connection", "_mailbox", "_number", "_over", "_pipeline", "_settings", "_writes")

    def __init__(self, mailbox: PostgresMailbox, *settings: bytes, writes: bool, at_once: bool = False) -> None:
        """`at_once`: it ends with the first answer that is waited for."""
        self._at_once = at_once
        self._mailbox = mailbox
        self._settings = settings
        self._writes = writes
        self._number = b""  # the transaction's, as the server counts them
        self._over = False  # is there nothing to be undone any more?

    def __enter__(self) -> Connection:
        mailbox = self._mailbox
        if mailbox.hurried:
            raise TakesLonger
        with storage_errors():
            self._connection, self._pipeline = mailbox.at_hand.take()
            try:
                self._begin()
                mailbox.look_at(self._connection)
                if self._at_once:
                    self._pipeline.closing = _COMMIT
                if self._writes and mailbox.fence is not None:
                    mailbox.fence(self._connection)
            except BaseException:
                self._undo()
                raise
        return self._connection

    def _begin(self) -> None:
        """Sent with the first statement."""
        pipeline = self._pipeline
        pipeline.open, pipeline.over = True, False
        for statement in self._settings:
            pipeline.tell(statement)
        if self._writes:
            pipeline.tell(_LOCK, (LOCKS, self._mailbox.lock), self._begun)

    def _begun(self, answer: PGresult) -> None:
        self._number = answer.get_value(0, 1) or b""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if error is None:
            with storage_errors():
                try:
                    self._end()
                except BaseException:
                    self._undo()
                    raise
            return
        self._undo()
        if (failed := translated(error)) is not None:
            raise failed from error

    def _end(self) -> None:
        at_hand, connection, pipeline = self._mailbox.at_hand, self._connection, self._pipeline
        if not self._writes:
            pipeline.closing = b""
            at_hand.give_back(connection, pipeline, b"" if pipeline.over else _COMMIT)
            return
        if not self._number:  # it will be asked for if the connection breaks now
            pipeline.settled()
        refused: BaseException | None = None
        try:
            answer = commit(pipeline)
        except Exception as error:
            if translated(error) is None:
                raise
            refused = error
        else:
            if answer.status == _FAILED:
                refused = error_of(answer, pipeline.driver)
        if refused is None and answer.command_status != _COMMIT:  # a statement before was refused
            raise StorageFailed("the database refused: the transaction was undone")
        if refused is not None and not pipeline.driver.closed:
            raise refused
        self._over = True
        if refused is None:
            at_hand.give_back(connection, pipeline)
            return
        throw_away(connection)
        if not self._mailbox.kept(self._number):
            raise refused

    def _undo(self) -> None:
        if not self._over:
            self._pipeline.closing = b""
            self._mailbox.at_hand.undo(self._connection, self._pipeline, b"" if self._pipeline.over else _ROLLBACK)


class PostgresMailbox(Mailbox):
    """One account's rows."""

    shared = True

    def __init__(self, at_hand: AtHand, account_id: int) -> None:
        super().__init__()
        self.at_hand = at_hand
        self.account_id = account_id
        self.lock = (account_id + _INT4) % (2 * _INT4) - _INT4
        self._identity: int | None = None  # of the database, once that was seen

    def _begin_read(self) -> _Transaction:
        return _Transaction(self, _READ, writes=False)

    def _begin_look(self) -> _Transaction:
        return _Transaction(self, _READ, writes=False, at_once=True)

    def write(self) -> _Transaction:
        self.apart()
        return _Transaction(self, _WRITE, writes=True)

    def write_lightly(self) -> _Transaction:
        """The server's log is written in order: so no later change outlives an earlier one."""
        self.apart()
        return _Transaction(self, _WRITE, _LIGHTLY, writes=True)

    def hurry(self, hurried: bool) -> None:
        if hurried:
            raise TakesLonger

    @property
    def log(self) -> Path | None:
        return None

    def paid(self) -> None:
        pass

    def close(self) -> None:
        pass

    def look_at(self, connection: Connection) -> None:
        """A transaction has begun. Raises StorageCorrupt where it is in another database than those before."""
        identity: int | None = connection.info.get(_IDENTITY)
        if identity is None:
            which = ".".join(str(part) for part in connection.exec_driver_sql(_WHICH).one())
            identity = connection.info[_IDENTITY] = int.from_bytes(hashlib.sha256(which.encode()).digest()[:6])
        if self._identity is None:
            self._identity = identity
        elif self._identity != identity:
            raise StorageCorrupt("the database is another one, or another timeline, than when the mailbox was opened")

    def kept(self, number: bytes) -> bool:
        """What became of a transaction whose connection broke as it was to be committed? Asked under the account's
        lock, which it holds to its end. Raises OutcomeUnknown."""
        until = time.monotonic() + SETTLING
        while True:
            try:
                with storage_errors():
                    return self._fate(number)
            except StorageFailed as error:
                if time.monotonic() > until:
                    raise OutcomeUnknown("the database was lost while it was writing") from error
            time.sleep(_PAUSE)

    def _fate(self, number: bytes) -> bool:
        connection, pipeline = self.at_hand.take()
        try:
            pipeline.tell(_WRITE)
            pipeline.tell(_LOCK, (LOCKS, self.lock))
            pipeline.settled()
            answer = pipeline.last(_FATE, (number.decode(),))
            if answer.status != _FAILED:
                return answer.get_value(0, 0) == b"committed"
            error = error_of(answer, pipeline.driver)
            if error.sqlstate == _IN_THE_FUTURE:
                return False
            raise error
        finally:
            self.at_hand.undo(connection, pipeline, _ROLLBACK)

    # Its beginning

    def identity(self) -> int:
        if self._identity is None:
            with self.read():
                pass
        assert self._identity is not None
        return self._identity

    def replayed(self, report: Report) -> Replayed | None:
        return None

    def salvaged(self, account_id: int) -> tuple[Salvage, str]:
        return Salvage(), ""

    def keep_record(self, token: str, report: Report) -> None:
        """The server keeps its own: its log, and what is made of that elsewhere."""

    # Damage: the server's to notice, and its administrator's to mend

    def tidy(self, report: Report) -> None:
        pass

    def check(self, connection: Connection) -> None:
        pass

    def suspect(self) -> None:
        pass


def driver_of(connection: Connection) -> psycopg.Connection[Any]:
    driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
    return driver
