"""What every process of the daemon asks of the system at its start."""

from __future__ import annotations

import ctypes
import gc
import resource
import sys
from typing import Final

_M_MMAP_THRESHOLD: Final = -3  # mallopt(3)
_M_ARENA_MAX: Final = -8
SWITCH: Final = 0.001  # seconds that the reactor waits for a thread that computes; usual are five


def prepare() -> None:
    """Before anything is opened."""
    sys.setswitchinterval(SWITCH)
    _allow_many_descriptors()
    _give_memory_back()


def _allow_many_descriptors() -> None:
    """As many open files as the system lets this process have: each session is one, and each message being read."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _give_memory_back() -> None:
    """Have the C library return what is large and freed at once: the 19 MiB of a password's hash above all. Without
    this it keeps them, once for each thread that ever hashed."""
    libc = ctypes.CDLL(None)
    mallopt = getattr(libc, "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 1024 * 1024)
        mallopt(_M_ARENA_MAX, 2)


def collect_less() -> None:
    """When all is set up. What is there stays: the garbage collector need not look at it again. And sessions make
    few cycles but many objects: with the usual threshold a tenth of the time went into looking for nothing."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
