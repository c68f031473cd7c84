"""Where tests that sync a lot make their directories: in memory if that can be. Not all tests: what is special about a
disk, such as asking what of a file is in memory already, is a part of what they try."""

from __future__ import annotations

import os
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
