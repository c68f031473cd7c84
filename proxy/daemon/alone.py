"""One daemon for a state directory, or one `mailferry migrate` that does a daemon's work.

Two would each carry the same mailboxes over, and clear away each other's files. The lock is the kernel's: it goes
with the process, whatever ends it.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

from mailstore import restoring

LOCK: Final = "serve.lock"
_LOOKS: Final = 3  # the kernel gives its list by the page, and passes one over where others go in between


class NotAlone(Exception):
    """Another process uses the directory. The text is for the administrator."""


class Alone:
    """Held from its making until `end`. Raises NotAlone, OSError."""

    def __init__(self, state: Path, held: int | None = None) -> None:
        """`held` is the descriptor of a lock that this process has already."""
        if held is not None:
            os.set_inheritable(held, False)
            self._descriptor = held
            return
        self._descriptor = os.open(state / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise NotAlone(f"another mailferry serve or migrate is running with state = {state}") from None
        except BaseException:
            os.close(self._descriptor)
            raise

    @property
    def descriptor(self) -> int:
        """The lock's."""
        return self._descriptor

    def end(self) -> None:
        os.close(self._descriptor)


def see_to_restoring(state: Path) -> None:
    """To be asked before anything is made in the directory. Raises NotAlone while a backup is brought back to it."""
    if restoring.unfinished(state):
        raise NotAlone(f"{state}: a backup was being brought back and not all of it is: run mailferry restore again")
    if (state / restoring.RESTORING).exists() and at_work(state):
        raise NotAlone(f"{state}: mailferry restore is bringing a backup back")


def at_work(state: Path) -> bool:
    """Is anybody using the directory?"""
    return holder(state) is not None


def holder(state: Path) -> int | None:
    """The process that is using the directory. The kernel's list of locks is read: to try the lock, if only for a
    moment, could keep a daemon from its start. 0: it is in a container of its own."""
    try:
        number = (state / LOCK).stat().st_ino
        return next((found for _ in range(_LOOKS) if (found := _listed(number)) is not None), None)
    except OSError:
        return None


def _listed(number: int) -> int | None:
    locks = Path("/proc/locks").read_text(encoding="ascii")
    held = (line.split() for line in locks.splitlines() if " FLOCK " in line)
    return next((int(parts[-4]) for parts in held if any(part.endswith(f":{number}") for part in parts)), None)
