r"""Messages in folders: bytes, UIDs, flags, modseqs, \Recent, and what changed."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from mailstore import delivery, mailbox_database, maildir, postgres_mailbox
from mailstore.entries import Listed
from mailstore.errors import MessageLost, NoSuchFolder, NoSuchMessage, StorageFailed
from mailstore.index.folders import INBOX_ID
from mailstore.index.rows import ANSWERED, DELETED, FLAGGED, SEEN, StoreMode
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
    files_alone,
    full_disk,
    open_descriptors,
    open_home,
    read,
    rows,
)

pytestmark = pytest.mark.usefixtures("either")  # wherever mailboxes are kept


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
    announced.clear()
    appended = home.append("a", io.BytesIO(b"x"), [SEEN, "Work"], DATE)
    assert (appended.uidvalidity, appended.uid) == (made.uidvalidity, 1)
    (row,) = rows(home, "a")
    assert row.flags == {SEEN, "Work"}
    assert row.internal_date == DATE
    assert files(home, "a")[0].endswith(":2,S")
    assert announced == [made.id]
    with pytest.raises(NoSuchFolder):
        append(home, b"x", "b")
    assert debris(home) == []


def test_bytes_then_name_then_index(home: MailHome, monkeypatch: pytest.MonkeyPatch) -> None:
    """Invariant 2: each step is on stable storage before the next begins."""
    order: list[str] = []

    def noted(name: str, function: Callable[..., object]) -> Callable[..., object]:
        def run(*given: object) -> object:
            order.append(name)
            return function(*given)

        return run

    monkeypatch.setattr(os, "fsync", noted("fsync", os.fsync))
    monkeypatch.setattr(os, "link", noted("link", os.link))
    monkeypatch.setattr(os, "rename", noted("rename", os.rename))
    monkeypatch.setattr(delivery, "sync_directory", noted("directory", maildir.sync_directory))
    for keeper in (mailbox_database, postgres_mailbox):
        monkeypatch.setattr(keeper, "commit", noted("commit", keeper.commit))
    append(home, b"x")
    # A directory's fsync is one, too.
    assert order == ["fsync", "rename", "directory", "fsync", "commit"]
    order.clear()
    home.copy(INBOX_ID, [1], "INBOX")
    assert order == ["link", "directory", "fsync", "commit"]


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


@files_alone
def test_a_full_disk_keeps_nobody_from_the_mail_that_is_there(home: MailHome) -> None:
    append(home, b"x")
    since = home.status("INBOX").highestmodseq - 1
    with full_disk(0):
        found = home.select("INBOX", writable=True)
        assert (list(found.uids), found.recent_from) == ([1], 1)
        assert home.changes(INBOX_ID, since, claim_recent=True).recent_from == 1
        assert read(home, 1) == b"x"
    assert home.status("INBOX").recent == 1  # nobody has claimed it


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
    assert [(c.uid, c.flags) for c in found.changed] == [
        (2, frozenset({SEEN})),
        (3, frozenset({DELETED})),
        (uid, frozenset()),
    ]
    assert found.uidnext == 6
    assert not home.changes(INBOX_ID, top, claim_recent=False).changed
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
    before = open_descriptors(home.maildir.root.parent)
    with pytest.raises(MessageLost):
        home.open_many(INBOX_ID, [1, 2, 3])
    assert open_descriptors(home.maildir.root.parent) == before
