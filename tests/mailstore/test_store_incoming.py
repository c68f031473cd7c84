"""Mail that arrives: before the old mail it lies in `new` and shows behind it, afterwards it is there at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mailstore.entries import Listed
from mailstore.errors import DiskFull, NoSuchFolder, OverQuota
from mailstore.incoming import Arrival, Outcome
from mailstore.index.folders import INBOX_ID
from mailstore.index.rows import DELETED, NO_FLAGS, StoreMode
from mailstore.mailhome import MailHome, index_path
from mailstore.quota import Limits
from mailstore.spool import Spooled
from tests.dialogues.store import arrives
from tests.dialogues.store import deliver as move_over
from tests.mailstore.killing import every_crash
from tests.mailstore.store_rig import (
    HARD_MESSAGES,
    NOW,
    append,
    bodies,
    check_whole,
    debris,
    directory_in_memory,
    files,
    files_alone,
    names,
    open_home,
    rows,
)

pytestmark = pytest.mark.usefixtures("either")  # wherever mailboxes are kept

OLD = [(b"old 1", "u1", (), NOW), (b"old 2", "u2", (), NOW)]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with directory_in_memory() as path:
        yield path


@contextmanager
def spooled(place: Path, *messages: bytes) -> Iterator[list[Spooled]]:
    made = [Spooled(place) for _ in messages]
    for spool, octets in zip(made, messages, strict=True):
        spool.write(octets)
    yield made
    for spool in made:
        spool.close()


def deliver(home: MailHome, *messages: bytes, whole: bool = False, folder: str = "") -> list[Outcome]:
    with spooled(home.maildir.root.parent, *messages) as made:
        return home.deliver([Arrival(message, folder) for message in made], whole=whole)


def inbox(home: MailHome) -> list[bytes]:
    return list(bodies(home).values())


def carry_over(home: MailHome) -> None:
    """A first move."""
    move_over(home, OLD)
    home.carried_over()


@pytest.mark.parametrize("octets", HARD_MESSAGES.values(), ids=HARD_MESSAGES)
@pytest.mark.parametrize("whole", [True, False], ids=["after", "before"])
def test_bytes_are_kept(home: MailHome, octets: bytes, whole: bool) -> None:
    assert deliver(home, octets, whole=whole) == [None]
    carry_over(home)
    assert sorted(inbox(home)) == sorted([octets, b"old 1", b"old 2"])
    check_whole(home)


def test_before_the_move_it_waits_and_then_shows_behind_the_old_mail(home: MailHome, announced: list[int]) -> None:
    deliver(home, b"new 1", b"new 2")
    deliver(home, b"new 3")
    assert inbox(home) == []
    assert announced == []
    entries = home.ledger.record_listing([Listed(1, "u1", 5)], (), hold_uids=True)
    deliver(home, b"new 4")
    assert inbox(home) == []
    arrives(home, entries[0].id, b"old 1")
    assert inbox(home) == [b"old 1"]
    home.carried_over()
    assert inbox(home) == [b"old 1", b"new 1", b"new 2", b"new 3", b"new 4"]
    assert [row.uid for row in rows(home)] == [1, 2, 3, 4, 5]
    assert INBOX_ID in announced
    deliver(home, b"new 5")
    home.ledger.record_listing([Listed(2, "u2", 5)], (), hold_uids=False)
    arrives(home, 2, b"old 2, which is new there")
    assert inbox(home)[4:] == [b"new 4", b"new 5", b"old 2, which is new there"]
    check_whole(home)


def test_the_order_is_kept_whatever_the_clock_does(tmp_path: Path) -> None:
    times = [NOW + 0.5, NOW + 0.5, NOW - 3600.0, NOW + 0.500001, NOW + 1.0, NOW + 0.00001]
    expected = [b"%d" % n for n in range(len(times))]
    for now, octets in zip(times, expected, strict=True):
        home = open_home(tmp_path, clock=lambda now=now: now)  # type: ignore[misc]
        deliver(home, octets)
        home.close()
    home = open_home(tmp_path)
    home.carried_over()
    assert inbox(home) == expected
    home.close()


def test_where_the_user_is_let_in_early_it_shows_with_the_listing(home: MailHome) -> None:
    deliver(home, b"new 1")
    home.ledger.record_listing([Listed(1, "u1", 5)], (), hold_uids=True)
    home.list_early(NO_FLAGS)
    deliver(home, b"new 2")
    assert [(row.uid, bool(row.away)) for row in rows(home)] == [(1, True), (2, False), (3, False)]
    arrives(home, 1, b"old 1")
    assert inbox(home) == [b"old 1", b"new 1", b"new 2"]


def test_who_is_late_by_a_moment_is_not_laid_where_nobody_looks(tmp_path: Path) -> None:
    home = open_home(tmp_path)
    carry_over(home)
    assert deliver(home, b"new", whole=False) == [None]
    assert inbox(home)[-1] == b"new"
    home.close()
    home = open_home(tmp_path)
    deliver(home, b"newer", whole=False)
    assert inbox(home)[-2:] == [b"new", b"newer"]
    home.close()


@files_alone
def test_an_index_that_is_lost_meanwhile_changes_nothing(tmp_path: Path) -> None:
    home = open_home(tmp_path)
    deliver(home, b"new 1")
    home.close()
    index_path(tmp_path / "Maildir").unlink()
    home = open_home(tmp_path)
    assert inbox(home) == []
    deliver(home, b"new 2")
    carry_over(home)
    assert inbox(home) == [b"old 1", b"old 2", b"new 1", b"new 2"]
    home.close()
    index_path(tmp_path / "Maildir").unlink()
    home = open_home(tmp_path)
    assert sorted(inbox(home)) == [b"new 1", b"new 2", b"old 1", b"old 2"]
    check_whole(home)
    home.close()


def test_an_account_that_is_closed_without_a_move_shows_what_came_before(home: MailHome) -> None:
    deliver(home, b"before")
    deliver(home, b"after", whole=True)
    assert inbox(home) == [b"before", b"after"]


def test_several_at_once_are_one_change_and_recent(home: MailHome, announced: list[int]) -> None:
    home.carried_over()
    announced.clear()
    before = home.select("INBOX", writable=False).highestmodseq
    deliver(home, b"1", b"2", b"3")
    assert announced == [INBOX_ID]
    assert home.select("INBOX", writable=False).highestmodseq == before + 1
    assert home.status("INBOX").recent == 3
    assert [row.internal_date for row in rows(home)] == [NOW] * 3
    assert [row.flags for row in rows(home)] == [frozenset()] * 3


def test_a_folder_that_is_there_gets_its_mail(home: MailHome) -> None:
    home.create("Lists/Python")
    for whole, octets in ((False, b"waits"), (True, b"at once")):
        for folder in ("Lists/Python", "lists/python", "inbox", "nothing", "Lists/../x", ".."):
            assert deliver(home, octets + b" " + folder.encode(), whole=whole, folder=folder) == [None]
    of_folder = [b"waits Lists/Python", b"waits lists/python", b"at once Lists/Python", b"at once lists/python"]
    assert list(bodies(home, "Lists/Python").values()) == of_folder
    assert len(inbox(home)) == 8
    assert names(home) == ["INBOX", "Lists", "Lists/Python"]
    check_whole(home)


@pytest.mark.parametrize("whole", [True, False], ids=["after", "before"])
def test_a_quota_refuses_what_does_not_fit(home: MailHome, whole: bool) -> None:
    append(home, b"x" * 40)
    home.limits = Limits(octets=100)
    home.room_for(60)
    with pytest.raises(OverQuota):
        home.room_for(61)
    first, second, third = deliver(home, b"a" * 50, b"b" * 11, b"c" * 10, whole=whole)
    assert (first, third) == (None, None)
    assert isinstance(second, OverQuota)
    (fourth,) = deliver(home, b"d", whole=whole)
    assert isinstance(fourth, OverQuota)
    home.carried_over()
    assert inbox(home) == [b"x" * 40, b"a" * 50, b"c" * 10]
    assert debris(home) == []
    home.limits = Limits(messages=3)
    assert isinstance(deliver(home, b"", whole=whole)[0], OverQuota)


@files_alone
def test_one_file_for_several_recipients(tmp_path: Path) -> None:
    places = [tmp_path / name for name in ("anna", "bob")]
    with spooled(tmp_path, b"for all") as (message,):
        for place, whole in zip(places, (True, False), strict=True):
            place.mkdir()
            home = open_home(place)
            assert home.deliver([Arrival(message)], whole=whole) == [None]
            home.close()
    inodes = {path.stat().st_ino for place in places for path in place.glob("Maildir/*/*,S=*")}
    assert len(inodes) == 1
    anna, bob = map(open_home, places)
    bob.carried_over()
    anna.store_flags(INBOX_ID, [1], StoreMode.ADD, [DELETED])
    anna.expunge(INBOX_ID)
    assert (inbox(anna), inbox(bob)) == ([], [b"for all"])
    anna.close()
    bob.close()


@pytest.mark.parametrize("whole", [True, False], ids=["after", "before"])
def test_where_files_cannot_be_linked_they_are_copied(
    home: MailHome, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    deliver(home, b"one\n", b"two\n", whole=whole)
    home.carried_over()
    assert inbox(home) == [b"one\n", b"two\n"]
    check_whole(home)


@pytest.mark.parametrize("whole", [True, False], ids=["after", "before"])
def test_a_full_disk_stores_nothing_and_loses_nothing(
    home: MailHome, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    deliver(home, b"before", whole=whole)

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(DiskFull):
            deliver(home, b"one", b"two", whole=whole)
    deliver(home, b"after", whole=whole)
    home.carried_over()
    assert inbox(home) == [b"before", b"after"]
    assert debris(home) == []


def test_a_disk_that_takes_minutes_doubles_nothing(tmp_path: Path) -> None:
    now = [float(NOW)]
    home = open_home(tmp_path, clock=lambda: now[0])
    home.carried_over()
    with spooled(tmp_path, b"one", b"two") as made:
        for message in made:
            message.stamp(NOW)
            message.settle()
        laid = home.lay([Arrival(message) for message in made], whole=True)
        assert inbox(home) == []
        home.reconcile()
        assert inbox(home) == []  # somebody is at it
        now[0] += 120
        home.reconcile()
        assert sorted(inbox(home)) == [b"one", b"two"]
        home.show_laid(laid)
    assert sorted(inbox(home)) == [b"one", b"two"]
    check_whole(home)
    home.close()


def test_a_folder_that_goes_before_its_mail_is_shown(home: MailHome) -> None:
    home.create("a")
    home.carried_over()
    with spooled(home.maildir.root.parent, b"one", b"two") as (one, two):
        laid = home.lay([Arrival(one, "a"), Arrival(two)], whole=True)
        home.delete("a")
        with pytest.raises(NoSuchFolder):
            home.show_laid(laid)
        assert inbox(home) == []
        assert home.deliver([Arrival(one, "a"), Arrival(two)], whole=True) == [None, None]
    assert inbox(home) == [b"one", b"two"]
    assert debris(home) == []


@pytest.mark.parametrize("whole", [True, False], ids=["after", "before"])
def test_a_crash_loses_nothing_that_was_told(tmp_path: Path, whole: bool) -> None:
    template = tmp_path / "store"
    template.mkdir()
    home = open_home(template)
    home.create("a")
    deliver(home, b"told", whole=whole)
    home.close()

    def operation(path: Path) -> None:
        home = open_home(path)
        deliver(home, b"new 1", b"new 2", whole=whole)
        home.close()

    found = []
    for path in every_crash(template, operation):
        home = open_home(path, clock=lambda: NOW + 120)  # what nobody was told of and lies there is taken in by then
        carry_over(home)
        home.reconcile()
        there = [octets for octets in inbox(home) if not octets.startswith(b"old")]
        assert there[0] == b"told"
        assert sorted(there[1:]) in ([], [b"new 1"], [b"new 2"], [b"new 1", b"new 2"])
        assert debris(home) == []
        check_whole(home)
        found.append(there)
        home.close()
    assert found[0] == [b"told"]
    assert found[-1] == [b"told", b"new 1", b"new 2"]


def test_a_crash_while_it_begins_to_show(tmp_path: Path) -> None:
    template = tmp_path / "store"
    template.mkdir()
    home = open_home(template)
    deliver(home, b"new 1", b"new 2")
    move_over(home, OLD)
    home.close()

    def operation(path: Path) -> None:
        home = open_home(path)
        home.carried_over()
        home.close()

    for path in every_crash(template, operation):
        home = open_home(path)
        home.carried_over()
        deliver(home, b"new 3")
        assert inbox(home) == [b"old 1", b"old 2", b"new 1", b"new 2", b"new 3"]
        assert len(files(home)) == 5
        home.close()
