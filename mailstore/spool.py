"""A message on its way in: a file without a name, which gets one in each mailbox that the message is for.

What has no name goes with the process, whatever ends that: a crash leaves nothing to be swept up. Message files never
change once they have their name, so several recipients share one file where the file system can link it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection
from itertools import count
from pathlib import Path
from threading import Lock
from typing import IO

from mailstore.barrier import sync_each, sync_file_system

FEW_FILES = 4  # that are synced one by one: to sync the file system writes out everybody else's files as well

_LINKS = os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC


_numbers = count()


class Spooled:
    """Written by one thread, and then read by any. Close it."""

    def __init__(self, directory: Path) -> None:
        """On the disk that most mail is for. Raises OSError."""
        self.number = next(_numbers)
        self.size = 0  # octets
        self.date = 0  # when it arrived: the internal date
        self._bare = 0  # line ends that are a bare LF
        self._last = b""
        self._settled = False
        self._settling = Lock()
        try:
            self._fd = os.open(directory, _LINKS, 0o600)
            self._linkable = True
        except OSError:  # not every file system has files without names
            with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
                self._fd = os.dup(file.fileno())
            self._linkable = False

    @property
    def crlf_size(self) -> int:
        """With each bare LF counted as CRLF."""
        return self.size + self._bare

    def write(self, data: bytes) -> None:
        """Raises OSError."""
        left = memoryview(data)
        while left:
            left = left[os.write(self._fd, left) :]
        if not data:
            return
        self.size += len(data)
        self._bare += data.count(b"\n") - data.count(b"\r\n") - (self._last == b"\r" and data[:1] == b"\n")
        self._last = data[-1:]

    def stamp(self, date: int) -> None:
        """It has arrived: its time is the internal date, of whoever comes first. Raises OSError."""
        with self._settling:
            if not self.date:
                self.date = date
                os.utime(self._fd, (date, date))

    def settle(self) -> None:
        """Bring it to stable storage; once, whoever asks first. Raises OSError."""
        with self._settling:
            if not self._settled:
                os.fsync(self._fd)
                self._settled = True

    def settle_all(self) -> bool:
        """Bring all that is on its file system to stable storage; False where the system cannot do that. Raises OSError
        for what could not be written since this file was opened."""
        return sync_file_system(self._fd)

    @property
    def descriptor(self) -> int:
        return self._fd

    def link(self, target: str) -> bool:
        """Let it have this name; False where that cannot be, and it has to be copied. Raises OSError where a copy would
        not help either."""
        if not self._linkable:
            return False
        try:
            # linkat(2) with AT_SYMLINK_FOLLOW, which Python asks for where a directory is given: any one will do.
            os.link(f"/proc/self/fd/{self._fd}", target, src_dir_fd=self._fd, follow_symlinks=True)
        except FileExistsError:
            raise
        except OSError:  # another file system, too many links, no /proc
            return False
        return True

    def reader(self) -> IO[bytes]:
        """All of it, for whoever copies it: each reads by itself. Raises OSError."""
        return os.fdopen(os.open(f"/proc/self/fd/{self._fd}", os.O_RDONLY | os.O_CLOEXEC), "rb")

    def close(self) -> None:
        """Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def settle_together(spooled: Collection[Spooled]) -> None:
    """Bring several of one directory to stable storage, at once where that can be. Raises OSError."""
    if len(spooled) > FEW_FILES:
        first = min(spooled, key=lambda message: message.number)  # opened before any other of them was written
        if first.settle_all():
            return
    if spooled:
        sync_each(Spooled.settle, spooled, next(iter(spooled)).descriptor)
