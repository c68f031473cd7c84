"""The directory in which a file system is tried, and the results.

Everything is made in one directory of its own, which is removed at the end, also after Ctrl-C or SIGTERM. A file
system may halt; so the trials run beside the command, which waits only so long, names the one that has not come back,
and ends.

What ends all trials, since each would say the same, is told once: a disk that is full, a server that is gone.
"""

from __future__ import annotations

import errno
import os
import pwd
import secrets
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NoReturn

from mailstore.file_systems import GONE
from proxy.cli.checks.finding import Finding, Result

PREFIX: Final = ".mailferry-check-"
LIMIT: Final = 120.0  # seconds for all of it
EACH: Final = 2.0  # … and about so many for what is done as often as can be, to see how often that is
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class NothingMore(Exception):
    """What was just told would be told by every other trial."""


@dataclass(slots=True)
class Trial:
    """One, under way."""

    place: Path  # a directory that nobody else has
    findings: list[Finding] = field(default_factory=list)
    figures: dict[str, float | int | str | None] = field(default_factory=dict)
    at: str = ""  # what is being tried

    def told(self, result: Result, subject: str, text: str, remedy: str = "") -> None:
        self.findings.append(Finding("storage", result, subject, text, remedy))

    def holds(self, subject: str, holds: bool, *, so: str, otherwise: str, worse: Result = "fail") -> None:
        """`so` is what holds; `otherwise` says what does not, and behind a semicolon what follows."""
        text, _, follows = otherwise.partition("; ")
        if holds:
            self.told("ok", subject, so)
        else:
            self.told(worse, subject, text, follows)

    @contextmanager
    def tried(self, subject: str, follows: str, worse: Result = "fail") -> Iterator[None]:
        """What the block is refused is a result. Raises NothingMore."""
        self.at = subject
        try:
            yield
        except OSError as error:
            text = f"refused: {error.strerror or error}"
            if error.errno in _FULL | GONE:
                self.told("fail", subject, text, remedy(error))
                raise NothingMore from error
            self.told(worse, subject, text, follows)


Part = Callable[[Trial], None]


def remedy(error: OSError) -> str:
    """Where nothing can be made at all."""
    if error.errno in _FULL:
        what = "quota" if error.errno == errno.EDQUOT else "room, or inodes (df -i)"
        return f"make room for the mailboxes: there is no {what} left; nothing else is tried before"
    if error.errno in GONE:
        return "its server does not answer, or what mounted it has ended: unmount it, and mount it anew"
    if error.errno == errno.EROFS:
        return "mount it rw; what an error made read-only (dmesg says so) wants fsck first"
    if error.errno in {errno.EACCES, errno.EPERM}:
        who = _user()
        return f"{who} may not write there: run it as the user of serve, or give the directory to {who} (chown {who})"
    return "nothing can be kept there: take another directory"


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"user {os.geteuid()}"


def try_in(directory: Path, parts: tuple[Part, ...], limit: float = LIMIT, *, before: tuple[Part, ...] = ()) -> Trial:
    """`before` are parts that make nothing. Where nothing can be made there that is the result."""
    place = directory / f"{PREFIX}{secrets.token_hex(6)}"
    trial = Trial(place)
    trouble: list[BaseException] = []

    def run() -> None:
        try:
            for part in before:
                part(trial)
            trial.at = "directory"
            try:
                place.mkdir(mode=0o700)
            except OSError as error:
                trial.told("fail", "directory", f"nothing can be made in it: {error.strerror}", remedy(error))
                raise NothingMore from error
            for part in parts:
                part(trial)
        except NothingMore:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again below, in the other thread
            trouble.append(error)

    thread = threading.Thread(target=run, daemon=True)  # one that does not come back keeps nobody from ending
    until = time.monotonic() + limit
    try:
        with _until_told_to_end():
            thread.start()
            thread.join(max(0.0, until - time.monotonic()))
    finally:
        if not thread.is_alive() and not _gone(place):
            trial.told("warn", "removal", f"{place} cannot be removed", "remove it yourself")
    if thread.is_alive():
        then = f"is the server there? nothing can be kept on it so; remove {place} when it answers again"
        trial.told("fail", trial.at, f"no answer within {limit:.0f} s", then)
    if trouble:
        raise trouble[0]
    return trial


def _gone(place: Path) -> bool:
    for _ in range(5):  # NFS keeps what somebody has open under another name for a moment
        shutil.rmtree(place, ignore_errors=True)
        if not os.path.lexists(place):
            return True
        time.sleep(0.1)
    return False


@contextmanager
def _until_told_to_end() -> Iterator[None]:
    """Let SIGTERM end it as Ctrl-C does, with everything removed."""

    def end(_signal: int, _frame: object) -> NoReturn:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def as_often_as(seconds: float, step: Callable[[int], object], most: int) -> tuple[int, float]:
    """Do it for so long, or so often; gives back how often and how long it took."""
    begun = time.perf_counter()
    count = 0
    while count < most and (count == 0 or time.perf_counter() - begun < seconds):
        step(count)
        count += 1
    return count, time.perf_counter() - begun


def write(path: Path, data: bytes, flags: int = os.O_CREAT | os.O_EXCL) -> None:
    """As the store writes a file, without waiting for the disk. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | flags, 0o600)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)
