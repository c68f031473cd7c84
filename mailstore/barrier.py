"""Waiting for the disk: how long it takes, for several mailboxes at once, and for many files.

A commit that has to be on stable storage when it returns keeps its thread waiting. On a good disk that is less than a
way to another thread and back would cost; on a slow one, or a busy one, it is most of what a command takes. Then a
commit may be *owed*: it is made at once, its log is brought to stable storage together with those of others, and
nobody hears of it before (`mailstore.mailhome.MailHome.briefly`).

Many files of one disk are brought to stable storage by one `syncfs`. Where that says nothing of the disk
(`mailstore.file_systems`) each is synced by itself, several at a time: a server, or a program, is asked about each, and
most of what that takes is the way there and back.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections import deque
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final, TypeVar

from mailstore.file_systems import at_once

T = TypeVar("T")

LOOKED_AT: Final = 16  # of the last barriers
QUICK: Final = 0.0003  # seconds; what a hop to a thread and back costs, several times
TOGETHER: Final = 8  # files of another machine that are synced at a time
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
    """Bring everything on a directory's file system to stable storage. False where the system cannot, or where that
    would say nothing. Raises OSError: since Linux 5.8 of what could not be written since `directory` was opened."""
    if _syncfs is None or not at_once(directory):
        return False
    if _syncfs(directory) == 0:
        return True
    code = ctypes.get_errno()
    if code in {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP}:
        return False
    raise OSError(code, os.strerror(code))


def sync_each(sync: Callable[[T], None], items: Collection[T], descriptor: int) -> None:
    """Call `sync` with each, one by one; several at a time where the file system of `descriptor` is another machine's.
    None is under way when this returns. Raises OSError, of the first that had one."""
    if len(items) < 2 or at_once(descriptor):
        for item in items:
            sync(item)
        return
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - most have a disk of their own

    with ThreadPoolExecutor(min(TOGETHER, len(items)), "sync") as threads:
        for done in [threads.submit(sync, item) for item in items]:
            done.result()


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
        if descriptors:
            sync_each(os.fdatasync, descriptors, descriptors[0])
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
