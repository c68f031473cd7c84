"""Killed at every step: nothing lost, nothing doubled, and the next opening goes on where the last barrier stood."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailstore.entries import Listed, Outcome
from mailstore.index.folders import INBOX_ID
from mailstore.index.rows import DELETED, FLAGGED, SEEN, StoreMode
from mailstore.landing import Arriving, Landing, Whole
from mailstore.landing import noted as noted_header
from mailstore.mailhome import MailHome
from tests.mailstore.killing import every_crash
from tests.mailstore.store_rig import (
    NOW,
    append,
    bodies,
    check_whole,
    debris,
    directory_in_memory,
    files,
    folder_id,
    names,
    open_home,
    rows,
)

Contents = dict[str, list[bytes]]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with directory_in_memory() as path:
        yield path


def contents(home: MailHome) -> Contents:
    return {name: list(bodies(home, name).values()) for name in names(home)}


def made(path: Path, *steps: Callable[[MailHome], object]) -> Path:
    """A store to begin with, closed."""
    template = path / "store"
    template.mkdir()
    home = open_home(template)
    for step in steps:
        step(home)
    home.close()
    return template


def opened(operation: Callable[[MailHome], object]) -> Callable[[Path], object]:
    def run(path: Path) -> None:
        home = open_home(path)
        operation(home)
        home.close()

    return run


def after_crashes(template: Path, operation: Callable[[MailHome], object]) -> tuple[list[Contents], list[list[str]]]:
    """What is there after a crash at each step of an operation, and what lies about; every state is checked."""
    found, lying = [], []
    for path in every_crash(template, opened(operation)):
        home = open_home(path)
        check_whole(home)
        found.append(contents(home))
        lying.append(debris(home))
        home.close()
    return found, lying


def two_mails(home: MailHome) -> None:
    append(home, b"one")
    append(home, b"two", flags=[SEEN])


def test_the_first_opening(tmp_path: Path) -> None:
    template = tmp_path / "store"
    template.mkdir()
    for path in every_crash(template, opened(lambda home: None)):
        home = open_home(path)
        assert names(home) == ["INBOX"]
        assert append(home, b"one") == 1
        check_whole(home)
        home.close()


@pytest.mark.usefixtures("either")
def test_append_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    template = made(tmp_path, two_mails)
    found, lying = after_crashes(template, lambda home: append(home, b"three" * 1000))
    before, after = {"INBOX": [b"one", b"two"]}, {"INBOX": [b"one", b"two", b"three" * 1000]}
    assert found[0] == before
    assert found[-1] == after
    assert all(state in (before, after) for state in found)
    assert found.index(after) > 3
    assert all(len(pieces) <= 1 for pieces in lying)
    assert lying[-1] == []


def test_copy_is_all_or_none(tmp_path: Path) -> None:
    template = made(tmp_path, two_mails, lambda home: home.create("a"))
    found, lying = after_crashes(template, lambda home: home.copy(INBOX_ID, [1, 2], "a"))
    assert [state["INBOX"] for state in found] == [[b"one", b"two"]] * len(found)
    assert {tuple(state["a"]) for state in found} == {(), (b"one", b"two")}
    assert lying[-1] == []


@pytest.mark.usefixtures("either")
def test_move_neither_loses_nor_doubles(tmp_path: Path) -> None:
    template = made(tmp_path, two_mails, lambda home: home.create("a"))
    found, _ = after_crashes(template, lambda home: home.move(INBOX_ID, [1, 2], "a"))
    before: Contents = {"INBOX": [b"one", b"two"], "a": []}
    after: Contents = {"INBOX": [], "a": [b"one", b"two"]}
    assert found[0] == before
    assert found[-1] == after
    assert all(state in (before, after) for state in found)


def test_expunge_works_off_what_it_left(tmp_path: Path) -> None:
    template = made(
        tmp_path, two_mails, two_mails, lambda home: home.store_flags(INBOX_ID, [1, 2, 3], StoreMode.ADD, [DELETED])
    )
    found, lying = after_crashes(template, lambda home: home.expunge(INBOX_ID))
    assert {tuple(state["INBOX"]) for state in found} == {(b"one", b"two", b"one", b"two"), (b"two",)}
    assert lying == [[]] * len(lying)


def test_flags(tmp_path: Path) -> None:
    template = made(tmp_path, two_mails)
    for path in every_crash(template, opened(lambda home: home.store_flags(1, [1, 2], StoreMode.REPLACE, ["Work"]))):
        home = open_home(path)
        assert [row.flags for row in rows(home)] in ([frozenset(), {SEEN}], [{"Work"}, {"Work"}])
        assert list(bodies(home).values()) == [b"one", b"two"]  # whatever the names say
        home.store_flags(INBOX_ID, [1, 2], StoreMode.REPLACE, [SEEN, FLAGGED])  # puts every name right
        check_whole(home)
        assert debris(home) == []
        home.close()


def test_create(tmp_path: Path) -> None:
    template = made(tmp_path)
    for path in every_crash(template, opened(lambda home: home.create("a/b"))):
        home = open_home(path)
        assert names(home) in (["INBOX"], ["INBOX", "a", "a/b"])
        if names(home) == ["INBOX"]:
            home.create("a/b")
        append(home, b"x", "a/b")
        check_whole(home)
        assert debris(home) == []
        home.close()


def test_delete_leaves_no_mail_to_a_folder_that_gets_its_name(tmp_path: Path) -> None:
    template = made(tmp_path, lambda home: (home.create("a/b"), append(home, b"x", "a"), append(home, b"y", "a/b")))
    states = set()
    for path in every_crash(template, opened(lambda home: home.delete("a"))):
        home = open_home(path)
        check_whole(home)
        states.add(tuple(names(home)))
        assert list(bodies(home, "a/b").values()) == [b"y"]
        if "a" not in names(home):
            assert debris(home) == []
            home.create("a")
            assert files(home, "a") == []
        home.close()
    assert states == {("INBOX", "a", "a/b"), ("INBOX", "a/b")}


@pytest.mark.usefixtures("either")
def test_rename_of_a_tree(tmp_path: Path) -> None:
    template = made(tmp_path, lambda home: (home.create("a/b"), append(home, b"x", "a"), append(home, b"y", "a/b")))
    found, lying = after_crashes(template, lambda home: home.rename("a", "c"))
    assert all(
        state in ({"INBOX": [], "a": [b"x"], "a/b": [b"y"]}, {"INBOX": [], "c": [b"x"], "c/b": [b"y"]})
        for state in found
    )
    assert lying == [[]] * len(lying)


def test_rename_of_a_tree_into_the_place_of_the_one_above(tmp_path: Path) -> None:
    """a/a becomes a and a/a/a becomes a/a: each directory takes a name that another one has just left."""

    def prepare(home: MailHome) -> None:
        home.create("a/a/a")
        append(home, b"x", "a/a")
        append(home, b"y", "a/a/a")
        home.delete("a")

    template = made(tmp_path, prepare)
    found, lying = after_crashes(template, lambda home: home.rename("a/a", "a"))
    before, after = {"INBOX": [], "a/a": [b"x"], "a/a/a": [b"y"]}, {"INBOX": [], "a": [b"x"], "a/a": [b"y"]}
    assert all(state in (before, after) for state in found)
    assert (found[0], found[-1]) == (before, after)
    assert lying == [[]] * len(lying)


def test_rename_of_inbox_neither_loses_nor_doubles(tmp_path: Path) -> None:
    template = made(tmp_path, two_mails)
    found, _ = after_crashes(template, lambda home: home.rename("INBOX", "old"))
    whole = [b"one", b"two"]
    assert all(state in ({"INBOX": whole}, {"INBOX": whole, "old": []}, {"INBOX": [], "old": whole}) for state in found)
    assert found[-1] == {"INBOX": [], "old": whole}


# A move

MAILS = [f"Subject: {n}\r\n\r\n".encode() + b"z" * 100 * n for n in range(7)]


def move(path: Path) -> None:
    """A move as `proxy.migration` makes it, in two batches; the last message comes in pieces."""
    home = open_home(path)
    entries = home.ledger.entries()
    if not entries:
        listed = [Listed(n, f"u{n}", len(data)) for n, data in enumerate(MAILS, 1)]
        entries = home.ledger.record_listing(listed, (), hold_uids=True)
    owed = [entry for entry in entries if entry.outcome is Outcome.LISTED]
    landing = Landing(home.maildir, home.token, seen="headers", clock=lambda: NOW)
    landing.clear_leftovers(owed)
    for batch in (owed[:5], owed[5:]):  # five in one batch: they are synced together
        arrivals: list[Whole | Arriving] = []
        for entry in batch:
            data = MAILS[entry.position - 1]
            if entry.position < len(MAILS):
                arrivals.append((entry, data))
            else:
                arrivals += [Arriving(entry, [data[:50]]), Arriving(entry, [data[50:]], ended=True)]
        written = landing.write(arrivals)
        landing.settle(written)
        home.ledger.enter([message.landed for message in written])
    landing.close()
    home.close()


@pytest.mark.usefixtures("in_postgres")
def test_a_move_goes_on_at_the_last_barrier_in_postgres(tmp_path: Path) -> None:
    goes_on(tmp_path, first=True)


@pytest.mark.parametrize("first", [True, False])
def test_a_move_goes_on_at_the_last_barrier(tmp_path: Path, first: bool) -> None:
    goes_on(tmp_path, first=first)


def goes_on(tmp_path: Path, *, first: bool) -> None:
    template = made(tmp_path, *([] if first else [two_mails]))
    before = [] if first else [b"one", b"two"]
    stages = set()
    for path in every_crash(template, move):
        home = open_home(path)
        check_whole(home)
        there = list(bodies(home).values())
        stages.add(len(there) - len(before))
        assert there == before + MAILS[: len(there) - len(before)]
        assert home.ledger.sums().messages_done == len(there) - len(before)
        home.close()
        move(path)
        home = open_home(path)
        check_whole(home)
        assert list(bodies(home).values()) == before + MAILS
        assert [row.uidl for row in home.maildrop()][len(before) :] == [f"u{n}" for n in range(1, 8)]
        assert debris(home) == []
        home.close()
    assert stages == {0, 5, 7}


def test_pending_work_that_cannot_be_done_yet_is_done_before_anything_is_put_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory that could not be removed or renamed at once must not take new mail with it later."""
    from mailstore import delivery
    from mailstore.errors import StorageFailed

    def refused(*_: object) -> None:
        raise OSError(5, "Input/output error")

    home = open_home(tmp_path)
    home.create("a")
    append(home, b"old", "a")
    with monkeypatch.context() as patch:
        patch.setattr(delivery, "perform", refused)
        with pytest.raises(StorageFailed):
            home.delete("a")
        for again in (lambda: home.create("a"), lambda: append(home, b"x"), lambda: home.copy(1, [1], "INBOX")):
            with pytest.raises(StorageFailed):
                again()
    home.create("a")
    append(home, b"new", "a")
    append(home, b"inbox")
    with monkeypatch.context() as patch:
        patch.setattr(delivery, "perform", refused)
        with pytest.raises(StorageFailed):
            home.rename("a", "b")
        with pytest.raises(StorageFailed):
            append(home, b"newer", "b")
    append(home, b"newer", "b")
    home.close()
    home = open_home(tmp_path)
    assert list(bodies(home, "b").values()) == [b"new", b"newer"]
    assert folder_id(home, "b")
    check_whole(home)
    assert debris(home) == []
    home.close()


def awaiting_move(path: Path) -> None:
    """The same where the user is let in early: listed first, then headers, then the messages, one of which the user
    has marked meanwhile and one removed."""
    home = open_home(path)
    if not home.oncoming.complete():
        listed = [Listed(n, f"u{n}", len(data)) for n, data in enumerate(MAILS, 1)]
        if not home.ledger.entries():
            home.ledger.record_listing(listed, (), hold_uids=True)
        home.ledger.show(frozenset())
    if not home.oncoming.unwanted():
        home.remove([3])
    home.store_flags(INBOX_ID, [2], StoreMode.ADD, [FLAGGED, "work"])
    landing = Landing(home.maildir, home.token, seen="headers", clock=lambda: NOW)
    owed = [entry for entry in home.ledger.entries() if entry.outcome is Outcome.LISTED]
    landing.clear_leftovers(owed, home.oncoming.unwanted())
    noted = [noted_header(entry.id, MAILS[entry.position - 1], seen="headers", now=NOW) for entry in owed[2:]]
    home.oncoming.note([each for each in noted if each is not None])
    unwanted = [entry for entry in home.ledger.entries() if entry.id == 3]  # on its way when it was removed
    written = landing.write([(entry, MAILS[entry.position - 1]) for entry in owed[:3] + unwanted])
    landing.settle(written)
    home.enter([message.landed for message in written])
    landing.close()
    home.close()


def test_what_is_awaited_arrives_once_whenever_it_is_killed(tmp_path: Path) -> None:
    template = made(tmp_path)
    everything = {n: data for n, data in enumerate(MAILS, 1) if n != 3}
    for path in every_crash(template, awaiting_move):
        for _ in range(3):
            awaiting_move(path)
        home = open_home(path)
        assert {row.uid for row in rows(home)} == everything.keys()
        assert bodies(home) == everything
        assert {row.uid: row.flags for row in rows(home)}[2] == {FLAGGED, "work"}
        assert [row.uidl for row in home.maildrop()] == [f"u{n}" for n in everything]
        check_whole(home)
        assert debris(home) == []
        home.close()
