"""What was given back, and to whom: a file beside the Maildir, a line of JSON for each step.

    {"to": …, "folder": uidvalidity, "uid": …, "step": "begun", "after": uid there, "valid": uidvalidity there}
    {"to": …, "folder": uidvalidity, "uid": …, "step": "done" | "refused", …}

`begun` is on stable storage before the message is sent, and `done` when the server has said so. What was begun and is
not done may be there or not: it is looked for among what came after `after`. Lines are only ever added; one that was
cut off by a crash is none.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mailstore.custody import InUse, give_to_owner
from mailstore.maildir import sync_directory

_STEPS: Final = {"begun", "done", "refused"}

Key = tuple[int, int]  # the folder's UIDVALIDITY, and the UID


@dataclass(frozen=True, slots=True)
class Begun:
    """Where the folder there stood when a message was sent to it."""

    after: int  # the highest UID
    valid: int  # UIDVALIDITY


def record_path(maildir: Path) -> Path:
    return maildir.with_name(maildir.name + ".given-back")


class Record:
    """Of one account, for one server and user there. Raises OSError."""

    def __init__(self, maildir: Path, to: str) -> None:
        self._path = record_path(maildir)
        self._to = to
        self.done: dict[Key, tuple[int, int]] = {}  # UIDVALIDITY and UID there, 0 where it did not tell
        self.begun: dict[Key, Begun] = {}  # and neither done nor refused
        self._read()

    def _read(self) -> None:
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return
        for line in data.split(b"\n"):
            try:
                values = json.loads(line)
                key = int(values["folder"]), int(values["uid"])
                if values["to"] == self._to and values["step"] in _STEPS:
                    self._take(key, values)
            except (ValueError, KeyError, TypeError):
                continue

    def _take(self, key: Key, values: Mapping[str, Any]) -> None:
        if values["step"] == "begun":
            self.begun[key] = Begun(int(values["after"]), int(values["valid"]))
            return
        self.begun.pop(key, None)
        if values["step"] == "done":
            self.done[key] = int(values.get("valid", 0)), int(values.get("there", 0))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other command writes to it within the block, on whichever node, and what others have written before is
        known. Raises InUse, OSError."""
        descriptor = self._open()
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:  # any other: the file system has no locks
                if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
                    raise InUse("another `mailferry restore-legacy` is at work on this account") from None
            self._read()
            yield
        finally:
            os.close(descriptor)

    def begin(self, keys: Iterable[Key], at: Begun) -> None:
        """They are about to be sent."""
        self._write([(key, {"step": "begun", "after": at.after, "valid": at.valid}) for key in keys])

    def end(self, keys: Mapping[Key, tuple[int, int]]) -> None:
        """They are there, under these UIDVALIDITYs and UIDs; 0 where that is not known."""
        self._write([(key, {"step": "done", "valid": at[0], "there": at[1]}) for key, at in keys.items()])

    def refuse(self, key: Key) -> None:
        """It was not taken: it is tried again the next time."""
        self._write([(key, {"step": "refused"})])

    def _write(self, entries: Iterable[tuple[Key, Mapping[str, Any]]]) -> None:
        lines = b""
        for (folder, uid), values in entries:
            entry = {"to": self._to, "folder": folder, "uid": uid, **values}
            self._take((folder, uid), entry)
            lines += json.dumps(entry).encode() + b"\n"
        descriptor = self._open()
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                lines = b"\n" + lines
            os.write(descriptor, lines)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _open(self) -> int:
        new = not self._path.exists()
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self._path, flags, 0o600)
        try:
            if new:
                give_to_owner(self._path, self._path.parent)
                sync_directory(self._path.parent)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor
