"""A backup is made: `mailstore.backups` says how it lies on the disk.

The accounts are copied first and the mailboxes after them. So an account in a backup is never further on than its
mailbox: what is missing is asked for again. A mailbox that came after the accounts were copied is in the next backup.
Sealing keys are looked at before the accounts and after them, and all that were there are in it: the passwords of that
moment are under one of these.

It is written in `unfinished`, and gets its name, with the marker in it, when all of it is on stable storage. One that
was interrupted is gone on with. What the one before it has as well is linked to that.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from mailstore.backups import (
    ACCOUNTS,
    CONTENTS,
    FORMAT,
    KEPT,
    KEYS,
    MARKER,
    STATE,
    BackupRefused,
    Mailbox,
    digest_of,
    finished,
    found,
)
from mailstore.copying import copy_database, copy_raw, make_all, read_only, sha256, sync_all
from mailstore.errors import StorageFailed
from mailstore.mailbox_copy import Copied, copy_mailbox
from mailstore.maildir import sync_directory
from mailstore.mailhome import index_path
from mailstore.refusals import storage_errors
from mailstore.schema import HEAD
from mailstore.secrets import KEY_OCTETS, each

_UNFINISHED: Final = "unfinished"
_NAME: Final = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class Source:
    """What a backup is made of."""

    state: Path
    # local part, domain → where it is below `mail` in a backup: first where it is put, then where others may have it
    places_of: Callable[[str, str], Sequence[Path]]
    maildir_of: Callable[[str, str], Path]  # … and where its Maildir is
    version: str  # of mailferry
    there: Callable[[], None] = lambda: None  # raises StorageFailed where the disk with the Maildirs is away


@dataclass(slots=True)
class Summary:
    """Of a backup; what the marker says of it."""

    accounts: int = 0
    mailboxes: int = 0
    messages: int = 0
    files: int = 0
    octets: int = 0
    written: int = 0  # octets that could not be linked
    missing: dict[str, int] = field(default_factory=dict)  # accounts with messages whose files are not there
    damaged: list[str] = field(default_factory=list)  # accounts whose index is no database any more

    def add(self, account: str, copied: Copied) -> None:
        self.mailboxes += 1
        self.messages += copied.messages
        self.files += copied.files
        self.octets += copied.octets
        self.written += copied.written
        if copied.missing:
            self.missing[account] = copied.missing
        if copied.damaged:
            self.damaged.append(account)


def make(
    source: Source,
    directory: Path,
    told: Callable[[int, int, str], None] = lambda _done, _all, _name: None,
    clock: Callable[[], float] = time.time,
) -> tuple[Path, Summary]:
    """Add a backup to a directory of them; `told(done, all, account)` is called before each account. Raises
    BackupRefused, StorageFailed."""
    if not (source.state / ACCOUNTS).exists():
        raise BackupRefused(f"{source.state}: there are no accounts yet")
    if directory.resolve().is_relative_to(source.state.resolve()):
        raise BackupRefused(f"{directory} is in the state directory, which is to be kept elsewhere")
    with storage_errors():
        source.there()  # or it would be a backup of users without mail, and others would be removed for it
        make_all(directory)
        with _alone_in(directory):
            return _Making(source, directory, int(clock())).run(told)


@contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupRefused(f"another backup is being written to {directory}") from None
        yield
    finally:
        os.close(descriptor)


class _Making:
    def __init__(self, source: Source, directory: Path, begun: int) -> None:
        self._source = source
        self._directory = directory
        self._begun = begun
        self._place = directory / _UNFINISHED
        self._earlier: Path | None = None
        self._known: dict[str, str] = {}  # what the earlier one says of indexes, by place
        for earlier in reversed(finished(directory)):
            with suppress(BackupRefused):
                before = found(earlier)
                self._earlier = earlier
                self._known = {each.place: each.index for each in before.mailboxes()}
                break
        self._summary = Summary()

    def run(self, told: Callable[[int, int, str], None]) -> tuple[Path, Summary]:
        while (name := self._directory / time.strftime(_NAME, time.gmtime(self._begun))).exists():
            self._begun += 1
        make_all(self._place / STATE)
        (self._place / MARKER).unlink(missing_ok=True)
        with (self._place / CONTENTS).open("w", encoding="utf-8") as contents:
            for row in self._rows(told):
                contents.write(json.dumps(row, ensure_ascii=False) + "\n")
        sync_all(self._place)
        self._mark()
        self._place.rename(name)
        sync_directory(self._directory)
        return name, self._summary

    def _rows(self, told: Callable[[int, int, str], None]) -> Iterator[dict[str, Any]]:
        yield from self._files()
        accounts = self._accounts()
        self._summary.accounts = len(accounts)
        for done, (local, domain) in enumerate(accounts):
            told(done, len(accounts), f"{local}@{domain}")
            row = self._mailbox(local, domain)
            if row is not None:
                yield row

    def _files(self) -> Iterator[dict[str, Any]]:
        place = self._place / STATE
        keys = _read(self._source.state / KEYS)
        for name in KEPT:
            shutil.rmtree(place / name, ignore_errors=True)  # of a run that was interrupted
            if name == ACCOUNTS:
                copy_database(self._source.state / name, place / name)
                yield self._file(place / name)
                continue
            for path in _below(self._source.state / name):
                target = place / path.relative_to(self._source.state)
                make_all(target.parent)
                try:
                    copy_raw(path, target)
                except FileNotFoundError:
                    continue
                if name == KEYS:
                    _add_keys(target, keys)
                yield self._file(target)

    def _file(self, path: Path) -> dict[str, Any]:
        return {"file": os.fspath(path.relative_to(self._place)), "sha256": sha256(path)}

    def _accounts(self) -> list[tuple[str, str]]:
        with closing(read_only(self._place / STATE / ACCOUNTS, immutable=True)) as connection:
            return connection.execute("SELECT local, domain FROM accounts ORDER BY domain, local").fetchall()

    def _mailbox(self, local: str, domain: str) -> dict[str, Any] | None:
        places = [Path("mail") / each / "Maildir" for each in self._source.places_of(local, domain)]
        place, target = places[0], self._place / places[0]
        self._gather(places)
        before = next((each for each in places if self._earlier and (self._earlier / each).exists()), None)
        earlier = None if self._earlier is None or before is None else self._earlier / before
        try:
            with storage_errors():
                copied = copy_mailbox(self._source.maildir_of(local, domain), target, earlier)
        except StorageFailed as error:
            raise type(error)(f"{local}@{domain}: {error}") from error
        if copied is None:
            self._source.there()  # still
            shutil.rmtree(target.parent, ignore_errors=True)
            return None
        self._summary.add(f"{local}@{domain}", copied)
        digest = ""
        if copied.has_index:
            digest = self._known.get(os.fspath(before), "") if before is not None and copied.same_index else ""
            digest = digest or sha256(index_path(target))
        mailbox = Mailbox(local, domain, os.fspath(place), digest, copied.damaged, copied.files, copied.octets)
        return asdict(mailbox)

    def _gather(self, places: Sequence[Path]) -> None:
        """What a run that was interrupted has put in another place goes on in ours."""
        place, *others = (self._place / each.parent for each in places)
        for other in others:
            if other.exists() and not place.exists():
                make_all(place.parent)
                other.rename(place)
                with suppress(OSError):
                    other.parent.rmdir()

    def _mark(self) -> None:
        marker: dict[str, Any] = {
            "format": FORMAT,
            "version": self._source.version,
            "schema": HEAD,
            "begun": self._begun,
            "contents": hashlib.sha256((self._place / CONTENTS).read_bytes()).hexdigest(),
            **asdict(self._summary),
        }
        passing = self._place / f"{MARKER}.new"
        with passing.open("w", encoding="utf-8") as file:
            json.dump(marker | {"sha256": digest_of(marker)}, file, ensure_ascii=False, indent=1)
            file.flush()
            os.fsync(file.fileno())
        passing.rename(self._place / MARKER)


def _read(path: Path) -> bytes:
    """ "" where there is no such file, or not any more."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _add_keys(copy: Path, keys: bytes) -> None:
    """Behind those that are in it already; what is no file of keys is left as it is."""
    there = copy.read_bytes()
    if len(keys) % KEY_OCTETS or len(there) % KEY_OCTETS:
        return
    missing = [key for key in each(keys) if key not in each(there)]
    if missing:
        with copy.open("ab") as file:
            file.write(b"".join(missing))


def _below(path: Path) -> Iterator[Path]:
    """A file, or the files below a directory."""
    if path.is_dir() and not path.is_symlink():
        for each in sorted(path.iterdir()):
            yield from _below(each)
    elif path.is_file():
        yield path
