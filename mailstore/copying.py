"""Copies of databases and files that are in use, for `mailstore.backup` and `mailstore.restoring`.

A database is copied as of one moment, and nothing is changed beside it: not its log, which belongs to whoever has it
open, or had it when the power failed. Message files never change once they have their name, so one that is on the same
file system is linked instead of copied.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote

from mailstore.barrier import sync_each, sync_file_system
from mailstore.errors import MessageLost
from mailstore.maildir import TMP, open_file, sync_directory, sync_files
from mailstore.refusals import storage_errors
from mailstore.sqlite import BUSY_TIMEOUT

_PIECE: Final = 1024 * 1024
_BATCH_FILES: Final = 500  # written between two barriers, at most
_BATCH_OCTETS: Final = 64 * 1024 * 1024
_SETTLED: Final = 1_000_000_000  # nanoseconds after which a further change gives a file another time
_UNLINKABLE: Final = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP}


def read_only(path: Path, *, immutable: bool = False) -> sqlite3.Connection:
    """A connection that leaves the file and its log as they are. `immutable`: nobody else has the file."""
    mode = "mode=ro&immutable=1" if immutable else "mode=ro"
    return sqlite3.connect(f"file:{quote(os.fspath(path))}?{mode}", uri=True, timeout=BUSY_TIMEOUT)


def copy_database(source: Path, target: Path, earlier: Path | None = None) -> bool:
    """Copy a database as of one moment. Where nobody has it open the file is all there is of it, and it is linked to
    the `earlier` copy if that is the same: gives back whether it was. Raises FileNotFoundError, StorageFailed."""
    target.unlink(missing_ok=True)
    status = source.stat()
    with storage_errors():
        if not _log(source).exists() and time.time_ns() - status.st_mtime_ns > _SETTLED:
            linked = earlier is not None and _same(earlier, status) and _link(earlier, target)
            if not linked:
                _copy(os.open(source, os.O_RDONLY | os.O_CLOEXEC), target)
            if not _log(source).exists() and _same(source, status):
                return linked
            target.unlink()
        with closing(read_only(source)) as origin, closing(sqlite3.connect(target)) as copy:
            target.chmod(0o600)
            copy.execute("PRAGMA synchronous=OFF")  # the backup's end is its barrier
            origin.backup(copy)
    return False


def copy_raw(source: Path, target: Path) -> None:
    """A file as it lies there, for its owner alone. Raises OSError, MessageLost for what is no file."""
    target.unlink(missing_ok=True)
    _copy(open_file(source), target)


def make_all(directory: Path) -> None:
    """The directory and those above it that are not there, for their owner alone. Raises OSError."""
    if not directory.is_dir():
        make_all(directory.parent)
        directory.mkdir(mode=0o700, exist_ok=True)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def lying(directory: Path) -> Iterator[os.DirEntry[str]]:
    """The plain files in a directory; none where it is not there."""
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                yield entry


def sync_all(directory: Path) -> None:
    """Bring all that was written below a directory to stable storage."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if not sync_file_system(descriptor):  # a directory's files before its entries, and what is below before it
            for place, _, names in os.walk(directory, topdown=False):
                sync_each(_sync_file, [Path(place, name) for name in names], descriptor)
                sync_directory(Path(place))
    finally:
        os.close(descriptor)


def _sync_file(path: Path) -> None:
    """A link or a pipe has nothing to be synced."""
    try:
        descriptor = open_file(path)
    except (FileNotFoundError, MessageLost):  # somebody else's, who has removed it
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(slots=True)
class Carrier:
    """Brings files into a directory, whole or not at all: linked, or written to `tmp` beside it and put in their
    places when they are on stable storage."""

    target: Path  # …/cur or …/new
    copied: int = 0  # octets that were written
    _names: list[str] = field(default_factory=list)
    _octets: int = 0

    def bring(self, name: str, sources: Iterable[Path]) -> bool:
        """Under this name, from the first of its sources that is there: False where none is. Raises OSError."""
        for source in sources:
            try:
                if _link(source, self.target / name):
                    return True
                descriptor = open_file(source)
            except (FileNotFoundError, MessageLost):
                continue
            self._write(descriptor, name)
            return True
        return False

    def _write(self, descriptor: int, name: str) -> None:
        passing = self.target.parent / TMP / name
        passing.unlink(missing_ok=True)
        octets = _copy(descriptor, passing)
        self._names.append(name)
        self._octets += octets
        self.copied += octets
        if len(self._names) >= _BATCH_FILES or self._octets >= _BATCH_OCTETS:
            self.settle()

    def settle(self) -> None:
        """Put what was written in its place. Raises OSError."""
        if not self._names:
            return
        passing = self.target.parent / TMP
        descriptor = os.open(passing, os.O_RDONLY | os.O_DIRECTORY)
        try:
            sync_files(descriptor, self._names)
        finally:
            os.close(descriptor)
        for name in self._names:
            (passing / name).rename(self.target / name)
        self._names, self._octets = [], 0


def _link(source: Path, target: Path) -> bool:
    """Raises OSError for what no copy would help with."""
    status = source.lstat()
    if os.geteuid() not in {0, status.st_uid}:
        return False  # a link would be somebody else's file
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno in _UNLINKABLE:
            return False
        raise
    return True


def _copy(descriptor: int, target: Path) -> int:
    """Into a new file, with its time. Gives back how many octets."""
    with os.fdopen(descriptor, "rb") as origin:
        status = os.fstat(descriptor)
        with open(target, "xb", opener=lambda name, mode: os.open(name, mode, 0o600)) as copy:
            shutil.copyfileobj(origin, copy, _PIECE)
            octets = copy.tell()
        os.utime(target, ns=(status.st_mtime_ns, status.st_mtime_ns))
    return octets


def _log(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _same(path: Path, status: os.stat_result) -> bool:
    """Is it a file of this time and size?"""
    try:
        now = path.lstat()
    except FileNotFoundError:
        return False
    return (now.st_mtime_ns, now.st_size) == (status.st_mtime_ns, status.st_size)
