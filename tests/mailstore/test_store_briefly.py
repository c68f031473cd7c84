"""Operations that are not to keep anybody waiting: brief, or refused before anything is changed; and commits that are
owed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mailstore import barrier, mailbox, mailbox_database
from mailstore.barrier import FEW, LOOKED_AT, QUICK, Barriers, sync_logs
from mailstore.errors import StorageFailed, TakesLonger
from mailstore.index.folders import INBOX_ID
from mailstore.index.rows import DELETED, SEEN, StoreMode
from mailstore.mailhome import MailHome
from tests.mailstore.store_rig import append, bodies, check_whole, cur, files, open_descriptors, open_home, rows

Operation = Callable[[MailHome], object]


def seen(home: MailHome) -> list[bool]:
    return [SEEN in row.flags for row in rows(home)]


def set_seen(home: MailHome) -> object:
    return home.store(INBOX_ID, [1], StoreMode.ADD, [SEEN])


def test_what_is_brief_is_done(home: MailHome) -> None:
    append(home, b"one")
    home.briefly(set_seen)
    assert seen(home) == [True]
    assert home.owes is None


@pytest.mark.parametrize(
    "operation",
    [
        set_seen,
        lambda home: home.expunge(INBOX_ID),
        lambda home: append(home, b"two"),
        lambda home: home.move(INBOX_ID, [1], "a"),
    ],
    ids=["store", "expunge", "append", "move"],
)
def test_another_process_at_work_is_not_waited_for(tmp_path: Path, home: MailHome, operation: Operation) -> None:
    append(home, b"one", flags=[DELETED])
    home.create("a")
    other = open_home(tmp_path)
    with other._database.write():
        with pytest.raises(TakesLonger):
            home.briefly(operation)
        assert bodies(home) == {1: b"one"}
        assert len(files(home)) == 1
        home.briefly(lambda home: home.status("INBOX"))  # who reads need not wait
    home.briefly(operation)
    other.close()
    check_whole(home)


def test_after_its_first_change_an_operation_goes_to_its_end(tmp_path: Path, home: MailHome) -> None:
    append(home, b"one")
    patience = []

    def both(home: MailHome) -> None:
        set_seen(home)
        patience.append(home._database.driver.execute("PRAGMA busy_timeout").fetchone()[0])

    home.briefly(both)
    assert patience == [mailbox_database.BUSY_TIMEOUT * 1000]


@pytest.mark.parametrize(
    "operation",
    [
        lambda home: home.select("INBOX", writable=True),
        lambda home: home.status("INBOX"),
        lambda home: home.select("INBOX", writable=True, looking=True),
        lambda home: home.status("INBOX", looking=True),
        lambda home: home.expunge(INBOX_ID),
        lambda home: home.store(INBOX_ID, range(1, 100), StoreMode.ADD, [SEEN]),
        lambda home: home.copy(INBOX_ID, range(1, 100), "a"),
        lambda home: home.rows(INBOX_ID, range(1, 5_000)),
        lambda home: home.reconcile(),
    ],
    ids=["select", "status", "look and select", "look and status", "expunge", "store", "copy", "rows", "reconcile"],
)
def test_what_would_take_long_is_not_begun(
    home: MailHome, announced: list[int], monkeypatch: pytest.MonkeyPatch, operation: Operation
) -> None:
    append(home, b"one", flags=[DELETED])
    home.create("a")
    announced.clear()
    monkeypatch.setattr("mailstore.reading.BRIEF_ROWS", 1)
    monkeypatch.setattr("mailstore.noticing.BRIEF_ROWS", 1)
    monkeypatch.setattr("mailstore.messages.BRIEF_ROWS", 1)
    monkeypatch.setattr("mailstore.reconciling.BRIEF_ROWS", 1)
    with pytest.raises(TakesLonger):
        home.briefly(operation)
    assert announced == []
    operation(home)


def test_a_large_message_is_not_opened(home: MailHome) -> None:
    append(home, bytes(2 * mailbox.BRIEF_OCTETS))
    with pytest.raises(TakesLonger):
        home.briefly(lambda home: home.open(INBOX_ID, 1))
    home.open(INBOX_ID, 1).close()


def test_what_other_programs_did_is_not_carried_out(home: MailHome) -> None:
    (cur(home, "INBOX").parent / "new" / "1600000000.M1P1.host").write_bytes(b"a: b\n\n")
    with pytest.raises(TakesLonger):
        home.briefly(lambda home: home.reconcile(INBOX_ID))
    assert home.reconcile(INBOX_ID)
    assert list(bodies(home)) == [1]


# Owed


def test_a_commit_that_is_owed_does_not_wait_for_the_disk(home: MailHome) -> None:
    append(home, b"one")
    home.briefly(set_seen, owing=True)
    level = home._database.driver.execute("PRAGMA synchronous").fetchone()[0]
    log = home.owes
    assert (level, seen(home)) == (1, [True])
    assert log is not None
    assert log.exists()
    sync_logs([log])
    home.paid()
    assert home.owes is None
    append(home, b"two")
    assert home._database.driver.execute("PRAGMA synchronous").fetchone()[0] == 2


def test_files_go_when_it_is_certain_that_their_messages_do(home: MailHome) -> None:
    append(home, b"one", flags=[DELETED])
    home.briefly(lambda home: home.expunge(INBOX_ID), owing=True)
    assert rows(home) == []
    assert len(files(home)) == 1
    home.paid()
    assert files(home) == []
    check_whole(home)


def test_new_files_are_on_stable_storage_before_the_index_has_them(home: MailHome) -> None:
    with pytest.raises(TakesLonger):
        home.briefly(lambda home: append(home, b"one"), owing=True)
    assert append(home, b"one") == 1


def test_what_changes_nothing_owes_nothing(home: MailHome) -> None:
    append(home, b"one", flags=[SEEN])
    home.briefly(set_seen, owing=True)
    assert home.owes is None


# Barriers


def test_the_last_barriers_decide_whether_a_disk_is_quick() -> None:
    barriers = Barriers()
    assert barriers.quick
    for _ in range(LOOKED_AT):
        barriers.took(QUICK * 2)
    assert not barriers.quick
    for _ in range(LOOKED_AT):
        barriers.took(QUICK / 2)
    assert barriers.quick


def test_only_commits_that_waited_are_looked_at(home: MailHome) -> None:
    append(home, b"one")
    barriers = home._database.barriers
    before = len(barriers._took)
    home.briefly(set_seen, owing=True)
    home.store(INBOX_ID, [1], StoreMode.ADD, [SEEN])  # changes nothing
    home.select("INBOX", writable=True)  # claims what is \\Recent, lightly
    assert len(barriers._took) == before
    home.store(INBOX_ID, [1], StoreMode.REMOVE, [SEEN])
    assert len(barriers._took) == before + 1


@pytest.mark.parametrize(("count", "one_by_one"), [(FEW, FEW), (FEW + 1, 0)])
def test_many_logs_are_synced_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, one_by_one: int
) -> None:
    paths = [tmp_path / str(n) for n in range(count)]
    for path in paths:
        path.touch()
    synced, at_once = [], []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    monkeypatch.setattr(barrier, "_syncfs", lambda directory: at_once.append(directory) or 0)
    sync_logs([*paths, tmp_path / "gone"])
    assert (len(synced), len(at_once)) == (one_by_one, 0 if one_by_one else 1)


# Homes that rest


def test_a_home_that_rests_wakes_when_it_is_asked(home: MailHome) -> None:
    append(home, b"one")
    before = open_descriptors(home.maildir.root.parent)
    home.rest()
    assert open_descriptors(home.maildir.root.parent) < before
    home.rest()
    assert bodies(home) == {1: b"one"}
    home.rest()
    home.briefly(set_seen)
    assert append(home, b"two") == 2


def test_what_was_removed_meanwhile_does_not_come_into_being_again(tmp_path: Path, home: MailHome) -> None:
    append(home, b"one")
    home.rest()
    (tmp_path / "Maildir.db").unlink()
    with pytest.raises(StorageFailed):
        home.folders()
    assert not (tmp_path / "Maildir.db").exists()
