"""A disk that is full, or may not be written, from a chosen step on: whatever would need room is refused."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from mailstore import mailbox_database

_GROWING: Final = ("write", "fsync", "mkdir", "link", "rename", "utime")
_REMOVING: Final = ("unlink", "remove", "rmdir")
FULL, READ_ONLY = errno.ENOSPC, errno.EROFS


class Steps:
    """How many of them there were, and whether any was refused."""

    def __init__(self) -> None:
        self.count = 0
        self.refused = False


def _refusal(reason: int) -> sqlite3.OperationalError:
    """What SQLite makes of it."""
    full = reason == FULL
    error = sqlite3.OperationalError("database or disk is full" if full else "disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL if full else sqlite3.SQLITE_IOERR
    return error


@contextmanager
def refusing(first: int, reason: int = FULL, *, only: bool = False) -> Iterator[Steps]:
    """Refuse the `first` step that needs room, counted from 1, and, if not `only` it, all behind it."""
    steps = Steps()

    def refuse() -> None:
        steps.count += 1
        if steps.count == first or (steps.count > first and not only):
            steps.refused = True
            raise OSError(reason, os.strerror(reason))

    def guarded(call: Callable[..., Any]) -> Callable[..., Any]:
        def instead(*arguments: Any, **named: Any) -> Any:
            refuse()
            return call(*arguments, **named)

        return instead

    opened = os.open

    def opening(path: Any, flags: int, *arguments: Any, **named: Any) -> int:
        if flags & os.O_CREAT and not os.access(path, os.F_OK, dir_fd=named.get("dir_fd")):
            refuse()
        return opened(path, flags, *arguments, **named)

    committed = mailbox_database.commit

    def committing(driver: sqlite3.Connection) -> None:
        try:
            refuse()
        except OSError:
            raise _refusal(reason) from None
        committed(driver)

    with pytest.MonkeyPatch.context() as patch:
        for name in (*_GROWING, *(_REMOVING if reason == READ_ONLY else ())):
            patch.setattr(os, name, guarded(getattr(os, name)))
        patch.setattr(os, "open", opening)
        patch.setattr(mailbox_database, "commit", committing)
        yield steps
