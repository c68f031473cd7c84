"""A tree of Maildirs carried to another layout: by rename, at any interruption, there and back."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mailstore import placing, rehashing
from mailstore.custody import InUse
from mailstore.errors import StorageFailed
from mailstore.mailbox_database import MailboxEngine
from mailstore.mailhome import MailHome, opened
from mailstore.mooring import CARRYING, MARKER, MailAway, Mooring, OtherLayout
from mailstore.placing import Carried, bring, parts
from mailstore.rehashing import PlaceOf, RehashRefused, Result, Way
from tests.mailstore.store_rig import append, bodies

OLD, NEW = "{domain}/{local}/Maildir", "{hash}/{domain}/{local}/Maildir"
FLAT = "{local}@{domain}"
NAMES = ("wang", "li", "zhao", "qian.sun", "3f")


def hash_of(local: str) -> str:
    """So that an account's directory is, in the old layout, one that others are spread to."""
    return {"wang": "3f/a1", "li": "3f/a2"}.get(local, "c4/12")


def place_of(top: Path, layout: str) -> PlaceOf:
    return lambda local, domain: top / layout.format(local=local, domain=domain, hash=hash_of(local))


class Tree:
    """Mailboxes in a tree."""

    def __init__(self, path: Path, layout: str = OLD) -> None:
        self.state, self.top = path / "state", path / "mail"
        self.state.mkdir()
        self.layout = layout
        self.mooring().hold()

    def mooring(self, layout: str | None = None, top: Path | None = None) -> Mooring:
        return Mooring(self.state, top or self.top, layout or self.layout, lambda: False)

    def fill(self, names: tuple[str, ...] = NAMES) -> None:
        for number, local in enumerate(names):
            maildir = place_of(self.top, self.layout)(local, "123.com")
            home = MailHome(MailboxEngine(), number + 1, maildir)
            append(home, f"Subject: of {local}\r\n\r\n".encode())
            home.lock_maildrop()
            home.close()

    def carry(
        self, layout: str, top: Path | None = None, names: tuple[str, ...] = NAMES, way: Way | None = None
    ) -> Result:
        mooring = self.mooring(layout, top)
        way = way or rehashing.find_way(mooring, None)
        assert way is not None
        accounts = [(local, "123.com") for local in (*names, "nobody")]

        def before(local: str, domain: str) -> Path:
            return Path(way.before.format(local=local, domain=domain, hash=hash_of(local)))

        return rehashing.rehash(mooring, way, accounts, before, place_of(top or self.top, layout))

    def begin(self, layout: str) -> None:
        """As `storage rehash` does, and no mailbox is carried yet."""
        mooring = self.mooring(layout)
        way = rehashing.find_way(mooring, None)
        assert way is not None
        assert rehashing.begin(mooring, way).served

    def open(self, local: str, layout: str) -> Path:
        """As a daemon does before it opens a mailbox; where that is."""
        coming, maildir = self.mooring(layout).coming_from(), place_of(self.top, layout)(local, "123.com")
        if coming:
            bring(self.top, place_of(self.top, coming)(local, "123.com"), maildir)
        return maildir

    def check(self, layout: str, top: Path | None = None, names: tuple[str, ...] = NAMES) -> None:
        """Everything is in its place, and nothing anywhere else."""
        top = top or self.top
        self.mooring(layout, top).hold()
        expected = {MARKER, CARRYING}
        for number, local in enumerate(names):
            maildir = place_of(top, layout)(local, "123.com")
            reports: list[str] = []
            home = MailHome(
                MailboxEngine(), number + 1, maildir, report=lambda event, reports=reports, **_: reports.append(event)
            )
            assert bodies(home) == {1: f"Subject: of {local}\r\n\r\n".encode()}
            home.close()
            assert reports == []
            expected |= {os.fspath((maildir.parent / name).relative_to(top)) for name in parts(maildir)}
        for place, inside, files in os.walk(top):
            if not any(Path(place).is_relative_to(top / each) for each in expected):
                assert {os.path.relpath(Path(place, name), top) for name in files} <= expected
                assert inside or files


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_there_and_back(tree: Tree) -> None:
    tree.fill()
    moved = tree.carry(NEW)
    assert (moved.count, moved.failed) == ({Carried.CARRIED: len(NAMES), Carried.NOTHING: 1}, {})
    tree.check(NEW)
    assert rehashing.find_way(tree.mooring(NEW), None) is None
    tree.carry(OLD)
    tree.check(OLD)


@pytest.mark.parametrize("many", [1_000, 2])
def test_where_mailboxes_lie_beside_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: int) -> None:
    """Also where so many do that they are listed once."""
    monkeypatch.setattr(placing, "_MANY", many)
    tree = Tree(tmp_path, "{local}/Maildir")
    tree.fill()
    tree.carry("{hash}/{local}/Maildir")  # 3f/Maildir to c4/12/3f/Maildir, while 3f/a1/wang is there
    tree.check("{hash}/{local}/Maildir")
    tree.carry(FLAT)
    tree.check(FLAT)
    tree.carry("{local}/Maildir")
    tree.check("{local}/Maildir")


def test_the_parts_of_one_mailbox_are_not_another_s(tmp_path: Path) -> None:
    for name in ("w", "w.db", "w.db-wal", "w.db.record", "w.pop3", "w.db.corrupt-1", "w.dbx", "w.li", "w@x", "x"):
        (tmp_path / name).touch()
    (tmp_path / "w.db.d").mkdir()
    assert parts(tmp_path / "w") == ["w", "w.db", "w.db-wal", "w.db.corrupt-1", "w.db.record", "w.pop3"]
    assert parts(tmp_path / "none" / "w") == []


def test_to_another_top(tree: Tree, tmp_path: Path) -> None:
    tree.fill()
    with pytest.raises(OtherLayout, match="mailferry storage rehash"):
        tree.mooring(FLAT, tmp_path / "new").hold()
    tree.carry(FLAT, tmp_path / "new")
    tree.check(FLAT, tmp_path / "new")
    assert list(tree.top.iterdir()) == []


def test_what_would_be_done_is_only_told(tree: Tree) -> None:
    tree.fill()
    before = sorted(tree.top.rglob("*"))
    accounts = [(local, "123.com") for local in (*NAMES, "nobody")]
    result = rehashing.would(accounts, place_of(tree.top, OLD), place_of(tree.top, NEW))
    assert result.count == {Carried.CARRIED: len(NAMES), Carried.NOTHING: 1}
    assert sorted(tree.top.rglob("*")) == before
    tree.mooring().hold()


class Killed(BaseException):
    """The process ended here."""


@pytest.fixture
def killed_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Have the so-many-th step that changes the disk be the last one before the end."""
    steps = {"left": -1}

    def guarded(name: str) -> None:
        call = getattr(os, name)

        def instead(*arguments: object, **named: object) -> object:
            if steps["left"] == 0:
                raise Killed
            steps["left"] -= 1
            return call(*arguments, **named)

        monkeypatch.setattr(os, name, instead)

    for name in ("rename", "mkdir", "rmdir", "unlink", "fsync"):
        guarded(name)
    yield lambda count: steps.update(left=count)
    monkeypatch.undo()


@pytest.mark.parametrize(("old", "new"), [(OLD, NEW), (FLAT, NEW), ("{local}/Maildir", "{hash}/{local}/Maildir")])
def test_it_goes_on_after_any_kill(tmp_path: Path, killed_at: Callable[[int], None], old: str, new: str) -> None:
    """It is ended at every step in turn; until it is done nobody is let in with the places of before."""
    tree = Tree(tmp_path, old)
    names = ("wang", "3f")
    tree.fill(names)
    rounds = 0
    while True:
        killed_at(rounds % 13)  # not one further each time: it is to be killed in what it goes on with, too
        try:
            tree.carry(new, names=names)
        except Killed:
            rounds += 1
            killed_at(-1)
            if rehashing.find_way(tree.mooring(new), None) is None:
                break
            begun = tree.mooring(new).tree()
            with pytest.raises(OtherLayout):
                tree.mooring(old if begun is not None and begun.carried_to else new).hold()
        else:
            break
    killed_at(-1)
    assert rounds > 5
    for debris in tree.top.glob(f"{MARKER}.*"):
        debris.unlink()  # of a last write that was whole, and was ended behind that
    tree.check(new, names=names)


def test_what_somebody_left_who_was_ended_goes_and_what_others_are_writing_stays(tree: Tree) -> None:
    tree.fill()
    left = [tree.top / f"{MARKER}.0123456789ab", tree.state / "maildirs.json.0123456789ab"]
    being_written = [tree.top / f"{MARKER}.ba9876543210", tree.state / "maildirs.json.ba9876543210"]
    for path in left + being_written:
        path.touch()
    for path in left:
        os.utime(path, (1, 1))
    tree.carry(NEW)
    assert [path.exists() for path in left + being_written] == [False, False, True, True]
    for path in being_written:
        path.unlink()
    tree.check(NEW)


def test_half_way_and_back_again(tree: Tree, killed_at: Callable[[int], None]) -> None:
    tree.fill()
    killed_at(12)
    with pytest.raises(Killed):
        tree.carry(NEW)
    killed_at(-1)
    with pytest.raises(OtherLayout, match="being carried"):
        tree.mooring(OLD).hold()
    with pytest.raises(RehashRefused, match="to one of the two first"):
        tree.carry(FLAT)
    tree.carry(OLD)
    tree.check(OLD)


# While users are served


@pytest.mark.parametrize("old", [OLD, FLAT])
def test_who_comes_first_has_his_mailbox_carried(tmp_path: Path, old: str) -> None:
    tree = Tree(tmp_path, old)
    tree.fill()
    tree.begin(NEW)
    with pytest.raises(OtherLayout, match="being carried"):
        tree.mooring(old).hold()
    for local in ("wang", "3f", "newcomer", "wang"):
        maildir = tree.open(local, NEW)
        assert maildir.is_dir() is (local != "newcomer")
        assert parts(place_of(tree.top, old)(local, "123.com")) == []
    home = MailHome(MailboxEngine(), 1, tree.open("wang", NEW))
    arrived = append(home, b"Subject: meanwhile\r\n\r\n")
    result = tree.carry(NEW)  # and he has it open
    assert result.count == {Carried.CARRIED: len(NAMES) - 2, Carried.THERE: 2, Carried.NOTHING: 1}
    home.remove([arrived])
    home.close()
    tree.check(NEW)
    assert tree.mooring(NEW).coming_from() == ""


def test_a_mailbox_that_somebody_has_open_is_carried_later(tree: Tree) -> None:
    """A command that began before."""
    tree.fill()
    with opened(MailboxEngine(), 1, place_of(tree.top, OLD)("wang", "123.com")):
        result = tree.carry(NEW)
        assert list(result.failed) == ["wang@123.com"]
        assert "has a session" in result.failed["wang@123.com"]
        with pytest.raises(InUse):
            tree.open("wang", NEW)
    assert tree.open("wang", NEW).is_dir()
    assert tree.carry(NEW).failed == {}
    tree.check(NEW)


def test_all_at_once(tree: Tree) -> None:
    """Two that carry all of them, and users who come meanwhile."""
    names = tuple(f"u{number}" for number in range(40))
    tree.fill(names)
    tree.begin(NEW)
    way = rehashing.find_way(tree.mooring(NEW), None)
    together = threading.Barrier(4, timeout=60)

    def carry() -> Result:
        together.wait()
        return tree.carry(NEW, names=names, way=way)

    def come(turn: int) -> None:
        together.wait()
        for local in names[::turn]:
            assert (tree.open(local, NEW) / "cur").is_dir()

    with ThreadPoolExecutor(4) as threads:
        carriers = [threads.submit(carry) for _ in range(2)]
        users = [threads.submit(come, turn) for turn in (1, -1)]
        assert [each.result().failed for each in carriers] == [{}, {}]
        assert [each.result() for each in users] == [None, None]
    tree.check(NEW, names=names)


def test_back_again_while_users_are_served(tree: Tree, killed_at: Callable[[int], None]) -> None:
    tree.fill()
    killed_at(30)
    with pytest.raises(Killed):
        tree.carry(NEW)
    killed_at(-1)
    tree.open("qian.sun", NEW)
    tree.begin(OLD)
    with pytest.raises(OtherLayout, match="being carried"):
        tree.mooring(NEW).hold()
    for local in ("qian.sun", "wang"):
        assert tree.open(local, OLD).is_dir()
    tree.carry(OLD)
    tree.check(OLD)


def test_a_mailbox_that_is_in_both_places_is_left_alone(tree: Tree) -> None:
    tree.fill()
    double = place_of(tree.top, NEW)("li", "123.com")
    (double / "cur").mkdir(parents=True)
    told = tree.carry(NEW)
    assert list(told.failed) == ["li@123.com"]
    assert "look which is right" in told.failed["li@123.com"]
    assert (place_of(tree.top, OLD)("li", "123.com") / "cur").is_dir()
    with pytest.raises(StorageFailed, match="look which is right"):
        tree.open("li", NEW)
    with pytest.raises(OtherLayout, match="being carried"):
        tree.mooring(NEW).look()
    (double / "cur").rmdir()
    double.rmdir()
    assert tree.carry(NEW).failed == {}
    tree.check(NEW)


def test_a_tree_that_is_away_is_not_carried(tree: Tree) -> None:
    tree.fill()
    tree.top.rename(tree.top.with_name("elsewhere"))
    tree.top.mkdir()
    with pytest.raises(RehashRefused, match="is its disk mounted"):
        tree.carry(NEW)
    with pytest.raises(MailAway):
        tree.mooring(OLD).hold()


def test_where_nothing_notes_where_the_mail_lies(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.fill()
    (tree.top / MARKER).unlink()
    (tree.state / "maildirs.json").unlink()
    with pytest.raises(RehashRefused, match="--from TEMPLATE"):
        tree.carry(NEW)
    way = rehashing.find_way(tree.mooring(NEW), f"{tree.top}/{OLD}")
    assert way is not None
    assert (way.top, way.tree.layout, way.now) == (tree.top, OLD, f"{tree.top}/{NEW}")


def test_file_systems_that_cannot_rename_to_each_other(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    mooring = tree.mooring(FLAT, Path("/proc/self/new"))
    way = rehashing.find_way(mooring, None)
    assert way is None or way.top == tree.top
    if way is not None:
        with pytest.raises(RehashRefused, match="rsync -aH"):
            rehashing.see_to_one_disk(way, mooring)


def test_a_disk_that_refuses_one_mailbox_keeps_the_others(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    tree.fill()
    rename = os.rename

    def refusing(source: str | Path, target: str | Path, **named: int) -> None:
        if "zhao" in os.fspath(source):
            raise OSError(116, "Stale file handle")
        rename(source, target, **named)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", refusing)
        told = tree.carry(NEW)
    assert told.failed == {"zhao@123.com": "the disk refused: Stale file handle"}
    assert tree.carry(NEW).count == {Carried.CARRIED: 1, Carried.THERE: len(NAMES) - 1, Carried.NOTHING: 1}
    tree.check(NEW)
    assert issubclass(RehashRefused, Exception) and not issubclass(RehashRefused, StorageFailed)
