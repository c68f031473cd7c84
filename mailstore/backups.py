"""Directories of backups: in them one directory for each, named by the time of its beginning and whole by itself.

    20261126T203054Z/backup.json      the marker: it is there when all of the backup is
                     contents.jsonl   what is in it: digests of databases, counts of mailboxes
                     state/           what was in the state directory beside the mail
                     mail/            DOMAIN/LOCAL/Maildir, and its index beside it; where the Maildirs are spread
                                      by hash 3f/a1/DOMAIN/LOCAL/Maildir

What two of them have in common may be linked: each can be removed without harm to the others. `mailstore.backup` makes
them, `mailstore.restoring` brings them back.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mailstore.copying import sha256
from mailstore.errors import MailstoreError
from mailstore.mailbox_copy import count
from mailstore.mailhome import index_path
from mailstore.refusals import storage_errors
from mailstore.schema import HEAD

FORMAT: Final = 1
MARKER: Final = "backup.json"
CONTENTS: Final = "contents.jsonl"
STATE: Final = "state"
ACCOUNTS: Final = "accounts.db"
KEYS: Final = "sealing.key"
KEPT: Final = (ACCOUNTS, KEYS, "reminders.json", "dns", "reports")  # of the state directory, in this order


class BackupRefused(MailstoreError):
    """There is no backup, or it is not whole, or there is no place for one. The text is for the administrator."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One in a backup."""

    local: str
    domain: str
    place: str  # of its Maildir, in the backup
    index: str  # SHA-256; "": there is none
    damaged: bool
    files: int
    octets: int

    @property
    def name(self) -> str:
        return f"{self.local}@{self.domain}"


@dataclass(frozen=True, slots=True)
class Backup:
    """A whole one."""

    path: Path
    marker: Mapping[str, Any]

    def mailboxes(self) -> Iterator[Mailbox]:
        for row in self._contents():
            if "local" in row:
                yield Mailbox(**row)

    def check(self) -> Iterator[str]:
        """Is all of it as it was written? Names each account before it is looked at. Raises BackupRefused, OSError."""
        for row in self._contents():
            if "file" in row:
                self._check_file(row["file"], row["sha256"])
                continue
            mailbox = Mailbox(**row)
            yield mailbox.name
            if mailbox.index:
                self._check_file(os.fspath(index_path(Path(mailbox.place))), mailbox.index)
            files, octets = count(self.path / mailbox.place)
            if (files, octets) != (mailbox.files, mailbox.octets):
                raise BackupRefused(
                    f"{self.path / mailbox.place} has {files} files with {octets} octets, and had {mailbox.files} with "
                    f"{mailbox.octets} when it was written"
                )

    def check_contents(self) -> None:
        """The same of the list of what is in it."""
        self._check_file(CONTENTS, self.marker["contents"])

    def _check_file(self, name: str, digest: str) -> None:
        path = self.path / name
        if not path.is_file():
            raise BackupRefused(f"{path} is not there any more")
        if sha256(path) != digest:
            raise BackupRefused(f"{path} is not as it was written")

    def _contents(self) -> Iterator[dict[str, Any]]:
        with (self.path / CONTENTS).open(encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)


def found(path: Path) -> Backup:
    """The backup in a directory, or, in a directory of backups, the last. Raises BackupRefused, OSError."""
    for each in (path, *reversed(finished(path))):
        marker = _marker(each)
        if marker is not None:
            if marker["format"] != FORMAT or marker["schema"] > HEAD:
                raise BackupRefused(f"{each} is of version {marker['version']} of mailferry: restore it with that")
            last = Backup(each, marker)
            last.check_contents()
            return last
    raise BackupRefused(f"{path}: there is no backup that was finished")


def finished(directory: Path) -> list[Path]:
    """The backups in a directory, the first one first."""
    try:
        return sorted(each for each in directory.iterdir() if each.name[:1].isdigit() and (each / MARKER).is_file())
    except OSError:
        return []


def digest_of(marker: Mapping[str, Any]) -> str:
    """What the marker has to say of itself, in hexadecimal."""
    return hashlib.sha256(json.dumps(marker, sort_keys=True).encode()).hexdigest()


def _marker(path: Path) -> Mapping[str, Any] | None:
    try:
        marker = json.loads((path / MARKER).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise BackupRefused(f"{path / MARKER} cannot be read") from error
    if not isinstance(marker, dict) or marker.pop("sha256", "") != digest_of(marker):
        raise BackupRefused(f"{path / MARKER} is not as it was written")
    return marker


def thin(directory: Path, keep: int) -> list[Path]:
    """Remove all but the last so many backups. Raises StorageFailed."""
    old = finished(directory)[: -max(keep, 1)]
    with storage_errors():
        for each in old:
            (each / MARKER).unlink()  # what is left of it now is no backup
            shutil.rmtree(each)
    return old
