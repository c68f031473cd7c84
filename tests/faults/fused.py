"""A file system in a program (FUSE), as a server's is to the kernel: it passes everything on to a directory, writes
down what it is asked to bring to stable storage, and refuses what a test has it refuse.

Run by Debian's own Python, whose python3-fusepy it needs: `fused.py DIRECTORY MOUNTPOINT LOG FAULTS`. FAULTS has lines
`OPERATION ERRNO` that count while they are in it; `:` for an operation is any whose name has a colon, and `A ERRNO` has
names in upper and lower case be the same.
"""

from __future__ import annotations

import os
import sys
import threading
from errno import EROFS
from pathlib import Path
from typing import Any

import fusepy as fuse  # type: ignore[import-not-found]


class Passing(fuse.Operations):  # type: ignore[misc]
    """Everything goes to the directory behind."""

    use_ns = True

    def __init__(self, directory: str, log: str, faults: str) -> None:
        self._root = directory
        self._log = open(log, "a", buffering=1)  # noqa: SIM115
        self._faults = Path(faults)
        self._lock = threading.Lock()
        self._syncing = 0

    def __call__(self, op: str, path: str, *given: Any) -> Any:
        arguments = list(given)
        paths = [path, *(each for each in arguments if isinstance(each, str))]
        for line in self._faults.read_text().splitlines():
            name, _, code = line.partition(" ")
            if name in {op, "*"} or (name == ":" and any(":" in each for each in paths)):
                raise fuse.FuseOSError(int(code))
            if name == "A":
                path, *arguments = (each.lower() if isinstance(each, str) else each for each in (path, *arguments))
        return getattr(self, op)(self._root + path, *arguments)

    def access(self, path: str, mode: int) -> None:
        if not os.access(path, mode):
            raise fuse.FuseOSError(EROFS)

    def getattr(self, path: str, _fh: int | None = None) -> dict[str, Any]:
        found = os.lstat(path)
        names = ("st_mode", "st_ino", "st_nlink", "st_uid", "st_gid", "st_size", "st_atime", "st_mtime", "st_ctime")
        return {name: getattr(found, f"{name}_ns" if name.endswith("time") else name) for name in names}

    def readdir(self, path: str, _fh: int) -> list[str]:
        return [".", "..", *os.listdir(path)]

    def statfs(self, path: str) -> dict[str, int]:
        found = os.statvfs(path)
        names = (
            "f_bavail",
            "f_bfree",
            "f_blocks",
            "f_bsize",
            "f_favail",
            "f_ffree",
            "f_files",
            "f_frsize",
            "f_namemax",
        )
        return {name: getattr(found, name) for name in names}

    def mkdir(self, path: str, mode: int) -> None:
        os.mkdir(path, mode)

    def rmdir(self, path: str) -> None:
        os.rmdir(path)

    def unlink(self, path: str) -> None:
        os.unlink(path)

    def rename(self, old: str, new: str) -> None:
        os.rename(old, self._root + new)

    def link(self, target: str, source: str) -> None:
        os.link(self._root + source, target)

    def chmod(self, path: str, mode: int) -> None:
        os.chmod(path, mode)

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> None:
        os.utime(path, ns=times)

    def open(self, path: str, flags: int) -> int:
        return os.open(path, flags)

    def create(self, path: str, mode: int, _fi: Any = None) -> int:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

    def read(self, _path: str, size: int, offset: int, fh: int) -> bytes:
        return os.pread(fh, size, offset)

    def write(self, _path: str, data: bytes, offset: int, fh: int) -> int:
        return os.pwrite(fh, data, offset)

    def truncate(self, path: str, length: int, fh: int | None = None) -> None:
        os.truncate(path if fh is None else fh, length)

    def flush(self, _path: str, _fh: int) -> None:
        pass

    def release(self, _path: str, fh: int) -> None:
        os.close(fh)

    def fsync(self, path: str, _datasync: int, fh: int) -> None:
        """How many of these are under way at once is written down, too."""
        with self._lock:
            self._syncing += 1
            self._log.write(f"fsync {os.path.relpath(path, self._root)} {self._syncing}\n")
        os.fsync(fh)
        with self._lock:
            self._syncing -= 1

    def fsyncdir(self, path: str, _datasync: int, _fh: int) -> None:
        self._log.write(f"fsyncdir {os.path.relpath(path, self._root)}\n")


if __name__ == "__main__":
    behind, mountpoint, log, faults = sys.argv[1:]
    operations = Passing(behind, log, faults)
    fuse.FUSE(operations, mountpoint, foreground=True, use_ino=True, default_permissions=True, big_writes=True)
