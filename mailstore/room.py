"""How much room a disk has, and how much of it old mail may take.

A move that fills a disk to its last octet would take everybody else's with it: deliveries, flags, the accounts. So it
stops while there is some left. Quotas are not seen here; they are met when they are met.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from mailstore.errors import DiskFull

KEPT: Final = 16 * 1024 * 1024  # octets that a move leaves free …
SHARE: Final = 64  # … or this part of a disk that is small
KEPT_FILES: Final = 64


def leave_room(directory: int | Path, octets: int) -> None:
    """Raises DiskFull where `octets` more would take what is to be left free. OSError is the caller's."""
    disk = os.statvfs(directory)
    if disk.f_bavail * disk.f_frsize - octets < min(KEPT, disk.f_blocks * disk.f_frsize // SHARE):
        raise DiskFull("the disk refused: there is no room left")
    if disk.f_files and disk.f_favail < min(KEPT_FILES, disk.f_files // SHARE):
        raise DiskFull("the disk refused: there is no room for more files")


def free_octets(path: Path) -> int | None:
    """That old mail may still take, on the disk of a directory or of the nearest one above it that is there."""
    for each in (path, *path.parents):
        try:
            disk = os.statvfs(each)
        except OSError:
            continue
        whole = disk.f_blocks * disk.f_frsize
        return max(0, disk.f_bavail * disk.f_frsize - min(KEPT, whole // SHARE))
    return None
