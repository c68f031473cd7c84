"""Where tests make their directories: in memory if that can be, since they sync a lot, and nobody looks at what they
wrote when they are over. TMPDIR in the environment says otherwise."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from typing import Final

_MEMORY: Final = "/dev/shm"
_ROOM: Final = 4 << 30  # octets; all tests at once have a tenth of it


@cache
def in_memory() -> str | None:
    """None: where directories for a time are anyway."""
    if not os.access(_MEMORY, os.W_OK):
        return None
    about = os.statvfs(_MEMORY)
    wide = about.f_bavail * about.f_frsize >= _ROOM
    return _MEMORY if wide and not about.f_flag & os.ST_NOEXEC else None


def short() -> str:
    """A directory whose name leaves room for that of a socket below it, and which other users reach."""
    return in_memory() or "/tmp"


def begin() -> None:
    """All of them are there from now on, and those of processes that are begun."""
    where = in_memory()
    if where is not None and "TMPDIR" not in os.environ:
        os.environ["TMPDIR"] = tempfile.tempdir = where
