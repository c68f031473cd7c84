"""The tables in PostgreSQL: made at the first use, carried forward by the first node of a later version, and looked at
by every node at its start.

All of them are in one database: those of accounts and those of mailboxes. One node at a time makes or carries forward
(`Turn.SCHEMA`), in one transaction, so that there is never half of it. What a node of another version may do with them
is said in `mailstore.migrations`.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, Engine, text
from sqlalchemy.schema import CreateIndex, CreateTable

from mailstore import counters, name_tails, notice_counters
from mailstore.errors import StorageCorrupt, StorageFailed
from mailstore.schema import DERIVED, HEAD, accounts_metadata, mailbox_metadata
from mailstore.silence import patience
from mailstore.turns import SPACE, Turn

OLDEST: Final = 150_000  # the server: its version as `server_version_num` has it
SEQUENCE: Final = "accounts_changes"
UNFINISHED: Final = "storage_copy"  # the table that is there while an installation is copied into the database
APART: Final = 1  # revisions by which a node may be older than the tables: see `mailstore.migrations`

_FUNCTION: Final = "accounts_changed"
# Not those that change by themselves all the time, and that nobody waits for.
_UNWATCHED: Final = {
    *DERIVED,
    *("web_sessions", "samples"),
    *("nodes", "leases", "places", "host_logins", "host_pauses", "said_no", "installation"),
}
_WATCHED: Final = [table.name for table in accounts_metadata.sorted_tables if table.name not in _UNWATCHED]
_COUNTING: Final = (
    f"CREATE SEQUENCE {SEQUENCE}",
    # The lock first: while somebody looks, nothing is counted. See `mailstore.accounts_server`.
    f"""
    CREATE FUNCTION {_FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock_shared({SPACE}, {Turn.CHANGED.value});
        PERFORM nextval(TG_ARGV[0]::regclass);
        RETURN NULL;
    END $$
    """,
    *(
        f"CREATE TRIGGER {name}_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {name} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {_FUNCTION}('{SEQUENCE}')"
        for name in _WATCHED
    ),
)


def statements(engine: Engine) -> list[str]:
    """All that makes the tables of a new database."""
    made: list[str] = []
    for metadata in (accounts_metadata, mailbox_metadata):
        for table in metadata.sorted_tables:
            made.append(str(CreateTable(table).compile(engine)))
            indexes = sorted(table.indexes, key=lambda index: str(index.name))
            made += [str(CreateIndex(index).compile(engine)) for index in indexes]
    made.append("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    made.append(f"INSERT INTO alembic_version VALUES ('{HEAD}')")  # noqa: S608 - a constant of ours
    return [*made, *_COUNTING, *counters.POSTGRES, *notice_counters.POSTGRES, *name_tails.POSTGRES]


def bring_up(engine: Engine, *, serve: bool = True) -> None:
    """See that the server will do, and that its tables are there and are ours. Raises StorageFailed, and what the
    driver raises (for `mailstore.refusals`)."""
    with engine.connect() as connection:
        _see_to_the_server(connection)
        found = version(connection)
        if serve and connection.execute(text(f"SELECT to_regclass('{UNFINISHED}')")).scalar() is not None:
            raise StorageFailed(
                "the copy of an installation into it is not finished: run mailferry storage copy again, to its end"
            )
    if found == HEAD or (found is not None and not _older(found)):
        return
    with engine.begin() as connection, patience(connection.connection.driver_connection):
        # A table of millions may get an index; and others wait for that.
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(text(f"SELECT pg_advisory_xact_lock({SPACE}, {Turn.SCHEMA.value})"))
        found = version(connection)  # another node may have been quicker
        if found is None:
            _see_that_it_is_free(connection)
            for statement in statements(engine):
                connection.exec_driver_sql(statement)
        elif _older(found):
            from mailstore.migrations.carry import carry_forward  # noqa: PLC0415 - alembic costs half a second

            carry_forward(connection, None)


def version(connection: Connection) -> str | None:
    """The revision of the tables; None where there are none. Raises StorageCorrupt."""
    if connection.execute(text("SELECT to_regclass('alembic_version')")).scalar() is None:
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
    if len(found) != 1 or not str(found[0]).isdigit():
        raise StorageCorrupt("the database is damaged: it does not say which version it is")
    return str(found[0])


def _older(found: str) -> bool:
    """Are the tables of an earlier revision than ours? Raises StorageFailed where they are of one too late."""
    if int(found) > int(HEAD) + APART:
        raise StorageFailed(
            f"the database's tables are of revision {found}, and this version of mailferry knows {HEAD}: install here "
            "the version that the other nodes have"
        )
    return int(found) < int(HEAD)


def _see_to_the_server(connection: Connection) -> None:
    number, spelled, encoding = connection.execute(
        text(
            "SELECT current_setting('server_version_num')::int, current_setting('server_version'), "
            "current_setting('server_encoding')"
        )
    ).one()
    if number < OLDEST:
        raise StorageFailed(f"the server is PostgreSQL {spelled}, and mailferry needs {OLDEST // 10_000} or later")
    if encoding != "UTF8":
        raise StorageFailed(
            f"the database keeps text as {encoding}: make it anew with "
            "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        )


def _see_that_it_is_free(connection: Connection) -> None:
    """Where an old programme's tables are, ours would be among them."""
    ours = [table.name for metadata in (accounts_metadata, mailbox_metadata) for table in metadata.sorted_tables]
    there = connection.execute(
        text(
            "SELECT name FROM unnest(CAST(:names AS text[])) AS name WHERE to_regclass(quote_ident(name)) IS NOT NULL"
        ),
        {"names": ours},
    ).scalars()
    if found := sorted(there):
        raise StorageFailed(
            f"the database has tables that are not mailferry's ({', '.join(found[:3])}): give it a database of its own"
        )
