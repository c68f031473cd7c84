"""What every process of the daemon asks of the system at its start."""

from __future__ import annotations

import ctypes
import gc
import resource
import sys
import time
from typing import Any, Final

_PR_SET_DUMPABLE: Final = 4  # prctl(2)
_M_MMAP_THRESHOLD: Final = -3  # mallopt(3)
_M_ARENA_MAX: Final = -8
SWITCH: Final = 0.001  # seconds that the reactor waits for a thread that computes; usual are five


def prepare(reactor: Any) -> None:
    """Before anything is opened. `reactor` is Twisted's, not yet running and with nothing planned."""
    sys.setswitchinterval(SWITCH)
    _count_seconds_evenly(reactor)
    _keep_memory_private()
    _allow_many_descriptors()
    _give_memory_back()


def _count_seconds_evenly(reactor: Any) -> None:
    """Twisted goes by the time of day, which is set right now and then: each time-out would be over at once, or not for
    a day."""
    reactor.seconds = time.monotonic


def _keep_memory_private() -> None:
    """Passwords are in it: no core is dumped, by this process or by those that it starts, and nobody but root may look
    into it, other processes of this user neither. In /proc most of what there is of it is root's then."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_DUMPABLE, 0)


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
