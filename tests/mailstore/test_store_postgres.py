"""Mailboxes in PostgreSQL when it, or the way to it, fails: nothing is lost, and nothing doubled."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url, select, update

from mailstore import postgres_mailbox, schema
from mailstore.audit import Audit
from mailstore.entries import Listed, Outcome
from mailstore.errors import MaildirGone, OutcomeUnknown, StorageCorrupt, StorageFailed, TakesLonger
from mailstore.index.ahead import AHEAD
from mailstore.index.folders import INBOX_ID
from mailstore.index.rows import FLAGGED, SEEN, StoreMode
from mailstore.landing import Landing
from mailstore.mailhome import MailHome
from mailstore.pipeline import Pipeline
from mailstore.postgres import postgres_engine
from mailstore.postgres_mailbox import PostgresMailbox, PostgresMailboxes, driver_of
from mailstore.prepared import Prepared
from tests.mailstore.store_rig import ACCOUNT, NOW, append, bodies, check_whole, debris, open_home, read, rows
from tests.postgres.kept import Kept

MAILS = [b"Subject: %d\r\n\r\n" % n + b"z" * n for n in range(1, 31)]


@pytest.fixture
def home(in_postgres: Kept, tmp_path: Path) -> Iterator[MailHome]:
    opened = open_home(tmp_path)
    yield opened
    opened.close()


def cut(driver: psycopg.Connection[Any], kept: Kept) -> None:
    """As if the server had ended one connection, or the way to it were gone."""
    kept.server.admin(f"SELECT pg_terminate_backend({driver.info.backend_pid}, 60000)")


def cut_all(kept: Kept) -> None:
    kept.server.admin(f"SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = '{kept.name}'")


def committing(monkeypatch: pytest.MonkeyPatch, instead: Callable[[psycopg.Connection[Any]], Any]) -> list[None]:
    """The next COMMIT is another one; gives back what is not empty when it has been."""
    was, done = postgres_mailbox.commit, list[None]()

    def commit(pipeline: Pipeline) -> Any:
        if done:
            return was(pipeline)
        done.append(None)
        pipeline.settle()
        return instead(pipeline.driver)

    monkeypatch.setattr(postgres_mailbox, "commit", commit)
    return done


# Connections that break


def test_a_connection_that_broke_while_nobody_used_it_is_not_noticed(home: MailHome, in_postgres: Kept) -> None:
    append(home, b"one")
    cut_all(in_postgres)
    append(home, b"two")
    assert list(bodies(home).values()) == [b"one", b"two"]


def test_a_connection_that_breaks_within_a_transaction_undoes_it(home: MailHome, in_postgres: Kept) -> None:
    append(home, b"one")
    with pytest.raises(StorageFailed, match="the database refused"), home._database.write() as connection:
        connection.execute(update(schema.messages).values(flags="gone"))
        cut(driver_of(connection), in_postgres)
        connection.execute(update(schema.messages).values(flags="gone too"))
    assert [row.flags for row in rows(home)] == [frozenset()]
    append(home, b"two")
    check_whole(home)


def test_what_was_committed_counts_though_nobody_was_told(
    home: MailHome, in_postgres: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the files that it is about would be taken away, and the message that was moved with them."""

    def committed(driver: psycopg.Connection[Any]) -> Any:
        driver.pgconn.exec_(b"COMMIT")
        cut(driver, in_postgres)
        return driver.pgconn.exec_(b"COMMIT")

    append(home, b"one")
    home.create("a")
    done = committing(monkeypatch, committed)
    assert home.move(INBOX_ID, [1], "a").targets == [1]
    assert done
    assert (bodies(home), bodies(home, "a")) == ({}, {1: b"one"})
    check_whole(home)
    assert debris(home) == []


def test_what_was_not_committed_is_undone(home: MailHome, in_postgres: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(driver: psycopg.Connection[Any]) -> Any:
        cut(driver, in_postgres)
        return driver.pgconn.exec_(b"COMMIT")

    append(home, b"one")
    home.create("a")
    committing(monkeypatch, lost)
    with pytest.raises(StorageFailed, match="the database refused"):
        home.move(INBOX_ID, [1], "a")
    assert (bodies(home), bodies(home, "a")) == ({1: b"one"}, {})
    check_whole(home)
    assert debris(home) == []


def test_while_nobody_knows_what_became_of_it_no_file_is_taken_away(
    tmp_path: Path, in_postgres: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(driver: psycopg.Connection[Any]) -> Any:
        driver.pgconn.exec_(b"COMMIT")
        in_postgres.server.crash()
        return driver.pgconn.exec_(b"COMMIT")

    home = open_home(tmp_path)
    append(home, b"one")
    home.create("a")
    monkeypatch.setattr(postgres_mailbox, "SETTLING", 0.0)
    committing(monkeypatch, lost)
    try:
        with pytest.raises(OutcomeUnknown):
            home.move(INBOX_ID, [1], "a")
    finally:
        in_postgres.server.start()
    home.close()
    home = open_home(tmp_path)
    assert (bodies(home), bodies(home, "a")) == ({}, {1: b"one"})
    check_whole(home)
    assert debris(home) == []
    home.close()


def test_a_server_that_restarts_is_asked_when_it_is_back(
    home: MailHome, in_postgres: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL is restarted as a batch of a move is committed: the move ends there, and goes on at the barrier."""
    again = threading.Thread(target=in_postgres.server.start)

    def restarted(driver: psycopg.Connection[Any]) -> Any:
        in_postgres.server.stop()
        again.start()
        return driver.pgconn.exec_(b"COMMIT")

    entries = home.ledger.record_listing(
        [Listed(n, f"u{n}", len(data)) for n, data in enumerate(MAILS, 1)], (), hold_uids=True
    )
    move(home, 1)
    done = committing(monkeypatch, restarted)
    with pytest.raises(StorageFailed):
        move(home, 1)
    again.join(120)
    assert done
    assert list(bodies(home).values()) == MAILS[:10]
    move(home, 2, between=in_postgres.server.restart)  # and once between barriers, which nobody notices
    assert list(bodies(home).values()) == MAILS
    assert [entry.id for entry in home.ledger.entries()] == [entry.id for entry in entries]
    assert [row.uidl for row in home.maildrop()] == [f"u{n}" for n in range(1, len(MAILS) + 1)]
    check_whole(home)
    assert debris(home) == []


def move(home: MailHome, batches: int, between: Callable[[], object] = lambda: None) -> None:
    """What is owed, by ten."""
    owed = [entry for entry in home.ledger.entries() if entry.outcome is Outcome.LISTED]
    landing = Landing(home.maildir, home.token, seen="headers", clock=lambda: NOW)
    try:
        landing.clear_leftovers(owed)
        for n in range(batches):
            written = landing.write([(entry, MAILS[entry.position - 1]) for entry in owed[10 * n : 10 * n + 10]])
            landing.settle(written)
            between()
            home.enter([message.landed for message in written])
    finally:
        landing.close()


# Several at once

WRITING = """
import io, sys
from pathlib import Path
from sqlalchemy import make_url
from mailstore.index.rows import StoreMode
from mailstore.mailhome import MailHome
from mailstore.opening import mailboxes
from mailstore.pipeline import Pipeline
from mailstore.postgres import postgres_engine

engine = postgres_engine(make_url(sys.argv[1]), connections=2)
home = MailHome(mailboxes(engine), 7, Path(sys.argv[2]))
for n in range(25):
    uid = home.append("INBOX", io.BytesIO(f"{sys.argv[3]} {n}".encode()), [], None).uid
    home.store_flags(1, [1], StoreMode.ADD, [f"{sys.argv[3]}{n}"])
    print(uid, flush=True)
home.close()
engine.dispose()
"""


def test_two_processes_write_one_account_at_once(tmp_path: Path, in_postgres: Kept) -> None:
    home = open_home(tmp_path)
    append(home, b"first")
    url = in_postgres.server.url(in_postgres.name)
    command = [sys.executable, "-c", WRITING, url, tmp_path / "Maildir"]
    processes = [subprocess.Popen([*command, name], stdout=subprocess.PIPE) for name in ("a", "b")]
    told = {name: process.communicate(timeout=300)[0].split() for name, process in zip("ab", processes, strict=True)}
    assert [process.returncode for process in processes] == [0, 0]
    found = bodies(home)
    assert sorted(found) == list(range(1, 52))
    for name, uids in told.items():
        assert [found[int(uid)] for uid in uids] == [f"{name} {n}".encode() for n in range(25)]
    assert {str(flag) for flag in rows(home)[0].flags} == {f"{name}{n}" for name in "ab" for n in range(25)}
    assert home.status("INBOX").highestmodseq == 1 + 51 + 50  # no change has taken the number of another
    check_whole(home)
    assert debris(home) == []
    home.close()


def test_accounts_do_not_see_each_other(home: MailHome, in_postgres: Kept, tmp_path: Path) -> None:
    engine = PostgresMailboxes(in_postgres.engine)
    other = MailHome(engine, ACCOUNT + 1, tmp_path / "other" / "Maildir", clock=lambda: NOW)
    assert not other.made_anew
    for each in (home, other):
        append(each, b"x", flags=[SEEN])
        each.create("a")
        each.subscribe("a")
        each.kept.index(INBOX_ID, [1], 60)
    append(other, b"y")
    other.copy(INBOX_ID, [2], "a")
    other.store_flags(INBOX_ID, [1], StoreMode.ADD, [FLAGGED])
    other.remove([1])
    other.unsubscribe("a")
    other.delete("a")
    assert bodies(home) == {1: b"x"}
    assert [row.flags for row in rows(home)] == [{SEEN}]
    assert home.subscriptions() == ["a"]
    assert home.kept.unindexed(INBOX_ID, [1]) == []
    assert home.usage().messages == other.usage().messages == 1
    check_whole(home)
    other.close()


def test_a_reader_sees_one_state(home: MailHome) -> None:
    append(home, b"one")
    count = select(schema.messages.c.uid)
    with home._database.read() as connection:
        assert len(connection.execute(count).all()) == 1
        writer = PostgresMailbox(home._database.at_hand, ACCOUNT)  # type: ignore[attr-defined]
        with writer.write() as other:
            other.execute(update(schema.messages).values(uid=9))
        assert connection.scalar(count) == 1
    with pytest.raises(StorageFailed), home._database.read() as connection:  # and changes nothing
        connection.execute(update(schema.messages).values(uid=8))
    assert list(home.select("INBOX", writable=False).uids) == [9]


def test_a_fence_keeps_from_writing(home: MailHome) -> None:
    seen = []

    def fence(connection: Any) -> None:
        seen.append(connection.scalar(select(schema.mailboxes.c.account_id)))
        raise StorageFailed("the lease is another's")

    home._database.fence = fence
    with pytest.raises(StorageFailed, match="lease"):
        append(home, b"x")
    assert seen == [ACCOUNT]
    home._database.fence = None
    append(home, b"y")
    assert bodies(home) == {1: b"y"}
    assert debris(home) == []


def test_nothing_is_brief_and_nothing_is_asked_to_find_that_out(
    home: MailHome, in_postgres: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_postgres.engine, "connect", lambda: pytest.fail("it asks the server"))
    with pytest.raises(TakesLonger):
        home.briefly(lambda mail: mail.status("INBOX"), owing=True)
    assert home.owes is None


# Another database than before


def test_an_index_of_another_database_goes_on_with_higher_numbers(tmp_path: Path, in_postgres: Kept) -> None:
    """It was restored: clients may have been told of messages that are not in it."""
    home = open_home(tmp_path)
    append(home, b"one")
    with home._database.write() as connection:
        connection.execute(update(schema.mailboxes).values(inode=1))
    with pytest.raises(StorageCorrupt, match="another"):  # so are homes that were open meanwhile
        home._database._identity = 1  # type: ignore[attr-defined]
        home.status("INBOX")
    home.close()
    home = open_home(tmp_path)
    assert home.made_anew
    assert append(home, b"two") == 2 + AHEAD
    assert home.changes(INBOX_ID, 2, claim_recent=False).changed[0].uid == 1
    check_whole(home)
    home.close()
    home = open_home(tmp_path)
    assert not home.made_anew
    assert append(home, b"three") == 3 + AHEAD
    home.close()


def test_a_role_without_rights_of_its_own_will_do(tmp_path: Path, in_postgres: Kept) -> None:
    server = in_postgres.server
    server.admin("CREATE ROLE plain LOGIN PASSWORD 'plain'")
    name = server.make_database()
    server.admin(f"ALTER DATABASE {name} OWNER TO plain")
    url = make_url(server.url(name)).set(username="plain", password="plain")
    engine = postgres_engine(url, connections=1)
    schema.mailbox_metadata.create_all(engine)
    home = MailHome(PostgresMailboxes(engine), 1 << 40, tmp_path / "Maildir")  # one connection is enough
    assert append(home, b"x") == 1
    home.close()
    engine.dispose()


# A Maildir that is not there


def test_a_disk_that_is_not_mounted_is_no_empty_mailbox(tmp_path: Path, in_postgres: Kept) -> None:
    """The index is elsewhere: it says that there was mail."""
    away, maildir = tmp_path / "away", tmp_path / "Maildir"
    home = open_home(tmp_path)
    append(home, b"one")
    home.create("a")
    append(home, b"two", "a")
    assert not home.reconcile()
    maildir.rename(away)
    assert not home.reconcile()  # it is said, and nothing follows
    with pytest.raises(MaildirGone):
        append(home, b"three")
    assert not maildir.exists()
    home.close()
    with pytest.raises(MaildirGone):
        open_home(tmp_path)
    assert not maildir.exists()
    away.rename(maildir)
    home = open_home(tmp_path)
    home.reconcile()
    assert (bodies(home), bodies(home, "a")) == ({1: b"one"}, {1: b"two"})
    check_whole(home)
    home.close()


def test_a_mailbox_whose_rows_are_lost_is_taken_in(tmp_path: Path, in_postgres: Kept) -> None:
    """The database is a new one, or of before the account. What the old server lists is known again by its bytes."""
    home = open_home(tmp_path)
    home.ledger.record_listing([Listed(n, f"u{n}", len(data)) for n, data in enumerate(MAILS, 1)], (), hold_uids=True)
    move(home, 3)
    append(home, b"mine", flags=[FLAGGED])
    home.close()
    in_postgres.delete_all()
    home = open_home(tmp_path)
    assert home.made_anew
    assert sorted(bodies(home).values()) == sorted([*MAILS, b"mine"])
    assert {row.flags for row in rows(home) if read(home, row.uid) == b"mine"} == {frozenset({FLAGGED})}
    home.ledger.record_listing([Listed(n, f"u{n}", len(data)) for n, data in enumerate(MAILS, 1)], (), hold_uids=False)
    move(home, 3)
    home.carried_over()
    assert len(rows(home)) == len(MAILS) + 1
    assert {row.uidl for row in home.maildrop()} >= {f"u{n}" for n in range(1, len(MAILS) + 1)}
    check_whole(home)
    assert debris(home) == []
    home.close()


def test_who_looks_sees_the_ledger_and_the_index(home: MailHome, in_postgres: Kept, tmp_path: Path) -> None:
    home.ledger.record_listing([Listed(n, f"u{n}", len(data)) for n, data in enumerate(MAILS, 1)], (), hold_uids=True)
    move(home, 1)
    engine = PostgresMailboxes(in_postgres.engine)
    picture = Audit(tmp_path / "Maildir", ACCOUNT, engine).picture()
    assert [row.kept is not None for row in picture.rows] == [True] * 10 + [False] * 20
    with pytest.raises(FileNotFoundError):
        Audit(tmp_path / "Maildir", ACCOUNT + 1, engine).picture()


# Statements for many rows

_f = schema.metadata


def test_many_rows_are_as_they_were_given(home: MailHome) -> None:
    entries = ['"', "\\", "{a,b}", "NULL", "", " ", "\\x41", "ü☃\U0001f600", "a\nb", "'", "%s", "%(a)s"]
    values = [b"", b"\0\xff\\\"'", bytes(range(256))]
    given = [(entry, values[n % 3]) for n, entry in enumerate(entries)]
    statement = Prepared(_f.insert())
    with home._database.write() as connection:
        told = [{"account_id": 9, "folder_id": 1, "entry": entry, "value": value} for entry, value in given]
        assert statement.count(connection, told) == len(given)
        found = connection.execute(select(_f.c.entry, _f.c.value).where(_f.c.account_id == 9))
        assert {entry: bytes(value) for entry, value in found} == dict(given)
