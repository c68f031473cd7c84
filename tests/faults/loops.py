"""Filesystems in files, for who may mount: small ones, and ones that can be cut off in the midst of what they do."""

from __future__ import annotations

import filecmp
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.ferrying import LONG
from tests.legacy.dovecot import select_nothing
from tests.peers.needs import needed

MIB = 1024 * 1024
_FORMAT = ["-q", "-F", "-m", "0", "-b", "1024", "-E", "lazy_itable_init=0,lazy_journal_init=0"]


def make_image(image: Path, octets: int, *, journal: bool = True) -> None:
    """An ext4 in a file."""
    with image.open("wb") as file:
        file.truncate(octets)
    features = [] if journal else ["-O", "^has_journal"]
    _run(needed("mkfs.ext4"), *_FORMAT, *features, str(image))


@contextmanager
def mounted(image: Path, where: Path, *, journal: bool = True) -> Iterator[Path]:
    """Nothing reaches the file behind it but what somebody waits for: the journal is not written by itself every few
    seconds. Skips the test where one may not mount."""
    where.mkdir(exist_ok=True)
    mount(["-o", "loop,noatime" + (",commit=300" if journal else ""), str(image), str(where)])
    try:
        yield where
    finally:
        _take_away(where)


@contextmanager
def small_memory(where: Path, octets: int) -> Iterator[Path]:
    """A tmpfs of so many octets."""
    where.mkdir(exist_ok=True)
    mount(["-t", "tmpfs", "-o", f"size={octets}", "tmpfs", str(where)])
    try:
        yield where
    finally:
        _take_away(where)


def _take_away(where: Path) -> None:
    """A daemon's other processes let go of their files a moment after it is gone."""
    until = time.monotonic() + LONG
    while True:
        try:
            _run("umount", str(where))
        except subprocess.CalledProcessError as error:
            if b"busy" not in error.stderr or time.monotonic() > until:
                raise
            select_nothing(0.05)
        else:
            return


def bind(behind: Path, where: Path) -> None:
    """Have a directory appear in another place, until it is unmounted."""
    mount(["--bind", str(behind), str(where)])


def unmount(where: Path) -> None:
    """Also while somebody has files of it open."""
    _run("umount", "--lazy", str(where))


def mount(arguments: list[str]) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode and any(word in done.stderr for word in ("permission", "superuser", "loop device")):
        pytest.skip("this machine does not let its user mount")
    assert done.returncode == 0, done.stderr


def cut_off(image: Path, copy: Path) -> None:
    """What a machine that loses its power at this moment finds afterwards: what was given to the device, and nothing of
    what only the kernel's memory knew. Whoever writes to the filesystem stands still meanwhile."""
    while True:
        shutil.copyfile(image, copy)
        if filecmp.cmp(image, copy, shallow=False):
            return


def repair(image: Path) -> None:
    """As at the boot after it. A journal is played back; where there is none, everything is looked at."""
    done = subprocess.run([needed("e2fsck"), "-fy", str(image)], capture_output=True, check=False)
    assert done.returncode in {0, 1, 2}, done.stdout


def _run(*command: str) -> None:
    environment = os.environ | {"PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"}
    subprocess.run(command, check=True, capture_output=True, env=environment)
