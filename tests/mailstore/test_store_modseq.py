"""What modseqs are for: conditional flags, what vanished since, and messages that move in one step."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailstore.errors import NoSuchFolder
from mailstore.index.folders import INBOX_ID
from mailstore.index.rows import DELETED, FLAGGED, SEEN, StoreMode
from mailstore.mailhome import MailHome
from tests.mailstore.store_rig import append, bodies, check_whole, debris, folder_id, open_home, rows

pytestmark = pytest.mark.usefixtures("either")  # wherever mailboxes are kept


def modseqs(home: MailHome) -> dict[int, int]:
    snapshot = home.select("INBOX", writable=False)
    return dict(zip(snapshot.uids, snapshot.modseqs, strict=True))


def test_a_snapshot_has_modseqs(home: MailHome) -> None:
    for _ in range(3):
        append(home, b"x")
    home.store_flags(INBOX_ID, [2], StoreMode.ADD, [SEEN])
    assert modseqs(home) == {row.uid: row.modseq for row in rows(home)}
    assert modseqs(home)[2] == home.status("INBOX").highestmodseq


def test_only_what_is_unchanged_is_changed(home: MailHome, announced: list[int]) -> None:
    for _ in range(3):
        append(home, b"x")
    since = home.status("INBOX").highestmodseq
    home.store_flags(INBOX_ID, [2], StoreMode.ADD, [SEEN])
    announced.clear()
    stored = home.store(INBOX_ID, [1, 2, 9], StoreMode.ADD, [FLAGGED], unchanged_since=since)
    assert [(each.uid, set(each.flags)) for each in stored.flagged] == [(1, {FLAGGED})]
    assert stored.flagged[0].modseq == home.status("INBOX").highestmodseq == modseqs(home)[1]
    assert list(stored.modified) == [2]
    assert announced == [INBOX_ID]
    announced.clear()
    stored = home.store(INBOX_ID, [1, 2, 3], StoreMode.REPLACE, [SEEN], unchanged_since=0)
    assert (list(stored.flagged), list(stored.modified), announced) == ([], [1, 2, 3], [])
    assert [set(row.flags) for row in rows(home)] == [{FLAGGED}, {SEEN}, set()]


def test_what_vanished_is_known_for_good(home: MailHome, tmp_path: Path) -> None:
    for _ in range(5):
        append(home, b"x")
    first = home.status("INBOX").highestmodseq
    home.store_flags(INBOX_ID, [2, 4], StoreMode.ADD, [DELETED])
    home.expunge(INBOX_ID)
    second = home.status("INBOX").highestmodseq
    home.remove([5])
    home.close()
    again = open_home(tmp_path)
    try:
        assert again.vanished(INBOX_ID, first) == [2, 4, 5]
        assert again.vanished(INBOX_ID, second) == [5]
        assert again.vanished(INBOX_ID, again.status("INBOX").highestmodseq) == []
    finally:
        again.close()


def test_move(home: MailHome, announced: list[int]) -> None:
    home.create("a")
    for number in range(3):
        append(home, b"%d" % number, flags=[SEEN] if number else [])
    since = home.status("INBOX").highestmodseq
    target = folder_id(home, "a")
    announced.clear()
    moved = home.move(INBOX_ID, [1, 3, 9], "a")
    assert (list(moved.sources), list(moved.targets)) == ([1, 3], [1, 2])
    assert set(announced) == {INBOX_ID, target}
    assert [row.uid for row in rows(home)] == [2]
    assert [set(row.flags) for row in rows(home, "a")] == [set(), {SEEN}]
    assert bodies(home, "a") == {1: b"0", 2: b"2"}
    assert home.vanished(INBOX_ID, since) == [1, 3]
    assert home.move(INBOX_ID, [1], "a").sources == ()
    with pytest.raises(NoSuchFolder):
        home.move(INBOX_ID, [2], "b")
    assert [row.uid for row in rows(home)] == [2]
    assert debris(home) == []
    check_whole(home)


def test_move_into_the_same_folder(home: MailHome) -> None:
    for number in range(2):
        append(home, b"%d" % number)
    moved = home.move(INBOX_ID, [1], "INBOX")
    assert (list(moved.sources), list(moved.targets)) == ([1], [3])
    assert bodies(home) == {2: b"1", 3: b"0"}
    check_whole(home)
