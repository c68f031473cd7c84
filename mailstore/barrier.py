"""Waiting for the disk: how long it takes, and for several mailboxes at once.

A commit that has to be on stable storage when it returns keeps its thread waiting. On a good disk that is less than a
way to another thread and back would cost; on a slow one, or a busy one, it is most of what a command takes. Then a
commit may be *owed*: it is made at once, its log is brought to stable storage together with those of others, and
nobody hears of it before (`mailstore.mailhome.MailHome.briefly`).
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections import deque
from collections.abc import Collection
from pathlib import Path
from typing import Final

LOOKED_AT: Final = 16  # of the last barriers
QUICK: Final = 0.0003  # seconds; what a hop to a thread and back costs, several times
FEW: Final = 1  # logs that are synced one by one: each would wait for the disk

_libc = ctypes.CDLL(None, use_errno=True)
_syncfs = getattr(_libc, "syncfs", None)


class Barriers:
    """What the last few took, on the average."""

    def __init__(self) -> None:
        self._took: deque[float] = deque(maxlen=LOOKED_AT)
        self._sum = 0.0

    def took(self, seconds: float) -> None:
        if len(self._took) == LOOKED_AT:
            self._sum -= self._took[0]
        self._took.append(seconds)
        self._sum += seconds

    @property
    def quick(self) -> bool:
        """May everybody else in the thread wait for one?"""
        return self._sum <= QUICK * len(self._took)


def sync_file_system(directory: int) -> bool:
    """Bring everything on a directory's file system to stable storage. False where the system cannot. Raises OSError:
    since Linux 5.8 of what could not be written since `directory` was opened."""
    if _syncfs is None:
        return False
    if _syncfs(directory) == 0:
        return True
    code = ctypes.get_errno()
    if code in {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP}:
        return False
    raise OSError(code, os.strerror(code))


def sync_logs(paths: Collection[Path]) -> None:
    """Bring the logs of databases to stable storage. One that is not there any more has been written into its
    database, durably, and removed. Raises OSError."""
    descriptors: list[int] = []
    try:
        for path in paths:
            try:
                descriptors.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
            except FileNotFoundError:
                continue
        devices = {os.fstat(descriptor).st_dev: descriptor for descriptor in descriptors}
        if len(descriptors) > max(FEW, len(devices)) and all(map(sync_file_system, devices.values())):
            return
        for descriptor in descriptors:
            os.fdatasync(descriptor)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
