"""A process that is killed at a chosen step: every change of the disk is one.

The child is forked, so that a crash costs milliseconds and each step of an operation can be the last one. It ends
with `os._exit` right before the step: no `finally` runs, no transaction is rolled back, no file is closed in order.
What it wrote to files is there, as after SIGKILL. A write that is the last step leaves half its bytes.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NoReturn

from sqlalchemy import Engine, event

from mailstore import mailbox_database, postgres_mailbox
from tests.huge import gather
from tests.mailstore.store_rig import after_a_fork, put_in_place

_CHANGES: Final = frozenset({"os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir"})
_KILLED: Final = 99
_MOST_STEPS: Final = 300


class _Countdown:
    """Ends the process when the last step is reached."""

    def __init__(self, steps: int) -> None:
        self._left = steps
        self._write = os.write
        self._fsync = os.fsync
        self._commit = mailbox_database.commit
        self._commit_there = postgres_mailbox.commit

    def start(self) -> None:
        os.write = self.write  # type: ignore[assignment]
        os.fsync = self.fsync  # type: ignore[assignment]
        event.listen(Engine, "commit", self.step)  # of the accounts
        mailbox_database.commit = self.commit
        postgres_mailbox.commit = self.commit_there
        sys.addaudithook(self.audit)

    def commit(self, driver: sqlite3.Connection) -> None:
        self.step()
        self._commit(driver)

    def commit_there(self, driver: Any) -> Any:
        self.step()
        return self._commit_there(driver)

    def step(self, *_: object) -> None:
        self._left -= 1
        if self._left == 0:
            os._exit(_KILLED)

    def audit(self, kind: str, arguments: tuple[object, ...]) -> None:
        if kind in _CHANGES:
            self.step()
        elif kind == "open":
            flags = arguments[2]
            if isinstance(flags, int) and flags & os.O_CREAT:
                self.step()

    def write(self, fd: int, data: bytes) -> int:
        if self._left == 1:
            self._write(fd, data[: len(data) // 2])
        self.step()
        return self._write(fd, data)

    def fsync(self, fd: int) -> None:
        self.step()
        self._fsync(fd)


def _child(steps: int, operation: Callable[[], object]) -> NoReturn:
    try:
        after_a_fork()
        _Countdown(steps).start()
        operation()
        os._exit(0)
    except BaseException:  # noqa: BLE001 - a child ends here, whatever happened
        traceback.print_exc()
        os._exit(1)


def _killed(steps: int, operation: Callable[[], object]) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads: the child uses none
        child = os.fork()
    if child == 0:
        _child(steps, operation)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in {0, _KILLED}, f"the operation fails by itself, {steps} steps from its beginning"
    return code == _KILLED


def every_crash(template: Path, operation: Callable[[Path], object], *, stride: int = 1) -> Iterator[Path]:
    """Crash an operation at each of its steps in turn, or at each so many: the store's directory after each crash, and
    at last after none.

    Each begins with a copy of `template`; `operation` opens the store that is in the directory it is given, and
    no store is open here meanwhile.
    """
    gather()
    for steps in range(1, _MOST_STEPS, stride):
        path = template.with_name(f"{template.name}-{steps}")
        put_in_place(template, path)
        killed = _killed(steps, lambda path=path: operation(path))  # type: ignore[misc]
        yield path
        shutil.rmtree(path)
        if not killed:
            return
    raise AssertionError(f"the operation takes more than {_MOST_STEPS} steps")
