"""The Maildir on disk: directories, their modes, what is swept, and files that other programs renamed."""

from __future__ import annotations

import ctypes
import os
import stat
import time
from pathlib import Path

import pytest

from mailstore import barrier
from mailstore import maildir as module
from mailstore.errors import MessageLost
from mailstore.index.rows import ANSWERED, DELETED, FLAGGED, SEEN
from mailstore.maildir import Maildir, sync_files


@pytest.fixture
def maildir(tmp_path: Path) -> Maildir:
    made = Maildir(tmp_path / "mail" / "123.com" / "ann" / "Maildir")
    made.make()
    return made


def put(maildir: Maildir, name: str, sub: str = "cur", directory: str = "", data: bytes = b"x") -> Path:
    path = maildir.folder(directory) / sub / name
    path.write_bytes(data)
    return path


def listing(maildir: Maildir, where: str = "cur") -> list[str]:
    return sorted(path.name for path in (maildir.root / where).iterdir())


def test_all_that_is_made_is_the_owners_alone(tmp_path: Path, maildir: Maildir) -> None:
    maildir.make(".a")
    made = [path for path in tmp_path.rglob("*") if path.name != "maildirfolder"]
    assert len(made) == 4 + 3 + 4
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o700}
    assert stat.S_IMODE((maildir.root / ".a" / "maildirfolder").stat().st_mode) == 0o600
    assert not (maildir.root / "maildirfolder").exists()  # Maildir++: the INBOX is none


def test_what_is_missing_is_made_again(maildir: Maildir) -> None:
    (maildir.root / "tmp").rmdir()
    put(maildir, "1.x:2,")
    maildir.make()
    maildir.make()
    assert (maildir.root / "tmp").is_dir()
    assert (maildir.root / "cur" / "1.x:2,").exists()


@pytest.mark.parametrize("at_once", [True, False])
def test_new_directories_are_brought_to_stable_storage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    synced: list[Path] = []

    def whole_file_system(_descriptor: int) -> bool:
        if at_once:
            synced.extend([tmp_path, *tmp_path.rglob("*")])
        return at_once

    monkeypatch.setattr(module, "sync_directory", synced.append)
    monkeypatch.setattr(module, "sync_file_system", whole_file_system)
    root = tmp_path / "a" / "b" / "Maildir"
    Maildir(root).make()
    assert set(synced) >= {root, root.parent, root.parent.parent, tmp_path}
    synced.clear()
    Maildir(root).make()
    assert synced == []


def test_sweep_removes_what_died_long_ago(maildir: Maildir) -> None:
    old = time.time() - 37 * 3600
    maildir.make(".a")
    gone = [put(maildir, "1.dead", "tmp"), put(maildir, "1.dead", "tmp", ".a")]
    kept = [put(maildir, "2.alive", "tmp"), put(maildir, "3.old:2,", "cur"), put(maildir, "4.old", "new")]
    directory = maildir.root / "tmp" / "strange"
    directory.mkdir()
    link = maildir.root / "tmp" / "link"
    link.symlink_to("nowhere")
    for path in (*gone, *kept[1:], directory):
        os.utime(path, (old, old))
    os.utime(link, (old, old), follow_symlinks=False)
    maildir.sweep()
    maildir.sweep(".a")
    maildir.sweep(".missing")
    assert [path.exists() for path in gone] == [False, False]
    assert all(path.exists() for path in kept)
    assert directory.is_dir()
    assert not link.is_symlink()


def contents(fd: int) -> bytes:
    try:
        return os.read(fd, 100)
    finally:
        os.close(fd)


def test_a_message_is_found_whatever_others_did_to_its_name(maildir: Maildir) -> None:
    put(maildir, "1.here:2,S", data=b"here")
    put(maildir, "2.flagged:2,FST", data=b"flagged")
    put(maildir, "3.new", "new", data=b"new")
    put(maildir, "44.longer:2,S", data=b"another")
    assert contents(maildir.open("", "1.here", [SEEN])) == b"here"
    assert contents(maildir.open("", "2.flagged", [SEEN])) == b"flagged"
    assert contents(maildir.open("", "3.new", [])) == b"new"
    for lost in ("4.lost", "44.long", "", "1.here:2,S"):
        with pytest.raises(MessageLost):
            maildir.open("", lost, [])
    with pytest.raises(MessageLost):
        maildir.open(".no.folder", "1.here", [SEEN])


def test_a_file_that_vanishes_between_two_looks_is_lost(maildir: Maildir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maildir, "find", lambda *_: maildir.root / "cur" / "1.gone:2,F")
    with pytest.raises(MessageLost):
        maildir.open("", "1.gone", [])


def test_flags_are_put_into_the_name(maildir: Maildir) -> None:
    put(maildir, "1.a:2,S")
    given = frozenset({SEEN, DELETED, "Work"})
    assert maildir.rename_flags("", "1.a", frozenset({SEEN}), lambda old: old | given) == given
    assert listing(maildir) == ["1.a:2,ST"]
    assert maildir.rename_flags("", "1.a", given, lambda old: old - {"Work"}) == {SEEN, DELETED}
    assert maildir.rename_flags("", "2.missing", frozenset(), lambda old: old | {SEEN}) == {SEEN}
    assert listing(maildir) == ["1.a:2,ST"]


def test_flags_that_another_program_put_into_the_name_stay(maildir: Maildir) -> None:
    put(maildir, "1.a:2,ST")  # its flags were {FLAGGED, "Work"}
    after = maildir.rename_flags("", "1.a", frozenset({FLAGGED, "Work"}), lambda old: (old | {ANSWERED}) - {DELETED})
    assert after == {ANSWERED, SEEN, "Work"}
    assert listing(maildir) == ["1.a:2,RS"]
    put(maildir, "3.new", "new")
    assert maildir.rename_flags("", "3.new", frozenset({SEEN}), lambda old: old | {FLAGGED}) == {FLAGGED}
    assert listing(maildir) == ["1.a:2,RS", "3.new:2,F"]


def test_removal_takes_files_that_were_renamed_and_no_others(maildir: Maildir) -> None:
    maildir.make(".a")
    for name in ("1.a:2,", "2.b:2,FS", "3.c:2,", "33.c:2,"):
        put(maildir, name)
        put(maildir, name, directory=".a")
    put(maildir, "4.d", "new", ".a")
    maildir.remove(["cur/1.a:2,", "cur/2.b:2,", "cur/9.gone:2,", ".a/cur/3.c:2,S", ".a/cur/4.d:2,", ".z/cur/1.a:2,"])
    maildir.remove([])
    assert listing(maildir) == ["3.c:2,", "33.c:2,"]
    assert listing(maildir, ".a/cur") == ["1.a:2,", "2.b:2,FS", "33.c:2,"]
    assert listing(maildir, ".a/new") == []


# The barrier


class Libc:
    """syncfs as this test wants it."""

    def __init__(self, result: int) -> None:
        self.result = result
        self.asked = 0

    def __call__(self, fd: int) -> int:
        os.fstat(fd)
        self.asked += 1
        return self.result


@pytest.mark.parametrize(
    ("count", "errno", "syncfs", "fsyncs"), [(3, 0, 0, 3), (4, 0, 0, 4), (5, 0, 1, 0), (5, 38, 1, 5)]
)
def test_many_files_are_synced_at_once(
    maildir: Maildir, monkeypatch: pytest.MonkeyPatch, count: int, errno: int, syncfs: int, fsyncs: int
) -> None:
    call = Libc(-1 if errno else 0)
    monkeypatch.setattr(barrier, "_syncfs", call)
    monkeypatch.setattr(ctypes, "get_errno", lambda: errno)
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    names = [put(maildir, str(n), "tmp").name for n in range(count)]
    fd = os.open(maildir.root / "tmp", os.O_RDONLY)
    sync_files(fd, names)
    os.close(fd)
    assert (call.asked, len(synced)) == (syncfs, fsyncs)


def test_what_could_not_be_written_is_an_error(maildir: Maildir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(barrier, "_syncfs", Libc(-1))
    monkeypatch.setattr(ctypes, "get_errno", lambda: 28)
    fd = os.open(maildir.root / "tmp", os.O_RDONLY)
    with pytest.raises(OSError, match="No space left"):
        sync_files(fd, ["x"] * 5)
    with pytest.raises(FileNotFoundError):
        sync_files(fd, ["x"])
    os.close(fd)
