"""Which file system something is on, and how many files of it are brought to stable storage."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstore import barrier, copying, file_systems
from mailstore.barrier import TOGETHER, sync_each, sync_file_system
from mailstore.file_systems import Kind, at_once, file_system, of_the_server
from mailstore.maildir import sync_directory

NFS, FUSE, CIFS, CEPH, ODD = 0x6969, 0x65735546, 0xFF534D42, 0x00C36400, 0x12345678


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    opened = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield opened
    os.close(opened)


def pretend(monkeypatch: pytest.MonkeyPatch, magic: int) -> None:
    monkeypatch.setattr(file_systems, "_magic", lambda _descriptor: magic)


def test_what_the_kernel_says_of_it(tmp_path: Path) -> None:
    found = file_system(tmp_path)
    assert found.type and found.at_once and not found.elsewhere
    assert tmp_path.is_relative_to(found.place)
    assert "rw" in found.options
    with pytest.raises(FileNotFoundError):
        file_system(tmp_path / "no")


@pytest.mark.parametrize(
    ("magic", "kind", "whole"),
    [
        (NFS, Kind.NETWORK, False),
        (CIFS, Kind.NETWORK, False),
        (CEPH, Kind.NETWORK, False),
        (FUSE, Kind.FUSE, False),
        (0xEF53, Kind.LOCAL, True),
        (0x01161970, Kind.CLUSTER, True),
        (0x01021994, Kind.MEMORY, True),
    ],
)
def test_where_syncfs_says_something(
    tmp_path: Path, descriptor: int, monkeypatch: pytest.MonkeyPatch, magic: int, kind: Kind, whole: bool
) -> None:
    pretend(monkeypatch, magic)
    found = file_system(tmp_path)
    assert (found.kind, found.at_once, at_once(descriptor)) == (kind, whole, whole)
    assert sync_file_system(descriptor) is whole


def test_one_that_is_not_known_is_the_kernel_s_if_it_is_on_a_disk(
    descriptor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, ODD)
    for major in (0, 8):
        monkeypatch.setattr(os, "major", lambda _device, major=major: major)
        assert at_once(descriptor) is bool(major)


def test_several_are_synced_at_a_time_where_a_server_is_asked(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each waits for as many others as may be under way; alone none would end."""
    pretend(monkeypatch, NFS)
    together = threading.Barrier(TOGETHER, timeout=60)
    done: list[int] = []

    def sync(item: int) -> None:
        together.wait()
        done.append(item)

    sync_each(sync, range(TOGETHER * 3), descriptor)
    assert sorted(done) == list(range(TOGETHER * 3))


def test_one_by_one_on_a_disk(descriptor: int) -> None:
    threads: list[int] = []
    sync_each(lambda _item: threads.append(threading.get_ident()), range(20), descriptor)
    assert set(threads) == {threading.get_ident()}


@pytest.mark.parametrize("magic", [NFS, 0xEF53])
def test_what_is_refused_is_raised_when_none_is_under_way(
    descriptor: int, monkeypatch: pytest.MonkeyPatch, magic: int
) -> None:
    pretend(monkeypatch, magic)
    under_way: list[int] = []

    def sync(item: int) -> None:
        under_way.append(item)
        try:
            if item == 5:
                raise OSError(errno.EIO, "Input/output error")
        finally:
            under_way.remove(item)

    with pytest.raises(OSError, match="Input/output error"):
        sync_each(sync, range(50), descriptor)
    assert under_way == []


def test_directories_that_have_nothing_to_be_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of CIFS: fsync(2) says EINVAL."""

    def refuse(code: int) -> None:
        def fsync(_descriptor: int) -> None:
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(os, "fsync", fsync)

    refuse(errno.EINVAL)
    sync_directory(tmp_path)
    refuse(errno.EIO)
    with pytest.raises(OSError, match="Input/output error"):
        sync_directory(tmp_path)


def test_a_whole_tree_of_a_server_is_synced_file_by_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for name in ("1", "a/2", "a/b/3"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    pretend(monkeypatch, CIFS)
    synced: list[str] = []

    def fsync(descriptor: int) -> None:
        synced.append(os.path.relpath(Path(f"/proc/self/fd/{descriptor}").readlink(), tmp_path))

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "sync", lambda: pytest.fail("everything of this machine"))
    copying.sync_all(tmp_path)
    assert sorted(synced) == [".", "1", "a", "a/2", "a/b", "a/b/3"]
    assert synced.index("a/b/3") < synced.index("a/b") < synced.index("a") < synced.index(".")


def test_whose_fault_it_is(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, stale = OSError(errno.EIO, "x"), OSError(errno.ESTALE, "x")
    assert not of_the_server(broken, descriptor)
    assert of_the_server(stale, descriptor)
    assert of_the_server(broken, -1)  # it does not even say what it is
    pretend(monkeypatch, NFS)
    assert of_the_server(broken, descriptor)
    assert not of_the_server(OSError(errno.EFBIG, "x"), descriptor)
    assert barrier.sync_file_system(descriptor) is False
