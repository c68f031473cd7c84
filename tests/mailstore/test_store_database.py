"""Engines and transactions: who waits for whom, what an error says, and what is left open after one."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import exc, text

from mailstore import sqlite
from mailstore.accounts import Accounts
from mailstore.database import AccountsDatabase
from mailstore.errors import MailstoreError, NoSuchFolder, StorageFailed
from mailstore.mailbox_database import MailboxDatabase, MailboxEngine
from mailstore.mailhome import MailHome, index_path
from mailstore.refusals import storage_errors
from mailstore.schema import HEAD
from tests.mailstore.store_rig import append, check_whole, debris, full_disk, open_descriptors, open_home, rows

Opening = Callable[[Path], object]


def open_accounts(path: Path) -> AccountsDatabase:
    return AccountsDatabase(path / "accounts.db")


def open_mailbox(path: Path) -> MailboxDatabase:
    path.mkdir(exist_ok=True)
    return MailboxEngine().open(path / "accounts.db")


BOTH = pytest.mark.parametrize("opening", [open_accounts, open_mailbox])


@pytest.fixture
def accounts_database(tmp_path: Path) -> Iterator[AccountsDatabase]:
    made = open_accounts(tmp_path)
    yield made
    made.close()


@BOTH
def test_the_file_and_what_sqlite_puts_beside_it_are_the_owners_alone(
    tmp_path: Path, opening: Callable[[Path], AccountsDatabase]
) -> None:
    made = opening(tmp_path / "state")
    with made.write() as connection:
        connection.execute(text("CREATE TABLE more (x)"))
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "state").iterdir()}
    assert modes == {"accounts.db": 0o600, "accounts.db-wal": 0o600, "accounts.db-shm": 0o600}
    made.close()


def test_the_state_directory_is_made_for_the_owner_alone(tmp_path: Path) -> None:
    open_accounts(tmp_path / "state").close()
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


@BOTH
def test_what_is_committed_is_on_stable_storage(tmp_path: Path, opening: Callable[[Path], AccountsDatabase]) -> None:
    made = opening(tmp_path)
    with made.read() as connection:
        assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
        assert connection.scalar(text("PRAGMA synchronous")) == 2  # FULL
    made.close()


@BOTH
def test_an_empty_file_is_a_new_one(tmp_path: Path, opening: Callable[[Path], AccountsDatabase]) -> None:
    """A crash may come right after the file was made."""
    (tmp_path / "accounts.db").touch()
    made = opening(tmp_path)
    with made.read() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == HEAD
    made.close()


@BOTH
def test_what_is_no_database_is_refused_and_left_alone(
    tmp_path: Path, opening: Callable[[Path], AccountsDatabase]
) -> None:
    (tmp_path / "accounts.db").write_bytes(b"something else" * 100)
    descriptors = open_descriptors(tmp_path)
    with pytest.raises(StorageFailed, match="not a database"):
        opening(tmp_path)
    assert (tmp_path / "accounts.db").read_bytes() == b"something else" * 100
    assert open_descriptors(tmp_path) == descriptors


@BOTH
def test_a_path_that_is_a_directory(tmp_path: Path, opening: Callable[[Path], AccountsDatabase]) -> None:
    (tmp_path / "accounts.db").mkdir()
    with pytest.raises(StorageFailed) as caught:
        opening(tmp_path)
    assert str(tmp_path) not in str(caught.value)


def test_many_open_a_new_file_at_once(tmp_path: Path) -> None:
    failed: list[BaseException] = []

    def opening() -> None:
        try:
            made = open_accounts(tmp_path)
            Accounts(made).add("ann", "123.com")
            made.close()
        except BaseException as error:  # noqa: BLE001 - of another thread, to be looked at in this one
            failed.append(error)

    threads = [threading.Thread(target=opening) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_no_update_is_lost(accounts_database: AccountsDatabase) -> None:
    """Read, add one, write, from many threads at once."""
    with accounts_database.write() as connection:
        connection.execute(text("CREATE TABLE counter (value INTEGER)"))
        connection.execute(text("INSERT INTO counter VALUES (0)"))

    def count() -> None:
        for _ in range(10):
            with accounts_database.write() as connection:
                value = connection.scalar(text("SELECT value FROM counter"))
                connection.execute(text("UPDATE counter SET value = :v"), {"v": (value or 0) + 1})

    threads = [threading.Thread(target=count) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with accounts_database.read() as connection:
        assert connection.scalar(text("SELECT value FROM counter")) == 50


def test_a_transaction_that_fails_never_was(accounts_database: AccountsDatabase) -> None:
    with pytest.raises(ZeroDivisionError):
        with accounts_database.write() as connection:
            connection.execute(text("CREATE TABLE half (x)"))
            _ = 1 / 0
    with accounts_database.read() as connection:
        assert connection.execute(text("SELECT 1 FROM sqlite_master WHERE name = 'half'")).first() is None


def test_readers_do_not_wait_for_a_writer(accounts_database: AccountsDatabase) -> None:
    accounts = Accounts(accounts_database)
    accounts.add("ann", "123.com")
    with accounts_database.write() as connection:
        connection.execute(text("DELETE FROM accounts"))
        assert accounts.find("ann", "123.com") is not None


def test_a_locked_database_is_waited_for_and_then_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", 0.05)
    home = open_home(tmp_path)
    other = sqlite3.connect(index_path(tmp_path / "Maildir"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageFailed, match="locked"):
        append(home, b"one")
    assert rows(home) == []  # reading goes on
    other.execute("ROLLBACK")
    other.close()
    assert debris(home) == []
    assert append(home, b"one") == 1
    check_whole(home)
    home.close()


def test_too_many_at_once(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="too many"):
        with storage_errors():
            raise exc.TimeoutError("QueuePool limit of size 4 overflow 16 reached")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(28, "No space left on device", "/secret/path"), "the disk refused: No space left on device"),
        (PermissionError(13, "Permission denied", "/secret/path"), "the disk refused: Permission denied"),
        (OSError("odd"), "the disk refused: OSError"),
        (sqlite3.OperationalError("disk I/O error"), "the database refused: disk I/O error"),
        (
            exc.OperationalError("SELECT :secret", {"secret": "value"}, sqlite3.OperationalError("database is locked")),
            "the database refused: database is locked",
        ),
    ],
)
def test_an_error_says_what_was_refused_without_paths_and_values(error: Exception, words: str) -> None:
    with pytest.raises(StorageFailed) as caught:
        with storage_errors():
            raise error
    assert str(caught.value) == words


@pytest.mark.parametrize("error", [NoSuchFolder("x"), ValueError("x"), KeyboardInterrupt()])
def test_other_errors_stay_what_they_are(error: BaseException) -> None:
    with pytest.raises(type(error)):
        with storage_errors():
            raise error
    assert not isinstance(ValueError("x"), MailstoreError)


# A full disk, and what is left open


@pytest.mark.parametrize("octets", [0, 50_000, 120_000])
def test_a_full_disk_leaves_nothing_half_done(home: MailHome, octets: int) -> None:
    """… whether the message does not fit, or the database's log of changes."""
    append(home, b"one")
    descriptors = open_descriptors(home.maildir.root.parent)
    stored = 1
    with full_disk(octets), pytest.raises(StorageFailed):
        for _ in range(60):
            append(home, b"x" * min(octets, 1000) + b"x")
            stored += 1
    assert len(rows(home)) == stored
    check_whole(home)
    assert debris(home) == []
    assert open_descriptors(home.maildir.root.parent) == descriptors
    append(home, b"x" * 200_000)  # and there is room again
    check_whole(home)


def test_opening_and_closing_leaves_nothing_open(tmp_path: Path) -> None:
    open_home(tmp_path).close()
    descriptors = open_descriptors(tmp_path)
    for _ in range(3):
        home = open_home(tmp_path)
        append(home, b"x")
        home.create(f"f{len(home.folders())}")
        home.copy(1, [1], "f1")
        home.open(1, 1).close()
        with pytest.raises(NoSuchFolder):
            append(home, b"x", "missing")
        home.close()
    assert open_descriptors(tmp_path) == descriptors


def test_a_home_that_cannot_be_opened_leaves_nothing_open(tmp_path: Path) -> None:
    home = open_home(tmp_path)
    home.close()
    (tmp_path / "Maildir" / "tmp").rmdir()
    (tmp_path / "Maildir" / "tmp").touch()
    descriptors = open_descriptors(tmp_path)
    with pytest.raises(StorageFailed):
        open_home(tmp_path)
    (tmp_path / "Maildir" / "tmp").unlink()
    index_path(tmp_path / "Maildir").unlink()
    index_path(tmp_path / "Maildir").mkdir()  # what is no database at all is set aside: test_store_damage
    with pytest.raises(StorageFailed):
        open_home(tmp_path)
    assert open_descriptors(tmp_path) == descriptors


def test_one_engine_serves_many_mailboxes(tmp_path: Path) -> None:
    engine = MailboxEngine()
    homes = [MailHome(engine, n, tmp_path / str(n) / "Maildir") for n in range(1, 6)]
    for number, home in enumerate(homes, 1):
        for _ in range(number):
            append(home, b"x")
    assert [len(rows(home)) for home in homes] == [1, 2, 3, 4, 5]
    for home in homes:
        home.close()
