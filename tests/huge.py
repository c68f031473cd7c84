"""A process of the tests has some hundred megabytes, which fork(2) describes to the child page by page, and which the
end of the child takes away in the same manner: three hundredths of a second of processor time, more than what most
children do. In huge pages it is a quarter of that.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

_MADV_COLLAPSE: Final = 25  # madvise(2): at once, and whatever the system's setting is. Since Linux 6.1
_HUGE: Final = 2 << 20  # octets


@cache
def gather() -> int:
    """Have this process's own memory in huge pages; gives back how many became some. None where there are none: nothing
    else depends on it. The second time it does nothing."""
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return sum(madvise(place, _HUGE, _MADV_COLLAPSE) == 0 for place in _places())


def _places() -> Iterator[int]:
    """Where a huge page can be, in memory that Python has for objects."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, rights, _, _, inode, *name = line.split(maxsplit=5)
        if rights == "rw-p" and inode == "0" and (not name or name[0] == "[heap]"):
            first, end = (int(number, 16) for number in span.split("-"))
            yield from range(-(-first // _HUGE) * _HUGE, end - _HUGE + 1, _HUGE)
