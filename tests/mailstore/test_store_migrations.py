"""Old database files: Alembic makes what the schema says, and a file from another version is refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, create_engine, inspect
from sqlalchemy.pool import NullPool

from mailstore.database import AccountsDatabase
from mailstore.errors import StorageFailed
from mailstore.mailbox_database import MailboxEngine
from mailstore.migrations.carry import carry_forward, configuration
from mailstore.schema import HEAD, accounts_metadata, mailbox_metadata
from mailstore.sqlite import bring_to_head
from tests.mailstore.store_rig import append, open_descriptors, open_home, rows

# An index of an expression is compared by its text, with the triggers, in a test of its own.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index"),
    pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based index"),
]
GROUPS = pytest.mark.parametrize("group", [accounts_metadata, mailbox_metadata], ids=["accounts", "mailbox"])


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    with create_engine(f"sqlite:///{tmp_path}/x.db", poolclass=NullPool).begin() as connection:
        yield connection


def described(connection: Connection) -> list[tuple[str, str]]:
    """Every table and index as SQLite has it, apart from spaces and quotes."""
    found = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")
    return [(name, " ".join(sql.replace('"', "").split())) for name, sql in found]


def columns(connection: Connection) -> dict[str, object]:
    about = inspect(connection)
    return {
        table: (
            [{key: str(value) for key, value in column.items()} for column in about.get_columns(table)],
            about.get_pk_constraint(table)["constrained_columns"],
            about.get_unique_constraints(table),
            sorted((str(i["name"]), tuple(map(str, i["column_names"]))) for i in about.get_indexes(table)),
        )
        for table in about.get_table_names()
        if table != "alembic_version"
    }


@GROUPS
def test_alembic_makes_exactly_the_tables_of_the_schema(connection: Connection, group: MetaData) -> None:
    carry_forward(connection, group)
    context = MigrationContext.configure(connection, opts={"compare_type": True})  # defaults: see the next test
    assert compare_metadata(context, group) == []
    assert context.get_current_revision() == HEAD


@GROUPS
def test_a_new_file_is_the_same_as_one_that_was_carried_forward(tmp_path: Path, group: MetaData) -> None:
    found = []
    for make in (carry_forward, bring_to_head):
        engine = create_engine(f"sqlite:///{tmp_path}/{make.__name__}.db", poolclass=NullPool)
        with engine.begin() as connection:
            make(connection, group)
        with engine.begin() as connection:
            found.append(columns(connection))
            assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").all() == [(HEAD,)]
    assert found[0] == found[1]


@GROUPS
def test_triggers_and_indexes_of_expressions_are_the_same_as_well(tmp_path: Path, group: MetaData) -> None:
    found = []
    for make in (carry_forward, bring_to_head):
        engine = create_engine(f"sqlite:///{tmp_path}/{make.__name__}.db", poolclass=NullPool)
        with engine.begin() as connection:
            make(connection, group)
        with engine.begin() as connection:
            kept = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE type IN ('trigger', 'index')")
            found.append(sorted(" ".join(sql.replace('"', "").split()) for (sql,) in kept if sql))
    assert found[0] == found[1]
    assert any("TRIGGER" in sql for sql in found[0]) == (group is accounts_metadata)


@GROUPS
def test_head_is_the_last_revision(connection: Connection, group: MetaData) -> None:
    assert ScriptDirectory.from_config(configuration(connection, group)).get_heads() == [HEAD]


@GROUPS
def test_carrying_forward_is_part_of_the_transaction(tmp_path: Path, group: MetaData) -> None:
    """A crash in the middle leaves the old file."""
    path = tmp_path / "old.db"
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    with pytest.raises(KeyboardInterrupt):
        with engine.connect() as connection:
            connection.connection.driver_connection.isolation_level = None  # type: ignore[union-attr]
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            carry_forward(connection, group)
            raise KeyboardInterrupt
    with sqlite3.connect(path) as plain:
        assert plain.execute("SELECT name FROM sqlite_master").fetchall() == []
    plain.close()


def age(path: Path, revision: str) -> None:
    plain = sqlite3.connect(path)
    with plain:
        plain.execute("UPDATE alembic_version SET version_num = ?", [revision])
    plain.close()


def test_a_file_of_an_unknown_revision_is_refused_and_left_alone(tmp_path: Path) -> None:
    home = open_home(tmp_path)
    append(home, b"one")
    home.close()
    AccountsDatabase(tmp_path / "accounts.db").close()
    age(tmp_path / "Maildir.db", "9999")
    age(tmp_path / "accounts.db", "9999")
    descriptors = open_descriptors(tmp_path)
    with pytest.raises(StorageFailed, match="another version of mailferry"):
        open_home(tmp_path)
    with pytest.raises(StorageFailed, match="another version of mailferry"):
        MailboxEngine().open(tmp_path / "accounts.db")
    with pytest.raises(StorageFailed, match="another version of mailferry"):
        AccountsDatabase(tmp_path / "accounts.db")
    assert open_descriptors(tmp_path) == descriptors
    age(tmp_path / "Maildir.db", HEAD)
    home = open_home(tmp_path)
    assert len(rows(home)) == 1
    home.close()
