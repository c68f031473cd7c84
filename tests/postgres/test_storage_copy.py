"""`mailferry storage copy`: an installation in files, and the same in PostgreSQL."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from mailstore.accounts import Account, Accounts
from mailstore.accounts_server import AccountsServer
from mailstore.database import AccountsDatabase
from mailstore.errors import StorageFailed
from mailstore.mailbox_database import MailboxEngine
from mailstore.mailhome import MailHome, index_path
from mailstore.notices import Notices
from mailstore.postgres import address, postgres_engine
from mailstore.roster import FIELDS, Entry, Roster
from mailstore.schema import accounts_metadata, mailbox_metadata
from mailstore.transfer import course
from mailstore.transfer.target import Target
from proxy.cli.main import main
from proxy.daemon.alone import Alone
from tests.mailstore.store_rig import append
from tests.postgres.server import PASSWORD, PostgresServer

ODD = 'tab\there, a "quote", a back\\slash \\N \\x41, a new\nline\r, \x0b\x0c\x08 and 张伟 😀'
NAMES = ("li", "wang", "zhao", "boss")


@dataclass
class Place:
    """An installation, and an empty database."""

    root: Path
    server: PostgresServer
    name: str

    @property
    def state(self) -> Path:
        return self.root / "state"

    def maildir(self, local: str) -> Path:
        return self.state / "mail" / "123.com" / local / "Maildir"

    def run(self, *more: str) -> Result:
        secret = self.root / "secret"
        url = self.server.url(self.name).replace(f":{PASSWORD}@", "@")
        command = ["storage", "copy", "--config", str(self.root / "mailferry.toml"), "--to", url]
        result = CliRunner().invoke(main, [*command, "--password-file", str(secret), *more])
        assert PASSWORD not in result.output
        return result

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        """Of the database, in the order of all columns."""
        with psycopg.connect(self.server.dsn(self.name)) as connection:
            columns = _table(table)
            statement = f"SELECT {columns} FROM {table} ORDER BY {columns}"
            return connection.execute(statement).fetchall()  # type: ignore[arg-type]

    def rows_of_files(self, table: str) -> list[tuple[Any, ...]]:
        columns = _table(table)
        if table in accounts_metadata.tables:
            files = [self.state / "accounts.db"]
        else:
            files = [index_path(self.maildir(local)) for local in NAMES if index_path(self.maildir(local)).exists()]
        found: list[tuple[Any, ...]] = []
        for file in files:
            with closing(sqlite3.connect(file)) as connection:
                found += connection.execute(f"SELECT {columns} FROM {table}").fetchall()
        return sorted(found, key=lambda row: tuple((value is None, value) for value in row))

    def same(self) -> None:
        for table in (*accounts_metadata.tables, *mailbox_metadata.tables):
            theirs = sorted(self.rows(table), key=lambda row: tuple((value is None, value) for value in row))
            assert theirs == self.rows_of_files(table), table

    def home(self, account: Account) -> MailHome:
        return MailHome(MailboxEngine(), account.id, self.maildir(account.local))

    def deliver(self, local: str, *bodies: bytes) -> None:
        with closing(AccountsDatabase(self.state / "accounts.db")) as database:
            account = Accounts(database).find(local, "123.com")
        assert account is not None
        with closing(self.home(account)) as home:
            for body in bodies:
                append(home, body)

    def on_the_server(self, *, check: bool = True) -> AccountsDatabase:
        engine = postgres_engine(address(self.server.url(self.name)), connections=3)
        return AccountsDatabase(AccountsServer(engine, check=check))


def _table(name: str) -> str:
    """Its columns, without what is a file's alone, or says which of the server's processes wrote it."""
    table = {**accounts_metadata.tables, **mailbox_metadata.tables}[name]
    return ", ".join(column.name for column in table.columns if column.name not in {"inode", "slot"})


@pytest.fixture
def place(tmp_path: Path, postgres: PostgresServer) -> Iterator[Place]:
    place = Place(tmp_path, postgres, postgres.make_database())
    (tmp_path / "secret").write_text(PASSWORD)
    (tmp_path / "secret").chmod(0o600)
    (tmp_path / "mailferry.toml").write_text(
        f'hostname = "localhost"\nstate = "{place.state}"\n[listen]\nimap = ["tcp:143"]\n'
        '[domain."123.com".legacy]\nhost = "pop.old.123.com"\n'
    )
    with closing(AccountsDatabase(place.state / "accounts.db")) as database:
        entries = [Entry(local, "123.com", full_name=ODD, department="R&D") for local in ("li", "wang", "zhao")]
        entries.append(Entry("boss", "123.com", aliases=(("chief", "123.com"),)))
        Roster(database, lambda local, _domain: local).enrol({e.address: e for e in entries}, FIELDS)
        accounts = Accounts(database)
        accounts.admit("li", "123.com", bytes(range(256)), "hash")
        accounts.set_reason(1, ODD)
        Notices(database).begin(1, "notice", "li@123.com", 0)
    place.deliver("li", b"Subject: one\r\n\r\none", b"two", b"three")
    place.deliver("wang", b"four")
    yield place


def test_all_of_it_is_there_and_is_found_to_be_the_same(place: Place) -> None:
    result = place.run()
    assert result.exit_code == 0, result.output
    assert "4 accounts, 2 mailboxes" in result.output
    assert f'database = "postgresql+psycopg://mailferry@127.0.0.1:{place.server.port}/{place.name}"' in result.output
    place.same()
    with closing(place.on_the_server()) as database:
        account = Accounts(database).find("li", "123.com")
        assert account is not None
        assert (account.reason, account.sealed_password, account.full_name) == (ODD, bytes(range(256)), ODD)
        assert Accounts(database).known_as("chief", "123.com") == Accounts(database).find("boss", "123.com")
        assert Accounts(database).add("new", "123.com").id == 5  # numbers go on
    again = place.run()
    assert (again.exit_code, "give it an empty one" in again.output) == (1, True)


def test_a_nul_is_what_stands_for_it_there(place: Place) -> None:
    with closing(sqlite3.connect(index_path(place.maildir("li")))) as connection, connection:
        connection.execute("UPDATE messages SET uidl = 'a' || char(0) || 'b' WHERE uid = 1")
    result = place.run()
    assert result.exit_code == 0, result.output
    with psycopg.connect(place.server.dsn(place.name)) as connection:
        kept = connection.execute("SELECT uidl FROM messages WHERE account_id = 1 AND uid = 1").fetchall()
    assert kept == [("a\N{SYMBOL FOR NULL}b",)]


def test_a_daemon_serves_meanwhile_and_its_changes_come_along(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon is a lock here: it ends when the command has told so, and has changed something until then."""
    daemon = Alone(place.state)

    def stopped() -> None:
        place.deliver("li", b"late")
        place.deliver("zhao", b"first")
        index_path(place.maildir("wang")).unlink()
        daemon.end()

    monkeypatch.setattr("proxy.cli.storage_copy._wait", stopped)
    result = place.run("--json")
    assert result.exit_code == 0, result.output
    assert "now stop the daemon" in result.output
    done = json.loads(result.output.splitlines()[-1])
    assert (done["accounts"], done["mailboxes"], done["done"]) == (4, 2, True)
    place.same()


def test_one_that_was_interrupted_is_gone_on_with(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(course, "TOGETHER", 1)
    sent: list[int] = []
    put = Target.put

    def failing(self: Target, mailboxes: Any, proofs: Any) -> None:
        if sent:
            raise KeyboardInterrupt
        sent.extend(mailboxes)
        put(self, mailboxes, proofs)

    monkeypatch.setattr(Target, "put", failing)
    assert place.run().exit_code != 0
    with pytest.raises(StorageFailed, match="run mailferry storage copy again"):
        place.on_the_server()
    looked = place.run("--dry-run")
    assert (looked.exit_code, "1 mailboxes are there" in looked.output) == (0, True)
    sent.clear()

    def noting(self: Target, mailboxes: Any, proofs: Any) -> None:
        sent.extend(mailboxes)
        put(self, mailboxes, proofs)

    monkeypatch.setattr(Target, "put", noting)
    assert place.run().exit_code == 0
    assert sent == [2]
    place.same()


def test_what_arrives_as_something_else_is_not_kept(place: Place) -> None:
    """A trigger of somebody's changes a row on its way."""
    place.on_the_server().close()
    with psycopg.connect(place.server.dsn(place.name), autocommit=True) as direct:
        direct.execute(
            "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN NEW.size := NEW.size + 1; RETURN NEW; END $$"
        )
        direct.execute("CREATE TRIGGER spoil BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION spoil()")
    result = place.run()
    assert result.exit_code == 1
    assert "is not the same in the database as in the files" in result.output
    assert place.rows("messages") == []


def test_a_database_that_is_not_for_this_copy(place: Place) -> None:
    with closing(place.on_the_server()) as database:
        Accounts(database).add("somebody", "123.com")
    for options in (("--dry-run",), ()):
        result = place.run(*options)
        assert (result.exit_code, "there is something in the database already" in result.output) == (1, True)
    with closing(place.on_the_server()) as database, database.read() as connection:
        assert connection.execute(select(accounts_metadata.tables["accounts"].c.local)).scalars().all() == ["somebody"]


def test_a_dry_run_changes_nothing(place: Place) -> None:
    result = place.run("--dry-run", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["accounts"] == 4
    with psycopg.connect(place.server.dsn(place.name)) as connection:
        assert connection.execute("SELECT 1 FROM pg_tables WHERE schemaname = 'public'").fetchall() == []


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("sqlite", "where it is copied from"),
        ("postgres://a:b@c/d", "must begin with"),
        ("postgresql+psycopg://c", "name"),
    ],
)
def test_what_no_target_is(place: Place, to: str, said: str) -> None:
    result = CliRunner().invoke(main, ["storage", "copy", "--config", str(place.root / "mailferry.toml"), "--to", to])
    assert (result.exit_code, said in result.output) == (2, True)
