"""The file of the keys that seal passwords. Who seals or opens has it read again when it has become another one."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from mailstore.errors import StorageFailed
from mailstore.maildir import sync_directory
from mailstore.refusals import storage_errors
from mailstore.secrets import Sealer, load_key, read_keys

Stamp = tuple[int, int, int, int]


class KeyFile:
    """One such file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: Stamp | None = None

    def load(self) -> bytes:
        """The keys, one made if there is none. Raises StorageFailed."""
        keys = load_key(self.path)
        self._seen = self._stamp()
        return keys

    def anew(self) -> bytes | None:
        """The keys, if the file is another one than the last time. One that has gone, or cannot be read now, is as if
        it had not changed."""
        stamp = self._stamp()
        if stamp is None or stamp == self._seen:
            return None
        with suppress(StorageFailed):
            keys = read_keys(self.path)
            self._seen = stamp
            return keys
        return None

    def _stamp(self) -> Stamp | None:
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns

    def replace(self, keys: bytes) -> None:
        """Have these in it, all of them or, after a crash, those before. Its owner stays. Raises StorageFailed."""
        try:
            with storage_errors():
                self._replace(self.path.resolve(), keys)
        except StorageFailed as error:
            raise type(error)(f"the key file cannot be written: {error}") from error

    def _replace(self, path: Path, keys: bytes) -> None:
        passing = path.with_name(f"{path.name}.new")  # of one who was interrupted: written over
        before = path.stat()
        passing.unlink(missing_ok=True)
        try:
            with open(passing, "xb", opener=lambda name, mode: os.open(name, mode, 0o600)) as file:
                if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(file.fileno(), before.st_uid, before.st_gid)
                file.write(keys)
                file.flush()
                os.fsync(file.fileno())
            passing.rename(path)
        except BaseException:
            passing.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)


def sealer_of(path: Path) -> Sealer:
    """Seals and opens under the keys of a file, as they are at that time. Raises StorageFailed."""
    file = KeyFile(path)
    return Sealer(file.load(), file.anew)
