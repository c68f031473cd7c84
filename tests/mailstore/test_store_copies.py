"""Copies and removal, what a failing disk leaves of them, and folders of five thousand messages."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mailstore import delivery
from mailstore.entries import Listed, Outcome
from mailstore.errors import MessageLost, NoSuchFolder, StorageFailed
from mailstore.index.folders import INBOX_ID
from mailstore.index.rows import ANSWERED, DELETED, FLAGGED, SEEN, StoreMode
from mailstore.landing import Landing
from mailstore.mailhome import MailHome
from tests.mailstore.store_rig import (
    DATE,
    NOW,
    append,
    bodies,
    check_whole,
    cur,
    debris,
    files,
    files_alone,
    folder_id,
    open_home,
    rows,
)

pytestmark = pytest.mark.usefixtures("either")  # wherever mailboxes are kept

# Copies


def test_a_copy_has_flags_and_date_and_shares_the_file(home: MailHome, announced: list[int]) -> None:
    target = home.create("a")
    for text in (b"one", b"two", b"three"):
        append(home, text, flags=[SEEN, "Work"])
    announced.clear()
    copied = home.copy(INBOX_ID, [3, 1, 99], "a")
    assert (copied.uidvalidity, list(copied.sources), list(copied.targets)) == (target.uidvalidity, [1, 3], [1, 2])
    assert bodies(home, "a") == {1: b"one", 2: b"three"}
    assert {(row.flags, row.internal_date) for row in rows(home, "a")} == {(frozenset({SEEN, "Work"}), DATE)}
    assert {(cur(home, "a") / name).stat().st_nlink for name in files(home, "a")} == {2}
    assert announced == [target.id]
    home.store_flags(target.id, [1], StoreMode.REPLACE, [])  # the copy's flags are its own
    home.remove([1, 3])
    assert bodies(home, "a") == {1: b"one", 2: b"three"}
    check_whole(home)


def test_a_copy_into_the_same_folder(home: MailHome) -> None:
    append(home, b"x", flags=[FLAGGED])
    assert home.copy(INBOX_ID, [1], "INBOX").targets == [2]
    assert bodies(home) == {1: b"x", 2: b"x"}
    home.remove([1])
    assert bodies(home) == {2: b"x"}
    check_whole(home)


def test_a_copy_where_there_are_no_hard_links(home: MailHome, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(31, "Too many links")

    monkeypatch.setattr(os, "link", refused)
    home.create("a")
    append(home, b"x" * 600_000, flags=[SEEN])
    home.copy(INBOX_ID, [1], "a")
    assert bodies(home, "a") == {1: b"x" * 600_000}
    (name,) = files(home, "a")
    about = (cur(home, "a") / name).stat()
    assert (about.st_nlink, about.st_mode & 0o777) == (1, 0o600)
    check_whole(home)
    assert debris(home) == []


def test_copies_are_all_or_none(home: MailHome, monkeypatch: pytest.MonkeyPatch) -> None:
    home.create("a")
    for _ in range(3):
        append(home, b"x")
    Path(f"{cur(home) / rows(home)[1].file}:2,").unlink()
    with pytest.raises(MessageLost):
        home.copy(INBOX_ID, [1, 2, 3], "a")
    assert (rows(home, "a"), files(home, "a")) == ([], [])
    with pytest.raises(NoSuchFolder):
        home.copy(INBOX_ID, [1], "b")
    link = os.link
    left = 1

    def full(*given: str) -> None:
        nonlocal left
        if left == 0:
            raise OSError(28, "No space left on device")
        left -= 1
        link(*given)

    monkeypatch.setattr(os, "link", full)
    monkeypatch.setattr("shutil.copyfileobj", lambda *_: full())
    with pytest.raises(StorageFailed, match="No space left"):
        home.copy(INBOX_ID, [1, 3], "a")
    assert rows(home, "a") == []
    assert debris(home) == []


def test_a_copy_of_a_file_that_another_program_renames_at_that_moment(
    home: MailHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(home, b"x")
    monkeypatch.setattr(Path, "exists", lambda _path: True)
    name = cur(home) / files(home)[0]
    name.rename(name.with_name(name.name + "S"))
    with pytest.raises(MessageLost):
        home.copy(INBOX_ID, [1], "INBOX")
    assert len(files(home)) == 1


# Removal


def test_a_moved_message_is_in_the_target_alone(home: MailHome, announced: list[int]) -> None:
    target = home.create("a")
    for text in (b"one", b"two", b"three"):
        append(home, text, flags=[SEEN, "Work"])
    since = home.select("INBOX", writable=True).highestmodseq
    announced.clear()
    moved = home.move(INBOX_ID, [3, 1, 99], "a")
    assert (moved.uidvalidity, list(moved.sources), list(moved.targets)) == (target.uidvalidity, [1, 3], [1, 2])
    assert bodies(home) == {2: b"two"}
    assert bodies(home, "a") == {1: b"one", 2: b"three"}
    assert {(row.flags, row.internal_date) for row in rows(home, "a")} == {(frozenset({SEEN, "Work"}), DATE)}
    assert {(cur(home, "a") / name).stat().st_nlink for name in files(home, "a")} == {1}
    assert list(home.changes(INBOX_ID, since, claim_recent=False).gone) == [1, 3]
    assert set(announced) == {INBOX_ID, target.id}
    assert home.move(INBOX_ID, [1, 3], "a").sources == ()
    with pytest.raises(NoSuchFolder):
        home.move(INBOX_ID, [2], "b")
    check_whole(home)
    assert debris(home) == []


def test_a_move_into_the_same_folder_gives_a_new_uid(home: MailHome) -> None:
    append(home, b"x", flags=[FLAGGED])
    append(home, b"y")
    assert home.move(INBOX_ID, [1], "INBOX").targets == [3]
    assert bodies(home) == {2: b"y", 3: b"x"}
    check_whole(home)


@pytest.mark.parametrize("moment", ["link", "settle"])
def test_what_another_process_moves_at_the_same_moment_is_moved_once(
    home: MailHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    append(home, b"one")
    append(home, b"two")
    other = open_home(tmp_path)
    rest: Callable[..., Any] = getattr(delivery.Place, moment)

    def overtaken(place: delivery.Place, *arguments: Any) -> Any:
        monkeypatch.setattr(delivery.Place, moment, rest)
        other.move(INBOX_ID, [1], "INBOX")
        other.store_flags(INBOX_ID, [2], StoreMode.ADD, [FLAGGED])
        return rest(place, *arguments)

    monkeypatch.setattr(delivery.Place, moment, overtaken)
    moved = home.move(INBOX_ID, [1, 2], "INBOX")
    assert (list(moved.sources), list(moved.targets)) == ([2], [4])
    assert bodies(home) == {3: b"one", 4: b"two"}
    assert {row.uid: set(row.flags) for row in rows(home)} == {3: set(), 4: {FLAGGED}}
    assert debris(home) == []
    check_whole(home)
    other.close()


def test_the_ledger_knows_what_was_moved_away(home: MailHome) -> None:
    """No later fetch from the legacy server brings it back into the INBOX (invariant 8)."""
    home.create("a")
    (entry,) = home.ledger.record_listing([Listed(1, "u", 3)], (), hold_uids=True)
    landing = Landing(home.maildir, home.token, seen="headers", clock=lambda: NOW)
    written = landing.write([(entry, b"old")])
    landing.settle(written)
    landing.close()
    home.ledger.enter([message.landed for message in written])
    home.move(INBOX_ID, [1], "a")
    assert [entry.outcome for entry in home.ledger.entries()] == [Outcome.DELETED]
    assert bodies(home, "a") == {1: b"old"}


def test_expunge_takes_what_is_flagged_and_asked_for(home: MailHome, announced: list[int]) -> None:
    for n in range(6):
        append(home, b"x", flags=[DELETED] if n % 2 else [])
    announced.clear()
    assert home.expunge(INBOX_ID, [1, 2, 3, 99]) == [2]
    assert home.expunge(INBOX_ID, []) == []
    assert home.expunge(INBOX_ID) == [4, 6]
    assert home.expunge(INBOX_ID) == []
    assert list(bodies(home)) == [1, 3, 5]
    assert announced == [INBOX_ID, INBOX_ID]
    check_whole(home)
    assert debris(home) == []


def test_removed_files_go_whatever_others_did_to_their_names(home: MailHome) -> None:
    for _ in range(4):
        append(home, b"x")
    here = [cur(home) / row.file for row in rows(home)]
    Path(f"{here[0]}:2,").unlink()
    Path(f"{here[1]}:2,").rename(f"{here[1]}:2,RS")
    Path(f"{here[2]}:2,").rename(cur(home).with_name("new") / here[2].name)
    home.remove([1, 2, 3])
    assert list(bodies(home)) == [4]
    assert debris(home) == []


def test_files_renamed_by_others_are_read_and_flagged(home: MailHome) -> None:
    append(home, b"one", flags=[SEEN])
    append(home, b"two")
    for name in files(home):
        (cur(home) / name).rename(cur(home) / (name.partition(":2,")[0] + ":2,FR"))
    assert bodies(home) == {1: b"one", 2: b"two"}
    home.copy(INBOX_ID, [1], "INBOX")
    home.store_flags(INBOX_ID, [1, 2], StoreMode.ADD, [ANSWERED])
    check_whole(home)


def test_a_failing_disk_makes_an_expunge_fail_and_the_next_one_ends_it(
    home: MailHome, announced: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    append(home, b"x")
    append(home, b"y")

    def failing(_path: str, **_: object) -> None:
        raise OSError(5, "Input/output error")

    announced.clear()
    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", failing)
        with pytest.raises(StorageFailed):
            home.remove([1])
    assert list(bodies(home)) == [2]  # it is gone, and others are told
    assert announced == [INBOX_ID]
    assert len(files(home)) == 2
    home.remove([2])
    assert files(home) == []
    check_whole(home)


# Five thousand


@files_alone
def test_whole_folders_are_handled_in_no_time(home: MailHome) -> None:
    """Each of these is one operation; together they take less than half a second here. What grows with the square of
    the number would take half a minute."""
    count = 2000
    entries = home.ledger.record_listing([Listed(n, f"u{n}", 10) for n in range(count)], (), hold_uids=True)
    landing = Landing(home.maildir, home.token, seen="all", clock=lambda: NOW)
    written = landing.write([(entry, b"%d" % entry.id) for entry in entries])
    landing.settle(written)
    landing.close()
    target = home.create("a")
    begun = time.process_time()
    home.ledger.enter([w.landed for w in written])
    uids = home.select("INBOX", writable=True).uids
    assert len(home.store_flags(INBOX_ID, uids, StoreMode.ADD, [FLAGGED])) == count
    assert len(home.copy(INBOX_ID, uids, "a").targets) == count
    assert len(home.changes(INBOX_ID, 1, claim_recent=False).changed) == count
    for uid in uids[::10]:
        home.open(INBOX_ID, uid).close()
    home.rename("a", "b")
    home.store_flags(target.id, uids, StoreMode.ADD, [DELETED])
    assert len(home.expunge(target.id)) == count
    paths = [f"cur/{row.file}:2,gone" for row in rows(home)]
    home.maildir.remove(paths)  # as after a crash: none is where it was noted
    assert files(home) == files(home, "b") == []
    assert time.process_time() - begun < 10  # processor seconds, those of the file system among them
    assert folder_id(home, "b") == target.id
