"""The disk is full, or read-only, at each step of each operation: it is refused or done, nothing is half there, reading
goes on, and when there is room again everything works as before, without a restart."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from mailstore.entries import Listed
from mailstore.errors import MailstoreError
from mailstore.index import folders
from mailstore.index.folders import INBOX_ID
from mailstore.index.rows import DELETED, FLAGGED, SEEN, HandedIn, StoreMode
from mailstore.landing import Landing
from mailstore.mailhome import MailHome
from tests.mailstore.refusing import FULL, READ_ONLY, refusing
from tests.mailstore.store_rig import (
    ACCOUNT,
    NOW,
    append,
    bodies,
    check_whole,
    directory_in_memory,
    names,
    open_descriptors,
    open_home,
    put_in_place,
    rows,
)

MOST = 60
ALL_OR_NONE = {"append", "copy", "keywords"}
Contents = dict[str, list[tuple[bytes, frozenset[str]]]]


def contents(home: MailHome) -> Contents:
    return {
        name: [(body, row.flags) for body, row in zip(bodies(home, name).values(), rows(home, name), strict=True)]
        for name in names(home)
    }


def land(home: MailHome) -> None:
    """A move of one batch."""
    entries = [entry for entry in home.ledger.entries() if entry.outcome == "listed"]
    if not home.ledger.entries():
        entries = home.ledger.record_listing([Listed(n, f"u{n}", 3) for n in (1, 2, 3, 4, 5, 6)], (), hold_uids=False)
    landing = Landing(home.maildir, home.token, seen="headers", clock=lambda: NOW)
    try:
        landing.clear_leftovers(entries)
        written = landing.write([(entry, b"old") for entry in entries])
        landing.settle(written)
        home.enter([each.landed for each in written])
    finally:
        landing.close()


def handed_in(home: MailHome) -> None:
    messages = [HandedIn(io.BytesIO(body), frozenset({SEEN}), NOW) for body in (b"four", b"five")]
    home.append_many("a", messages, replacing=(INBOX_ID, 1))


OPERATIONS: dict[str, Callable[[MailHome], object]] = {
    "append": lambda home: append(home, b"new" * 1000, flags=[FLAGGED]),
    "append many, replacing": handed_in,
    "copy": lambda home: home.copy(INBOX_ID, [1, 2], "a"),
    "move": lambda home: home.move(INBOX_ID, [1, 2], "a"),
    "flags": lambda home: home.store_flags(INBOX_ID, [1], StoreMode.ADD, [FLAGGED]),
    "keywords": lambda home: home.store_flags(INBOX_ID, [1, 2], StoreMode.ADD, ["$Work"]),
    "expunge": lambda home: home.expunge(INBOX_ID),
    "create": lambda home: home.create("b/c"),
    "delete": lambda home: home.delete("a"),
    "rename": lambda home: home.rename("a", "b"),
    "subscribe": lambda home: home.subscribe("a"),
    "annotate": lambda home: home.annotations.change("a", {"/private/comment": b"x"}),
    "land": land,
}


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with directory_in_memory() as path:
        yield path


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("full") / "store"
    path.mkdir()
    home = open_home(path)
    append(home, b"one")
    append(home, b"two", flags=[SEEN])
    append(home, b"three", flags=[DELETED])
    home.create("a")
    append(home, b"in a", "a")
    home.close()
    return path


@pytest.mark.parametrize("reason", [FULL, READ_ONLY], ids=["full", "read-only"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_done_or_refused(template: Path, tmp_path: Path, name: str, reason: int) -> None:
    operation = OPERATIONS[name]
    refusals = 0
    states: list[Contents] = []
    for step in range(1, MOST):
        path = tmp_path / str(step)
        put_in_place(template, path)
        home = open_home(path)
        before = contents(home)
        descriptors = open_descriptors(path)
        done = False
        with refusing(step, reason) as steps:
            try:
                operation(home)
                done = True
            except MailstoreError:
                refusals += 1
            if name != "rename":  # its directories follow when there is room again
                states.append(contents(home))  # whatever the disk does, what is there is read
        assert open_descriptors(path) == descriptors
        if not done and name in ALL_OR_NONE:
            assert states[-1] == before
        append(home, b"afterwards")  # there is room again: what could not be worked off is, by the next opening at last
        with_room = contents(home)
        home.close()
        home = open_home(path)
        assert contents(home) == with_room
        if name == "flags":  # a name that was changed already counts as another program's doing
            home.reconcile()
        check_whole(home)
        home.close()
        if not steps.refused:
            assert done and refusals
            assert all(state in (before, states[-1]) for state in states)  # nothing in between
            return
        shutil.rmtree(path)
    raise AssertionError("there is no end to the steps")


@pytest.mark.parametrize("reason", [FULL, READ_ONLY], ids=["full", "read-only"])
def test_it_opens_and_is_read(template: Path, tmp_path: Path, reason: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With work that was left to do, which has to wait."""
    path = tmp_path / "account"
    put_in_place(template, path)
    passing = path / "Maildir" / "tmp" / "1.dead.host"
    passing.touch()
    os.utime(passing, (0, 0))
    home = open_home(path)
    with home._database.write() as connection:
        folders.add_pending(connection, ACCOUNT, [("remove", "cur/gone", ""), ("rename", ".x", ".y")])
    home.close()
    if reason == READ_ONLY:
        monkeypatch.setattr(os, "statvfs", lambda _path: SimpleNamespace(f_flag=os.ST_RDONLY))
    passing.touch()
    os.utime(passing, (0, 0))
    with refusing(1, reason):
        home = open_home(path)
        home.reconcile()
        assert list(home.select("INBOX", writable=True).uids) == [1, 2, 3]
        assert list(bodies(home).values()) == [b"one", b"two", b"three"]
        assert len(home.facts(INBOX_ID, [1, 2, 3])) == 3
        assert home.status("INBOX").messages == 3
        with pytest.raises(MailstoreError):
            append(home, b"new")
        home.close()
