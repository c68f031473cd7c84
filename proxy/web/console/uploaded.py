"""Lists that administrators have sent and not yet said yes to: a file each, in the state directory, mode 0600.

A list belongs to the session that sent it; nobody else's browser gets to it, whatever it knows. It is gone when it was
taken over or given up, when its session logs out, after an hour, and when the daemon starts. The name that a browser
gave it is text for people, and no part of any path.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from proxy.admin.importing import Manner, Preview
from proxy.admin.spreadsheet.table import LARGEST

HOUR: Final = 3600.0  # seconds that a list is kept
MOST: Final = 5  # lists of one session; the oldest makes room
_NAME_LENGTH: Final = 80


class NotKept(Exception):
    """The disk does not take the list. The text says why."""


@dataclass(slots=True)
class Upload:
    """One list. `name` is what a browser called it."""

    token: str
    path: Path
    name: str
    owner: bytes  # a session's digest
    manner: Manner
    until: float
    seen: Preview | None = None


class Uploads:
    """All of a daemon. `clock` is the reactor, whose thread all but `write` are called in."""

    def __init__(self, directory: Path, clock: Any) -> None:
        self._directory = directory
        self._clock = clock
        self._kept: dict[str, Upload] = {}
        shutil.rmtree(directory, ignore_errors=True)

    def write(self, source: IO[bytes]) -> Path:
        """A copy of what was sent, no more of it than makes it too large. Called in a thread. Raises NotKept."""
        path = self._directory / secrets.token_hex(16)
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(number, "wb") as target:
                left = LARGEST + 1
                while left and (octets := source.read(min(left, 1 << 20))):
                    target.write(octets)
                    left -= len(octets)
        except OSError as error:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            raise NotKept(error.strerror or "") from None
        return path

    def keep(self, path: Path, name: str, owner: bytes, manner: Manner, seen: Preview) -> Upload:
        """From now on, for an hour."""
        self.sweep()
        theirs = sorted((one for one in self._kept.values() if one.owner == owner), key=lambda one: one.until)
        for one in theirs[: max(0, len(theirs) + 1 - MOST)]:
            self.forget(one)
        upload = Upload(secrets.token_urlsafe(16), path, name, owner, manner, self._clock.seconds() + HOUR, seen)
        self._kept[upload.token] = upload
        self._clock.callLater(HOUR + 1, self.sweep)
        return upload

    def find(self, token: str, owner: bytes) -> Upload | None:
        """This session's list of that name, if there still is one."""
        upload = self._kept.get(token)
        if upload is None or upload.owner != owner or upload.until <= self._clock.seconds():
            return None
        return upload

    def forget(self, upload: Upload) -> None:
        """It is not needed any more."""
        self._kept.pop(upload.token, None)
        discard(upload.path)

    def sweep(self) -> None:
        """Those whose time is over."""
        self._forget(lambda one: one.until <= self._clock.seconds())

    def left(self, owner: bytes) -> None:
        """A session has ended."""
        self._forget(lambda one: one.owner == owner)

    def _forget(self, meant: Callable[[Upload], bool]) -> None:
        for one in [one for one in self._kept.values() if meant(one)]:
            self.forget(one)


def discard(path: Path) -> None:
    """A file that is not there is gone already."""
    with suppress(OSError):
        path.unlink(missing_ok=True)


def called(name: str | None) -> str:
    """What a browser calls a file, as one line without directories."""
    last = (name or "").replace("\\", "/").rpartition("/")[2]
    shown = "".join(c if c.isprintable() else "�" for c in last).strip()
    return shown if len(shown) <= _NAME_LENGTH else f"{shown[: _NAME_LENGTH - 1]}…"
