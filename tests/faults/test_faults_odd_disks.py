"""`mailferry check --storage` on disks that would not do: each is told in one clear line, with what to do."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from mailstore.errors import StorageFailed
from mailstore.file_systems import FileSystem, Kind
from mailstore.mooring import MARKER, Mooring
from proxy.cli.checks.finding import Finding
from proxy.cli.checks.storage import durable, mounted
from proxy.cli.checks.storage.whole import all_of
from tests.faults import fusing, loops
from tests.proxy.migration.scripted import in_memory

NOBODY = 65_534


def told(directory: Path) -> dict[str, Finding]:
    """By subject. Nothing is left behind."""
    before = sorted(directory.iterdir())
    found = all_of(directory).findings
    assert sorted(directory.iterdir()) == before
    return {each.subject: each for each in found}


def failures(directory: Path) -> dict[str, Finding]:
    return {subject: found for subject, found in told(directory).items() if found.result == "fail"}


@pytest.fixture(autouse=True)
def briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    """How fast a disk is is of no interest here."""
    monkeypatch.setattr(durable, "EACH", 0.02)


@pytest.fixture(scope="module")
def fused() -> Iterator[fusing.Fused]:
    with tempfile.TemporaryDirectory(dir=in_memory()) as directory, fusing.mounted(Path(directory)) as made:
        yield made


@pytest.fixture(scope="module")
def image() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=in_memory()) as directory:
        loops.make_image(path := Path(directory) / "image", 4 * loops.MIB)
        yield path


@contextmanager
def full(directory: Path) -> Iterator[None]:
    path = directory / "filling"
    with path.open("wb", buffering=0) as filling, suppress(OSError):
        while filling.write(b"x" * 4_096):
            pass
    yield
    path.unlink()


def test_names_with_a_colon_are_refused(fused: fusing.Fused, tmp_path: Path) -> None:
    with fused.refusing(errno.EINVAL, ":"):
        found = failures(fused.place)
        assert list(found) == ["names"]
        assert "FAT never" in found["names"].remedy
        with pytest.raises(StorageFailed, match="cannot have Maildirs' names"):
            Mooring(tmp_path, fused.place, "{local}/Maildir", lambda: False).hold()
    assert list(fused.behind.iterdir()) == []  # no mail is begun there


def test_upper_and_lower_case_are_the_same(fused: fusing.Fused) -> None:
    with fused.refusing(0, "A"):
        assert "do not use it" in failures(fused.place)["case"].remedy


@pytest.mark.parametrize("code", [errno.ENOTCONN, errno.ESTALE, errno.ENOSPC], ids=errno.errorcode.get)
def test_what_every_trial_would_say_is_said_once(fused: fusing.Fused, code: int) -> None:
    with fused.refusing(code, "write"):
        (found,) = failures(fused.place).values()
    assert (found.subject, found.text) == ("fsync", f"refused: {os.strerror(code)}")
    assert ("make room" in found.remedy) == (code == errno.ENOSPC)


def test_a_full_disk(image: Path, tmp_path: Path) -> None:
    with loops.mounted(image, tmp_path / "disk") as disk, full(disk):
        found = failures(disk)
    assert "the disk is full" in found["room"].text
    (other,) = (each for subject, each in found.items() if subject != "room")
    assert other.remedy.startswith("make room for the mailboxes")


def test_one_that_may_not_be_written(image: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    loops.mount(["-o", "loop,ro,noexec", str(image), str(disk)])
    try:
        found = told(disk)
    finally:
        loops.unmount(disk)
    assert found["mount option noexec"].result == "ok"
    for subject in ("mount option ro", "directory"):
        assert (found[subject].result, "mount it rw" in found[subject].text + found[subject].remedy) == ("fail", True)


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone becomes somebody else")
def test_one_of_somebody_else(tmp_path: Path) -> None:
    place = tmp_path / "others"
    place.mkdir(mode=0o755)
    for above in (tmp_path, *tmp_path.parents):
        if above != Path(tempfile.gettempdir()) and above.is_relative_to(tempfile.gettempdir()):
            above.chmod(0o755)
    os.seteuid(NOBODY)
    try:
        (found,) = failures(place).values()
    finally:
        os.seteuid(0)
    assert (found.subject, found.text) == ("directory", "nothing can be made in it: Permission denied")
    assert "run it as the user of serve" in found.remedy


def test_memory_keeps_nothing(tmp_path: Path) -> None:
    with loops.small_memory(tmp_path / "memory", 80 * loops.MIB) as place:
        found = failures(place)
    assert list(found) == ["stable storage"]
    assert "lost with the next restart" in found["stable storage"].remedy


def test_what_lies_over_another(tmp_path: Path) -> None:
    with loops.small_memory(tmp_path / "memory", 80 * loops.MIB) as memory:  # its upper directory is on another disk
        lower, upper, work, place = (memory / name for name in ("lower", "upper", "work", "place"))
        for each in (lower, upper, work, place):
            each.mkdir()
        loops.mount(["-t", "overlay", "-o", f"lowerdir={lower},upperdir={upper},workdir={work}", "overlay", str(place)])
        try:
            found = told(place)
        finally:
            loops.unmount(place)
    assert (found["type overlay"].result, "mount a volume" in found["type overlay"].remedy) == ("warn", True)


@pytest.mark.parametrize("kind", ["vfat", "msdos", "exfat", "fuse.exfat"])
def test_fat_is_refused_by_its_name(kind: str) -> None:
    about = FileSystem(kind, Kind.LOCAL, at_once=True, source="/dev/sdb1", place="/mnt", options=("rw",))
    (found,) = (each for each in mounted.of_mount(about) if each.result == "fail")
    assert "FAT cannot have Maildirs" in found.remedy
    assert MARKER not in found.text
