"""Indexes that are lost or damaged, sizes in names that are wrong, disks that refuse: the mailbox opens, what is there
is served, and no UID means another message than before. Damage to the Maildir: test_store_maildir_damage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mailstore.errors import StorageFailed
from mailstore.index.folders import INBOX_ID
from mailstore.index.rows import FLAGGED, SEEN, StoreMode
from mailstore.mailbox_database import MailboxEngine
from mailstore.maildir import unique_of
from mailstore.mailhome import MailHome, index_path
from tests.mailstore.index_damage import without_record
from tests.mailstore.store_rig import ACCOUNT, NOW, append, bodies, cur, files, full_disk, names, open_home, rows

SAID = [b"Subject: 1\r\n\r\nbare\nlf", b"two", b"three"]


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    home = open_home(tmp_path)
    for body in SAID:
        append(home, body, flags=[SEEN])
    home.create("a")
    append(home, b"in a", "a")
    home.close()
    return tmp_path


class Reports(list[str]):
    def __call__(self, event: str, **_figures: object) -> None:
        self.append(event)


def reopened(path: Path, said: Reports | None = None, now: float = NOW + 100) -> MailHome:
    report = said if said is not None else Reports()
    home = MailHome(MailboxEngine(), ACCOUNT, path / "Maildir", clock=lambda: now, report=report)
    home.reconcile()
    return home


def in_cur(path: Path) -> list[Path]:
    return sorted((path / "Maildir" / "cur").iterdir())


@pytest.mark.parametrize("name", ["1.a.host,S=9999,W=1", "1.a.host,S=,W=x", "1.a.host,S=4", "1.a.host"])
def test_sizes_in_names_are_not_believed(tmp_path: Path, name: str) -> None:
    open_home(tmp_path).close()
    (tmp_path / "Maildir" / "new" / name).write_bytes(b"x\ny\n")
    home = reopened(tmp_path)
    (row,) = rows(home)
    assert row.size == 6
    assert bodies(home) == {1: b"x\r\ny\r\n"}
    assert ",S=4" in files(home)[0] or name == "1.a.host"
    home.close()


def delete_index(path: Path) -> None:
    for file in path.glob("Maildir.db*"):
        file.unlink()


def delete_index_and_leave_its_log(path: Path) -> None:
    index_path(path / "Maildir").unlink()
    (path / "Maildir.db-wal").write_bytes(b"\x37\x7f\x06\x82" + b"stale" * 1000)


def no_database(path: Path) -> None:
    index_path(path / "Maildir").write_bytes(b"something else" * 1000)


def broken_pages(path: Path) -> None:
    index = index_path(path / "Maildir")
    data = bytearray(index.read_bytes())
    data[100:4096] = b"\xff" * 3996
    index.write_bytes(data)


@pytest.mark.parametrize(
    "damage", [delete_index, delete_index_and_leave_its_log, no_database, broken_pages], ids=lambda d: d.__name__
)
def test_a_lost_index_is_made_anew_with_another_uidvalidity(filled: Path, damage: Callable[[Path], None]) -> None:
    home = open_home(filled)
    home.store_flags(INBOX_ID, [2], StoreMode.ADD, [FLAGGED])
    before = {name: home.status(name).uidvalidity for name in names(home)}
    home.close()
    without_record(filled)
    damage(filled)
    said = Reports()
    home = reopened(filled, said)
    assert sorted(bodies(home).values()) == sorted(SAID)  # byte for byte: these are our own files
    assert [row.flags for row in rows(home)].count(frozenset({SEEN, FLAGGED})) == 1
    assert list(bodies(home, "a").values()) == [b"in a"]
    assert all(home.status(name).uidvalidity > before[name] for name in before)
    aside = [path.name for path in filled.glob("Maildir.db.corrupt-*")]
    if damage in {no_database, broken_pages}:
        assert "Maildir.db.corrupt-1" in aside
        assert any("damaged" in event for event in said)
    home.close()


def test_damage_met_in_the_middle_is_mended_at_the_next_opening(filled: Path) -> None:
    index = index_path(filled / "Maildir")
    home = open_home(filled)
    with home._database.write() as connection:
        root = connection.exec_driver_sql("SELECT rootpage FROM sqlite_master WHERE name = 'messages'").scalar()
        size = connection.exec_driver_sql("PRAGMA page_size").scalar()
    home.close()
    data = bytearray(index.read_bytes())
    data[(root - 1) * size : root * size] = b"\xff" * size
    index.write_bytes(data)
    home = open_home(filled)
    with pytest.raises(StorageFailed):
        home.reconcile()
    home.close()
    home = reopened(filled)
    assert sorted(bodies(home).values()) == sorted(SAID)
    assert not index.with_name("Maildir.db.suspect").exists()
    home.close()


def test_a_second_damaged_index_is_set_aside_beside_the_first(filled: Path) -> None:
    for _ in range(2):
        no_database(filled)
        reopened(filled).close()
    assert {path.name for path in filled.glob("Maildir.db.corrupt-?")} == {
        "Maildir.db.corrupt-1",
        "Maildir.db.corrupt-2",
    }


def test_a_full_disk_keeps_nobody_from_reading(filled: Path) -> None:
    said = Reports()
    home = MailHome(MailboxEngine(), ACCOUNT, filled / "Maildir", clock=lambda: NOW, report=said)
    (cur(home).parent / "new" / "1.a.host").write_bytes(b"late")
    with full_disk(0):
        home.reconcile()
        snapshot = home.select("INBOX", writable=True)
        assert list(snapshot.uids) == [1, 2, 3]
    assert said
    home.reconcile()
    assert list(bodies(home).values()) == [*SAID, b"late"]
    home.close()


def test_a_maildir_that_may_not_be_written(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = Reports()
    home = MailHome(MailboxEngine(), ACCOUNT, filled / "Maildir", clock=lambda: NOW, report=said)
    (cur(home).parent / "new" / "1.a.host").write_bytes(b"late")
    lying = in_cur(filled)[0]
    lying.rename(lying.with_name(unique_of(lying.name) + ":2,SRFx"))

    def refused(_self: Path, _target: Path) -> Path:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", refused)
        home.reconcile()
    assert list(bodies(home).values()) == SAID
    assert any("renamed" in event for event in said)
    assert any("taken in" in event for event in said)
    home._clock = home._reconciler._clock = lambda: NOW + 2
    home.reconcile()
    assert list(bodies(home).values()) == [*SAID, b"late"]
    home.close()
