"""A damaged index still tells what it can: flags, dates, POP3's names, the ledger, folders and their uses."""

from __future__ import annotations

import io
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailstore.entries import Listed, Outcome
from mailstore.errors import StorageCorrupt
from mailstore.index import salvage
from mailstore.index.folders import INBOX_ID
from mailstore.index.rows import FLAGGED, StoreMode
from mailstore.landing import Landing
from mailstore.mailbox_database import MailboxEngine
from mailstore.mailhome import MailHome
from mailstore.schema import ledger, messages
from proxy.login.furnishing import NAMES
from tests.mailstore import index_damage
from tests.mailstore.index_damage import Damage, index_of, table, without_record
from tests.mailstore.store_rig import (
    ACCOUNT,
    DATE,
    NOW,
    append,
    bodies,
    check_whole,
    names,
    open_home,
    put_in_place,
    rows,
)

COUNT = 400
LATER = NOW + 1000


def old_mail(number: int) -> bytes:
    status = b"Status: RO\r\n" if number % 2 else b""
    return b"Date: Tue, 14 Nov 2023 22:13:%02d +0000\r\n%b\r\nold %d\r\n" % (number % 60, status, number)


def land(home: MailHome, count: int) -> None:
    """As a move does it."""
    listed = [Listed(n, f"u{n}", len(old_mail(n))) for n in range(1, count + 1)]
    entries = home.ledger.record_listing(listed, (), hold_uids=True)
    landing = Landing(home.maildir, home.token, seen="headers", clock=lambda: NOW)
    written = landing.write([(entry, old_mail(entry.position)) for entry in entries])
    landing.settle(written)
    landing.close()
    home.enter([each.landed for each in written])


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A moved account: old mail, keywords, one message deleted and one moved away, folders and what is said of them."""
    path: Path = tmp_path_factory.mktemp("salvage") / "account"
    path.mkdir()
    home = open_home(path)
    home.make_special_folders(NAMES["en"])
    land(home, COUNT)
    home.create("a/b")
    home.create("plain")
    home.subscribe("plain")
    home.annotations.change("plain", {"/private/comment": b"mine"})
    home.append("a/b", io.BytesIO(b"in b"), [FLAGGED, "$Work"], DATE)
    home.store_flags(INBOX_ID, [5], StoreMode.ADD, ["$Label1"])
    home.remove([7])
    home.move(INBOX_ID, [9], "plain")
    home.close()
    return path


def copied(template: Path, path: Path) -> Path:
    put_in_place(template, path / "account")
    without_record(path / "account")
    return path / "account"


class Reports(list[tuple[str, dict[str, Any]]]):
    def __call__(self, event: str, **figures: Any) -> None:
        self.append((event, figures))

    def of(self, event: str) -> dict[str, Any]:
        (figures,) = (figures for said, figures in self if said.startswith(event))
        return figures


def reopened(path: Path, said: Reports | None = None) -> MailHome:
    home = MailHome(
        MailboxEngine(), ACCOUNT, path / "Maildir", clock=lambda: LATER, report=said if said is not None else Reports()
    )
    home.reconcile()
    return home


def test_an_index_that_can_be_read_is_kept_whole_but_for_uidvalidity(template: Path, tmp_path: Path) -> None:
    """Set aside although nothing is wrong with it: what is salvaged then is everything."""
    path = copied(template, tmp_path)
    home = open_home(path)
    before = rows(home), rows(home, "a/b"), home.ledger.entries(), home.folders(), home.subscriptions()
    home.close()
    without_record(path)
    index_of(path).rename(path / "Maildir.db.corrupt-1")
    said = Reports()
    home = reopened(path, said)
    check_whole(home)

    def without_modseq(found: list[Any]) -> list[Any]:
        return [(r.uid, r.flags, r.size, r.internal_date, r.uidl, r.file, r.save_date, r.native) for r in found]

    assert without_modseq(rows(home)) == without_modseq(before[0])
    assert without_modseq(rows(home, "a/b")) == without_modseq(before[1])
    assert home.ledger.entries() == before[2]
    assert home.subscriptions() == before[4]
    assert home.annotations.of("plain") == {"/private/comment": b"mine"}
    for folder, old in zip(home.folders(), before[3], strict=True):
        assert (folder.id, folder.name, folder.special_use) == (old.id, old.name, old.special_use)
        assert folder.uidvalidity > old.uidvalidity
    assert append(home, b"new") == COUNT + 1
    home.delete("Trash")
    home.make_special_folders(NAMES["en"])
    assert "Trash" not in names(home)
    figures = said.of("index is made anew")
    assert (figures["messages"], figures["ledger_rows"]) == (COUNT - 2 + 1 + 1, COUNT)
    assert figures["kept_from"] == "Maildir.db.corrupt-1"
    home.close()


DAMAGE: list[tuple[Damage, bool]] = [  # … and whether the ledger survives it
    (index_damage.deleted, False),
    (index_damage.emptied, False),
    (index_damage.header, False),
    (index_damage.first_page, False),
    (index_damage.something_else, False),
    (table("mailboxes"), True),
    (table("folders"), True),
    (table("messages"), True),
    (table("messages", leaves=True), True),
    (table("ledger"), False),
    (table("subscriptions"), True),
]


@pytest.mark.parametrize(("damage", "ledger_kept"), DAMAGE, ids=[damage.__name__ for damage, _ in DAMAGE])
def test_whatever_is_damaged_all_files_are_served(
    template: Path, tmp_path: Path, damage: Damage, ledger_kept: bool
) -> None:
    path = copied(template, tmp_path)
    home = open_home(path)
    before = {row.file: row for row in rows(home)}
    said_before = bodies(home)
    uidvalidity = {folder.name: folder.uidvalidity for folder in home.folders()}
    home.close()
    without_record(path)
    damage(path)
    (path / "Maildir.db.suspect").touch()  # as after an error: the whole file is looked at
    said = Reports()
    home = reopened(path, said)
    check_whole(home)
    assert sorted(bodies(home).values()) == sorted(said_before.values())
    assert list(bodies(home, "a/b").values()) == [b"in b"]
    for folder in home.folders():
        assert folder.uidvalidity != uidvalidity.get(folder.name)
    said.of("index is made anew")
    assert all(row.internal_date == before[row.file].internal_date for row in rows(home))
    if ledger_kept:
        assert sorted(row.uidl for row in rows(home)) == sorted(row.uidl for row in before.values())
        assert {entry.uidl: entry.outcome for entry in home.ledger.entries() if entry.outcome != "stored"} == {
            "u7": Outcome.DELETED,
            "u9": Outcome.DELETED,
        }
        stored = {entry.uid: entry.uidl for entry in home.ledger.entries() if entry.outcome == "stored"}
        assert stored == {row.uid: row.uidl for row in rows(home)}
    home.close()


def test_rows_that_are_lost_leave_the_others(template: Path, tmp_path: Path) -> None:
    """Every other page of the ledger is gone: what the messages know stands in for it."""
    path = copied(template, tmp_path)
    table("ledger", leaves=True)(path)
    (path / "Maildir.db.suspect").touch()
    home = reopened(path)
    entries = home.ledger.entries()
    assert {entry.uidl for entry in entries} >= {f"u{n}" for n in range(1, COUNT + 1) if n not in {7, 9}}
    assert [row.uidl for row in rows(home)] == [f"u{n}" for n in range(1, COUNT + 1) if n not in {7, 9}]
    assert {"$Label1"} <= rows(home)[4].flags
    home.close()


def test_a_truncated_index_still_tells_what_is_before_the_cut(template: Path, tmp_path: Path) -> None:
    path = copied(template, tmp_path)
    index_damage.truncated(path)
    (path / "Maildir.db.suspect").touch()
    home = reopened(path)
    check_whole(home)
    assert len(rows(home)) == COUNT - 2
    home.close()


def test_a_file_that_is_owed_in_the_ledger_is_served_all_the_same(template: Path, tmp_path: Path) -> None:
    """The log of the database was lost, and with it the transaction that made the messages visible."""
    path = copied(template, tmp_path)
    with closing(sqlite3.connect(index_of(path), isolation_level=None)) as connection:
        connection.execute("DELETE FROM messages")
        connection.execute("UPDATE ledger SET outcome = 'listed' WHERE uid < 100")
    index_of(path).rename(path / "Maildir.db.corrupt-1")
    home = reopened(path)
    assert [row.uidl for row in rows(home)] == [f"u{n}" for n in range(1, COUNT + 1) if n not in {7, 9}]
    owed = {entry.uidl for entry in home.ledger.entries() if entry.outcome == "listed"}
    assert owed == {"u7", "u9"}
    home.close()


def test_an_index_of_an_older_version_is_read_as_far_as_it_goes(template: Path, tmp_path: Path) -> None:
    path = copied(template, tmp_path)
    with closing(sqlite3.connect(index_of(path), isolation_level=None)) as connection:
        for column in ("save_date", "line_ends"):
            connection.execute(f"ALTER TABLE messages DROP COLUMN {column}")
    found = salvage.read(index_of(path), ACCOUNT)
    assert len(found.of(messages)) == COUNT
    assert {row["line_ends"] for row in found.of(messages)} == {"exact"}
    assert len(found.of(ledger)) == COUNT


def test_a_new_account_and_a_maildir_without_an_index(tmp_path: Path) -> None:
    said = Reports()
    MailHome(MailboxEngine(), ACCOUNT, tmp_path / "Maildir", report=said).close()
    assert said == []
    (tmp_path / "other").mkdir()
    for sub in ("tmp", "new", "cur"):
        (tmp_path / "other" / "Maildir" / sub).mkdir(parents=True)
    (tmp_path / "other" / "Maildir" / "new" / "1.a.host").write_bytes(b"Subject: x\n\nbody\n")
    home = MailHome(MailboxEngine(), ACCOUNT, tmp_path / "other" / "Maildir", report=said)
    home.reconcile()
    assert list(bodies(home).values()) == [b"Subject: x\r\n\r\nbody\r\n"]
    assert said.of("index is made anew")["messages"] == 0
    home.close()


NONSENSE = [
    ("messages", "uid", -5),
    ("messages", "uid", 2**40),
    ("messages", "file", "../../../etc/passwd"),
    ("messages", "flags", "\\Seen \\Recent a\r\nb ( * NIL"),
    ("messages", "uidl", "two words\r\n"),
    ("messages", "size", 3),
    ("messages", "line_ends", "sideways"),
    ("messages", "internal_date", "yesterday"),
    ("ledger", "outcome", "eaten"),
    ("ledger", "uid", 2**50),
    ("ledger", "octets", -1),
    ("ledger", "uidl", b"\xff"),
    ("folders", "directory", "../outside"),
    ("folders", "name", "INBOX"),
    ("folders", "uidvalidity", 2**40),
    ("folders", "uidnext", 2**45),
    ("folders", "special_use", "\\Sent \\Nonsense"),
    ("mailboxes", "last_uidvalidity", 2**44),
    ("mailboxes", "last_folder_id", -7),
    ("metadata", "folder_id", 999),
]


@pytest.mark.parametrize(("name", "column", "value"), NONSENSE, ids=[f"{t}-{c}-{v!r}"[:40] for t, c, v in NONSENSE])
def test_nonsense_is_not_believed(template: Path, tmp_path: Path, name: str, column: str, value: object) -> None:
    """In every row at once, or in as many as a key allows."""
    path = copied(template, tmp_path)
    with closing(sqlite3.connect(index_of(path), isolation_level=None)) as connection:
        connection.execute(f"UPDATE OR IGNORE {name} SET {column} = ?", (value,))
    index_of(path).rename(path / "Maildir.db.corrupt-1")
    home = reopened(path)
    check_whole(home)
    assert len(bodies(home)) == COUNT - 2
    for row in rows(home):
        assert all("\r" not in flag and "(" not in flag for flag in row.flags)
        assert row.uidl.isascii() and row.uidl.isprintable() and " " not in row.uidl
    assert all(0 < folder.uidvalidity < 2**32 for folder in home.folders())
    assert 0 < append(home, b"new") < 2**32
    home.close()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("small")
    home = open_home(path)
    land(home, 30)
    home.create("a")
    append(home, b"in a", "a")
    home.close()
    return path


@given(damage=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=200)), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_octets_of_the_index_changed_anywhere(
    small: Path, tmp_path_factory: pytest.TempPathFactory, damage: list[tuple[float, bytes]]
) -> None:
    path = copied(small, tmp_path_factory.mktemp("changed"))
    size = index_of(path).stat().st_size
    for place, data in damage:
        index_damage.overwrite(index_of(path), int(place * (size - 1)), data)
    index_of(path).rename(path / "Maildir.db.corrupt-1")
    home = reopened(path)
    check_whole(home)
    assert sorted(bodies(home).values()) == sorted(old_mail(n) for n in range(1, 31))
    home.close()


@given(damage=st.lists(st.tuples(st.floats(0, 1), st.sampled_from([b"\0", b"\xff"]), st.integers(1, 4096)), min_size=1))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_that_is_met_while_the_mailbox_is_open(
    small: Path, tmp_path_factory: pytest.TempPathFactory, damage: list[tuple[float, bytes, int]]
) -> None:
    """It is called damage and nothing else; the opening after that mends it."""
    path = copied(small, tmp_path_factory.mktemp("met"))
    size = index_of(path).stat().st_size
    for place, octet, count in damage[:3]:
        index_damage.overwrite(index_of(path), int(place * (size - 1)), octet * count)
    with suppress(StorageCorrupt):
        home = MailHome(MailboxEngine(), ACCOUNT, path / "Maildir", clock=lambda: LATER)
        try:
            home.reconcile()
            home.status("INBOX")
            bodies(home)
        finally:
            home.suspect()
            home.close()
    home = reopened(path)
    check_whole(home)
    assert sorted(bodies(home).values()) == sorted(old_mail(n) for n in range(1, 31))
    home.close()
