"""One daemon for a state directory, or one `mailferry migrate` that does a daemon's work.

Two would each carry the same mailboxes over, and clear away each other's files. The lock is the kernel's: it goes
with the process, whatever ends it.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

LOCK: Final = "serve.lock"


class NotAlone(Exception):
    """Another process uses the directory. The text is for the administrator."""


class Alone:
    """Held from its making until `end`. Raises NotAlone, OSError."""

    def __init__(self, state: Path) -> None:
        self._descriptor = os.open(state / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise NotAlone(f"another mailferry serve or migrate is running with state = {state}") from None
        except BaseException:
            os.close(self._descriptor)
            raise

    def end(self) -> None:
        os.close(self._descriptor)


def at_work(state: Path) -> bool:
    """Is anybody using the directory? The kernel's list of locks is read: to try the lock, if only for a moment, could
    keep a daemon from its start."""
    try:
        number = (state / LOCK).stat().st_ino
        locks = Path("/proc/locks").read_text(encoding="ascii")
    except OSError:
        return False
    held = (line.split() for line in locks.splitlines() if " FLOCK " in line)
    return any(part.endswith(f":{number}") for line in held for part in line)
