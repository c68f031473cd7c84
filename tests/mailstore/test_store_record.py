"""The record beside an index: what is in it, what becomes of it when it is damaged, and when it is written anew."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mailstore import record
from mailstore.index.folders import INBOX_ID
from mailstore.index.rows import DELETED, FLAGGED, SEEN, StoreMode
from mailstore.mailbox_database import MailboxEngine
from mailstore.mailhome import MailHome
from mailstore.noting import KEPT, packed
from mailstore.record import record_path
from mailstore.replaying import replay
from mailstore.schema import messages
from tests.mailstore.index_damage import index_of, overwrite
from tests.mailstore.refusing import refusing
from tests.mailstore.store_rig import ACCOUNT, NOW, append, bodies, open_home

Rows = dict[str, list[tuple[Any, ...]]]


def record_of(path: Path) -> Path:
    return record_path(index_of(path))


def in_the_index(path: Path) -> Rows:
    with closing(sqlite3.connect(index_of(path))) as connection:
        return {
            table.name: sorted(connection.execute(f"SELECT {_names(table.name)} FROM {table.name}"), key=repr)
            for table in KEPT
        }


def _names(table: str) -> str:
    """What a record has of a table: not the link to what is computed, nor what is of the file itself."""
    (found,) = (each for each in KEPT if each.name == table)
    return ", ".join(c.name for c in found.columns if c.name not in {"content_id", "inode", "recorded"})


def in_the_record(path: Path) -> Rows:
    replayed = replay(record_of(path))
    assert replayed is not None
    assert replayed.lost == 0
    return {
        table.name: sorted(
            (tuple(row[name] for name in _names(table.name).split(", ")) for row in replayed.rows.of(table)), key=repr
        )
        for table in KEPT
    }


def fill(path: Path) -> None:
    home = open_home(path)
    for n in range(6):
        append(home, b"%d" % n, flags=[SEEN])
    home.create("a/b")
    home.move(INBOX_ID, [2], "a/b")
    home.store_flags(INBOX_ID, [3, 4], StoreMode.ADD, [DELETED, "$Work"])
    home.expunge(INBOX_ID, [3])
    home.kept.facts(INBOX_ID, [1, 4])
    home.subscribe("a/b")
    home.annotations.change("a/b", {"/private/comment": b"mine"})
    home.rename("a", "c")
    home.close()


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    fill(tmp_path)
    return tmp_path


def test_what_is_in_the_index_is_in_the_record(filled: Path) -> None:
    assert in_the_record(filled) == in_the_index(filled)
    assert record_of(filled).stat().st_mode & 0o777 == 0o600
    before = record_of(filled).stat().st_ino
    open_home(filled).close()
    assert record_of(filled).stat().st_ino == before


def test_two_processes_write_to_one_record(tmp_path: Path) -> None:
    one, other = open_home(tmp_path), open_home(tmp_path)
    for home in (one, other, one, other):
        append(home, b"x")
    record_of(tmp_path).unlink()
    append(one, b"y")  # finds it gone
    one.rest()  # … and writes it anew
    append(other, b"z")
    one.close()
    other.close()
    assert in_the_record(tmp_path) == in_the_index(tmp_path)


def test_it_does_not_grow_beyond_bounds(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "SPARE", -2 * index_of(filled).stat().st_size + 20_000)
    home = open_home(filled)
    for n in range(100):
        home.store_flags(INBOX_ID, [1], StoreMode.ADD if n % 2 else StoreMode.REMOVE, [FLAGGED])
        home.rest()
    home.close()
    assert record_of(filled).stat().st_size < 22_000
    assert in_the_record(filled) == in_the_index(filled)


def torn(path: Path) -> None:
    os.truncate(record_of(path), record_of(path).stat().st_size - 5)


def zeros_at_the_end(path: Path) -> None:
    """As a file system leaves it that made the file longer and lost what was in it."""
    with record_of(path).open("ab") as file:
        file.write(bytes(500))


def of_another_version(path: Path) -> None:
    with closing(sqlite3.connect(index_of(path), isolation_level=None)) as connection:
        connection.execute("UPDATE mailboxes SET token = 'of another'")


def gone(path: Path) -> None:
    record_of(path).unlink()


def empty(path: Path) -> None:
    record_of(path).write_bytes(b"")


def header(path: Path) -> None:
    overwrite(record_of(path), 30, b"\xff" * 30)


def older(path: Path) -> None:
    """Somebody has put back an earlier one."""
    before = record_of(path).read_bytes()
    home = open_home(path)
    append(home, b"later")
    home.close()
    record_of(path).write_bytes(before)


@pytest.mark.parametrize("damage", [torn, zeros_at_the_end, gone, empty, header, older, of_another_version])
def test_a_record_that_is_lost_or_behind_is_written_anew(filled: Path, damage: Callable[[Path], None]) -> None:
    damage(filled)
    said: list[str] = []
    home = MailHome(
        MailboxEngine(), ACCOUNT, filled / "Maildir", clock=lambda: NOW, report=lambda event, **_: said.append(event)
    )
    assert said == []  # the index is as good as it was
    assert in_the_record(filled) == in_the_index(filled)
    append(home, b"next")
    home.close()
    assert in_the_record(filled) == in_the_index(filled)


def test_damage_in_the_middle_costs_what_was_there(filled: Path) -> None:
    """Whatever octet it is: all that is read is true."""
    whole = in_the_record(filled)
    size = record_of(filled).stat().st_size
    found = record.entries(record_of(filled))
    assert found is not None
    for at in range(5, size, size // 60):
        data = record_of(filled).read_bytes()
        overwrite(record_of(filled), at, bytes([data[at] ^ 0x55]))
        replayed = replay(record_of(filled))
        record_of(filled).write_bytes(data)
        if replayed is None:
            continue  # header or INBOX
        assert replayed.lost > 0
        known = {row[8]: row[2] for row in whole["messages"]} | {row[4]: row[2] for row in whole["expunged"]}
        for row in replayed.rows.of(messages):
            assert known.get(row["file"], row["uid"]) == row["uid"]


def test_statements_of_a_record_are_data(filled: Path, tmp_path: Path) -> None:
    target = tmp_path / "made"
    kept = record.Record(index_of(filled))
    kept.take(10**6, packed(f"INSERT INTO ledger SELECT 1 FROM (SELECT 1); ATTACH '{target}' AS x", ()))
    kept.take(10**6 + 1, packed(f"ATTACH DATABASE '{target}' AS x", ()))
    kept.take(10**6 + 2, packed("DROP TABLE messages", ()))
    kept.write()
    replayed = replay(record_of(filled))
    assert replayed is not None
    assert replayed.lost > 0
    assert not target.exists()


def test_a_disk_that_refuses_the_entry_keeps_nobody(filled: Path) -> None:
    said: list[str] = []
    home = MailHome(
        MailboxEngine(), ACCOUNT, filled / "Maildir", clock=lambda: NOW, report=lambda event, **_: said.append(event)
    )
    with refusing(3, only=True) as steps:  # rename of the file, the commit, the entry
        home.store_flags(INBOX_ID, [1], StoreMode.ADD, [FLAGGED])
    assert steps.refused
    assert FLAGGED in home.rows(INBOX_ID, [1])[0].flags
    home.store_flags(INBOX_ID, [4], StoreMode.ADD, [FLAGGED])
    home.close()
    assert said == []
    assert in_the_record(filled) == in_the_index(filled)


def test_a_disk_that_is_full_is_said_and_mended_later(filled: Path) -> None:
    gone(filled)
    said: list[str] = []
    with refusing(1):
        home = MailHome(
            MailboxEngine(),
            *(ACCOUNT, filled / "Maildir"),
            clock=lambda: NOW,
            report=lambda event, **_: said.append(event),
        )
        assert len(bodies(home)) == 4
    assert "record of the index cannot be written" in said
    home.close()
    assert in_the_record(filled) == in_the_index(filled)
