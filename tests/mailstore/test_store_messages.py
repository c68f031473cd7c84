"""Messages in folders: bytes, UIDs, flags, modseqs, \\Recent, copies, and removal."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from mailstore.errors import MessageLost, NoSuchFolder, NoSuchMessage, StorageFailed
from mailstore.index.folders import INBOX_ID
from mailstore.index.rows import ANSWERED, DELETED, FLAGGED, SEEN, StoreMode
from mailstore.landing import Landing
from mailstore.ledger import Listed
from mailstore.mailhome import MailHome
from tests.mailstore.store_rig import (
    DATE,
    HARD_MESSAGES,
    NOW,
    append,
    bodies,
    check_whole,
    cur,
    debris,
    files,
    folder_id,
    open_descriptors,
    open_home,
    read,
    rows,
)


def flags(home: MailHome, name: str = "INBOX") -> list[set[str]]:
    return [set(row.flags) for row in rows(home, name)]


# Bytes


@pytest.mark.parametrize("data", HARD_MESSAGES.values(), ids=HARD_MESSAGES.keys())
def test_every_octet_is_kept(home: MailHome, data: bytes) -> None:
    uid = append(home, data)
    assert read(home, uid) == data
    (row,) = rows(home)
    assert row.size == len(data) == home.status("INBOX").size
    (name,) = files(home)
    w = len(data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    assert f",S={len(data)},W={w}:2," in name
    assert (cur(home) / name).stat().st_mode & 0o777 == 0o600
    copied = home.copy(INBOX_ID, [uid], "INBOX")
    assert read(home, copied.targets[0]) == data
    assert all(f",S={len(data)},W={w}:2," in name for name in files(home))
    assert debris(home) == []


def test_an_append_reads_from_where_the_file_stands(home: MailHome) -> None:
    source = io.BytesIO(b"skippedkept")
    source.seek(7)
    home.append("INBOX", source, [], None)
    assert bodies(home) == {1: b"kept"}
    assert rows(home)[0].internal_date == NOW


def test_an_append_says_where(home: MailHome, announced: list[int]) -> None:
    made = home.create("a")
    appended = home.append("a", io.BytesIO(b"x"), [SEEN, "Work"], DATE)
    assert (appended.uidvalidity, appended.uid) == (made.uidvalidity, 1)
    (row,) = rows(home, "a")
    assert (row.flags, row.internal_date) == ({SEEN, "Work"}, DATE)
    assert files(home, "a")[0].endswith(":2,S")
    assert announced == [made.id]
    with pytest.raises(NoSuchFolder):
        append(home, b"x", "b")
    assert debris(home) == []


def test_a_source_that_fails_leaves_nothing(home: MailHome) -> None:
    class Failing(io.RawIOBase):
        def read(self, _size: int = -1) -> bytes:
            raise ConnectionError("gone")

    with pytest.raises((ConnectionError, StorageFailed)):
        home.append("INBOX", Failing(), [], None)  # type: ignore[arg-type]
    assert rows(home) == []
    assert debris(home) == []


# UIDs and modseqs


def test_uids_and_modseqs_grow_for_good(home: MailHome, tmp_path: Path) -> None:
    first = [append(home, b"x") for _ in range(3)]
    assert first == [1, 2, 3]
    home.remove([2, 3])
    before = home.status("INBOX")
    assert (before.messages, before.uidnext) == (1, 4)
    home.close()
    home = open_home(tmp_path, clock=lambda: NOW - 10_000)  # a clock that was set back changes nothing
    after = home.status("INBOX")
    assert after == before
    assert append(home, b"x") == 4
    assert home.status("INBOX").highestmodseq > before.highestmodseq
    home.close()


def test_each_change_has_a_modseq_of_its_own(home: MailHome) -> None:
    seen = [home.status("INBOX").highestmodseq]
    operations: list[Callable[[], object]] = [
        lambda: append(home, b"x"),
        lambda: append(home, b"y"),
        lambda: home.store_flags(INBOX_ID, [1, 2], StoreMode.ADD, [SEEN]),
        lambda: home.copy(INBOX_ID, [1, 2], "INBOX"),
        lambda: home.store_flags(INBOX_ID, [3], StoreMode.ADD, [DELETED]),
        lambda: home.expunge(INBOX_ID),
    ]
    for operation in operations:
        operation()
        seen.append(home.status("INBOX").highestmodseq)
    assert seen == sorted(set(seen))
    for nothing in (
        lambda: home.store_flags(INBOX_ID, [1], StoreMode.ADD, [SEEN]),
        lambda: home.store_flags(INBOX_ID, [99], StoreMode.ADD, [SEEN]),
        lambda: home.expunge(INBOX_ID),
        lambda: home.remove([]),
        lambda: home.remove([99]),
        lambda: home.copy(INBOX_ID, [99], "INBOX"),
    ):
        nothing()
        assert home.status("INBOX").highestmodseq == seen[-1]


def test_own_uidls_are_of_one_message_for_good(home: MailHome) -> None:
    for _ in range(3):
        append(home, b"x")
    home.copy(INBOX_ID, [1], "INBOX")
    named = [row.uidl for row in home.maildrop()]
    assert len(set(named)) == 4
    assert all(1 <= len(n) <= 70 and all(0x21 <= ord(c) <= 0x7E for c in n) for n in named)  # RFC 1939 7
    home.remove([1])
    append(home, b"y")
    assert [row.uidl for row in home.maildrop()][:3] == named[1:]
    assert home.maildrop()[-1].uidl not in named


# Flags


@pytest.mark.parametrize(
    ("mode", "given", "after"),
    [
        (StoreMode.REPLACE, [FLAGGED], [{FLAGGED}, {FLAGGED}]),
        (StoreMode.REPLACE, [], [set(), set()]),
        (StoreMode.ADD, [FLAGGED], [{SEEN, FLAGGED}, {"Work", FLAGGED}]),
        (StoreMode.ADD, [], [{SEEN}, {"Work"}]),
        (StoreMode.REMOVE, [SEEN, "Work"], [set(), set()]),
        (StoreMode.REMOVE, [ANSWERED], [{SEEN}, {"Work"}]),
        (StoreMode.ADD, ["Work", "a.b[c"], [{SEEN, "Work", "a.b[c"}, {"Work", "a.b[c"}]),
    ],
)
def test_store(home: MailHome, mode: StoreMode, given: list[str], after: list[set[str]]) -> None:
    append(home, b"x", flags=[SEEN])
    append(home, b"y", flags=["Work"])
    before = rows(home)
    told = home.store_flags(INBOX_ID, [1, 2, 3], mode, given)
    assert flags(home) == after
    assert [(f.uid, f.flags, f.modseq) for f in told] == [(r.uid, r.flags, r.modseq) for r in rows(home)]
    unchanged = [old.flags == new.flags for old, new in zip(before, rows(home), strict=True)]
    assert [old.modseq == new.modseq for old, new in zip(before, rows(home), strict=True)] == unchanged
    check_whole(home)


def test_flags_outlive_a_reopening(home: MailHome, tmp_path: Path) -> None:
    append(home, b"x", flags=[SEEN, "Work", "$Label1"])
    home.close()
    home = open_home(tmp_path)
    assert flags(home) == [{SEEN, "Work", "$Label1"}]
    assert home.select("INBOX", writable=False).keywords == ("$Label1", "Work")
    home.close()


def test_flags_of_a_file_that_is_missing(home: MailHome) -> None:
    append(home, b"x")
    (cur(home) / files(home)[0]).unlink()
    home.store_flags(INBOX_ID, [1], StoreMode.ADD, [SEEN])
    assert flags(home) == [{SEEN}]
    with pytest.raises(MessageLost):
        home.open(INBOX_ID, 1)


# \Recent, and what changed


def test_recent_is_shown_to_one_session(home: MailHome) -> None:
    append(home, b"x")
    append(home, b"y")
    assert home.status("INBOX").recent == 2
    assert home.select("INBOX", writable=False).recent_from == 1  # EXAMINE does not take it
    assert home.status("INBOX").recent == 2
    assert home.select("INBOX", writable=True).recent_from == 1
    assert home.status("INBOX").recent == 0
    assert home.select("INBOX", writable=True).recent_from == 3
    append(home, b"z")
    since = home.status("INBOX").highestmodseq - 1
    assert home.changes(INBOX_ID, since, claim_recent=False).recent_from == 3
    assert home.status("INBOX").recent == 1
    assert home.changes(INBOX_ID, since, claim_recent=True).recent_from == 3
    assert home.changes(INBOX_ID, since, claim_recent=True).recent_from == 4
    assert home.status("INBOX").recent == 0


def test_recent_outlives_a_reopening(home: MailHome, tmp_path: Path) -> None:
    append(home, b"x")
    home.select("INBOX", writable=True)
    append(home, b"y")
    home.close()
    home = open_home(tmp_path)
    assert home.status("INBOX").recent == 1
    assert home.select("INBOX", writable=True).recent_from == 2
    home.close()


def test_changes(home: MailHome) -> None:
    for _ in range(4):
        append(home, b"x")
    start = home.select("INBOX", writable=False)
    assert list(start.uids) == [1, 2, 3, 4]
    home.store_flags(INBOX_ID, [2], StoreMode.ADD, [SEEN])
    home.store_flags(INBOX_ID, [3, 4], StoreMode.ADD, [DELETED])
    home.expunge(INBOX_ID, [4])
    uid = append(home, b"y")
    found = home.changes(INBOX_ID, start.highestmodseq, claim_recent=False)
    top = found.highestmodseq
    assert list(found.gone) == [4]
    assert [(c.uid, c.flags) for c in found.changed] == [(2, {SEEN}), (3, {DELETED}), (uid, set())]
    assert found.uidnext == 6
    assert home.changes(INBOX_ID, top, claim_recent=False).changed == []
    assert list(home.changes(INBOX_ID, top, claim_recent=False).gone) == []
    passing = append(home, b"z", flags=[DELETED])  # comes and goes between two looks
    home.expunge(INBOX_ID, [passing])
    found = home.changes(INBOX_ID, top, claim_recent=False)
    assert (list(found.gone), list(found.changed)) == ([passing], [])


def test_figures(home: MailHome) -> None:
    append(home, b"123", flags=[SEEN])
    append(home, b"45", flags=[SEEN, DELETED, "Seen"])
    append(home, b"6", flags=["Seen"])  # a keyword of that name is not the flag
    status = home.status("INBOX")
    assert (status.messages, status.unseen, status.deleted, status.size) == (3, 1, 1, 6)
    assert home.status("INBOX").uidvalidity == NOW
    with pytest.raises(NoSuchFolder):
        home.status("x")


# Reading


def test_rows_of_some(home: MailHome) -> None:
    for _ in range(3):
        append(home, b"x")
    home.ledger.record_listing([Listed(n, "", 1) for n in range(3000)], (), hold_uids=True)  # a wide gap
    append(home, b"x")
    there = {1, 2, 3, 3004}
    several: list[Collection[int]] = [[], [3, 1], {2, 3, 99}, range(1, 4), [99], [1, 1, 1], (1, 10**9), [3004, 2]]
    for wanted in (*several, range(1, 5000), list(range(3, 50_000, 3)), there):
        assert [r.uid for r in home.rows(INBOX_ID, wanted)] == sorted(set(wanted) & there)


def test_what_is_not_there(home: MailHome) -> None:
    append(home, b"x")
    with pytest.raises(NoSuchMessage):
        home.open(INBOX_ID, 2)
    assert home.open_many(INBOX_ID, [2, 3]) == {}
    for folder in (0, 2, -1):
        with pytest.raises(NoSuchFolder):
            home.open(folder, 1)
        with pytest.raises(NoSuchFolder):
            home.changes(folder, 0, claim_recent=False)
        with pytest.raises(NoSuchFolder):
            home.store_flags(folder, [1], StoreMode.ADD, [SEEN])
        with pytest.raises(NoSuchFolder):
            home.copy(folder, [1], "INBOX")


def test_one_lost_message_of_many_closes_the_others(home: MailHome) -> None:
    for _ in range(3):
        append(home, b"x")
    (cur(home) / files(home)[1]).unlink()
    before = open_descriptors()
    with pytest.raises(MessageLost):
        home.open_many(INBOX_ID, [1, 2, 3])
    assert open_descriptors() == before


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

    def failing(_path: Path, **_: object) -> None:
        raise OSError(5, "Input/output error")

    announced.clear()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", failing)
        with pytest.raises(StorageFailed):
            home.remove([1])
    assert list(bodies(home)) == [2]  # it is gone, and others are told
    assert announced == [INBOX_ID]
    assert len(files(home)) == 2
    home.remove([2])
    assert files(home) == []
    check_whole(home)


# Five thousand


def test_whole_folders_are_handled_in_no_time(home: MailHome) -> None:
    """Each of these is one operation; together they take about a second here. What grows with the square of the
    number would take minutes."""
    count = 5000
    entries = home.ledger.record_listing([Listed(n, f"u{n}", 10) for n in range(count)], (), hold_uids=True)
    landing = Landing(home.maildir, home.token, seen="all", clock=lambda: NOW)
    written = landing.write([(entry, b"%d" % entry.id) for entry in entries])
    landing.settle(written)
    landing.close()
    target = home.create("a")
    begun = time.monotonic()
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
    assert time.monotonic() - begun < 15
    assert folder_id(home, "b") == target.id
