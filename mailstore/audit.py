"""An account's mail as somebody sees it who has to say whether all of it is here: ledger, index and files.

Nothing is changed, and no `MailHome` is opened: the daemon may have the same mailbox open, and a mailbox that is
damaged is to be seen as it is. What is read is one state of ledger and index; the files are looked at afterwards, so
that what seems wrong is to be looked at twice (`picture` again) before it is said.

`mailstore` knows nothing of the legacy server: what it lists and gives is held against this by `proxy.admin.verify`.
Any thread may call; one at a time for each `Audit`.
"""

from __future__ import annotations

import enum
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, select

from mailstore import schema
from mailstore.entries import Entry, Outcome
from mailstore.errors import MessageLost
from mailstore.index import marks
from mailstore.index.mailbox import EXACT
from mailstore.maildir import Maildir, open_file, unique_of
from mailstore.message.rewritten import Essence
from mailstore.onlooking import column_of
from mailstore.opening import Mailboxes, onlook
from mailstore.refusals import storage_errors

_PIECE: Final = 1024 * 1024
_ROWS: Final = 5_000  # fetched from the database at a time
_IN_THE_INDEX: Final = {Outcome.STORED, Outcome.LISTED, Outcome.QUARANTINED}  # or to be there under the row's UID
_LISTINGS: Final = 20  # of one folder whose files others rename all the time, between two pictures

_l, _m, _f = schema.ledger.c, schema.messages.c, schema.folders.c
_ENTRY: Final = [name for name in Entry._fields if name in _l]  # what the ledger keeps of it
_OUTCOME: Final = _ENTRY.index("outcome")


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder here. `directory` is below the Maildir; "" is the INBOX."""

    name: str
    directory: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A message in the index. `size` is of the file, unless it is `native` (another program's): then as it is sent."""

    folder_id: int
    directory: str
    uid: int
    size: int
    uidl: str
    file: str
    native: bool


@dataclass(frozen=True, slots=True)
class Audited:
    """A ledger row, and the message that it stands for where that is in the index."""

    entry: Entry
    sha256: bytes | None  # of the bytes as received; None: not stored, or not known since the index was made anew
    reason: str
    kept: Kept | None


@dataclass(frozen=True, slots=True)
class Picture:
    """Ledger and index at one moment. `others` are messages that no ledger row stands for: delivered here, or moved to
    another folder by the user."""

    rows: Sequence[Audited]  # oldest first
    others: Sequence[Kept]
    folders: Mapping[int, Folder]


class Condition(enum.Enum):
    """Of a message's file."""

    READ = "read"
    MISSING = "missing"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Examined:
    """What a file turned out to be. `size` in octets, -1 where it is not known."""

    condition: Condition
    size: int = -1
    sha256: bytes | None = None
    why: str = ""  # it cannot be read


@dataclass(slots=True)
class _Names:
    """The files of one folder, as they were called when they were listed: by unique name the subdirectory and what
    follows the unique name, of which few differ."""

    rests: dict[str, tuple[str, str]]
    times: marks.Times | None  # of the directories before that
    listed: int = 1  # how often


class Audit:
    """One account's."""

    def __init__(self, maildir: Path, account_id: int, engine: Mailboxes) -> None:
        self._engine = engine
        self._maildir = Maildir(maildir)
        self._account_id = account_id
        self._names: dict[str, _Names] = {}

    def picture(self) -> Picture:
        """Raises FileNotFoundError where there is no index; StorageFailed, StorageCorrupt."""
        self._names.clear()
        return onlook(self._engine, self._account_id, self._maildir.root, self._read)

    def _read(self, connection: Connection) -> Picture:
        statement = select(_f.id, _f.name, _f.directory).where(_f.account_id == self._account_id)
        folders = {id_: Folder(name, directory) for id_, name, directory in connection.execute(statement)}
        kept = self._messages(connection, folders)
        rows = self._ledger(connection, kept)
        return Picture(rows, list(kept.values()), folders)

    def _messages(self, connection: Connection, folders: Mapping[int, Folder]) -> dict[tuple[int, int], Kept]:
        line_ends = column_of(connection, _m.line_ends)
        statement = select(_m.folder_id, _m.uid, _m.size, _m.uidl, _m.file, line_ends)
        statement = statement.where(_m.account_id == self._account_id).order_by(_m.folder_id, _m.uid)
        found = connection.execution_options(yield_per=_ROWS).execute(statement)
        return {
            (folder_id, uid): Kept(folder_id, folders[folder_id].directory, uid, size, uidl, file, ends != EXACT)
            for folder_id, uid, size, uidl, file, ends in found
            if folder_id in folders
        }

    def _ledger(self, connection: Connection, kept: dict[tuple[int, int], Kept]) -> list[Audited]:
        """The rows; the messages that they stand for are taken out of `kept`."""
        columns = [column_of(connection, _l[name]).label(name) for name in _ENTRY]
        statement = select(*columns, _l.sha256, _l.reason)
        statement = statement.where(_l.account_id == self._account_id).order_by(_l.id)
        rows = []
        for *values, sha256, reason in connection.execution_options(yield_per=_ROWS).execute(statement):
            entry = Entry(**dict(zip(_ENTRY, values, strict=True)) | {"outcome": Outcome(values[_OUTCOME])})
            message = kept.pop(_place(entry), None) if entry.outcome in _IN_THE_INDEX else None
            if message is not None and message.uidl == entry.uidl:  # nearly always: kept once
                message = replace(message, uidl=entry.uidl)
            rows.append(Audited(entry, sha256, reason, message))
        return rows

    # Files

    def examine(self, messages: Sequence[Kept], told: Callable[[int], None] = lambda _octets: None) -> list[Examined]:
        """Read the files of messages from beginning to end. `told` hears of octets as they are read."""
        return [self._examine(message, told) for message in messages]

    def _examine(self, message: Kept, told: Callable[[int], None]) -> Examined:
        try:
            fd = self._open(message)
        except FileNotFoundError:
            return Examined(Condition.MISSING)
        except MessageLost as error:
            return Examined(Condition.UNREADABLE, why=str(error))
        except OSError as error:
            return Examined(Condition.UNREADABLE, why=f"the disk refused: {error.strerror}")
        digest, size = hashlib.sha256(), 0
        try:
            while piece := os.read(fd, _PIECE):
                digest.update(piece)
                size += len(piece)
                told(len(piece))
        except OSError as error:
            return Examined(Condition.UNREADABLE, size, why=f"the disk refused: {error.strerror}")
        finally:
            os.close(fd)
        return Examined(Condition.READ, size, digest.digest())

    def essence(self, message: Kept) -> bytes | None:
        """See `mailstore.message.rewritten`; None where the file cannot be read."""
        taken = Essence()
        with suppress(OSError, MessageLost):
            fd = self._open(message)
            try:
                while piece := os.read(fd, _PIECE):
                    taken.feed(piece)
            finally:
                os.close(fd)
            return taken.digest()
        return None

    def glance(self, messages: Sequence[Kept]) -> list[Examined]:
        """Are the files there, and how large are they? Reads none."""
        return [self._glance(message) for message in messages]

    def _glance(self, message: Kept) -> Examined:
        for path in self._paths(message):
            with suppress(OSError):
                return Examined(Condition.READ, Path(path).stat(follow_symlinks=False).st_size)
        return Examined(Condition.MISSING)

    def unnoticed(self, picture: Picture) -> int:
        """How many files are in the folders that the index does not know (yet)."""
        known: dict[str, set[str]] = {folder.directory: set() for folder in picture.folders.values()}
        for message in (*picture.others, *(row.kept for row in picture.rows if row.kept is not None)):
            known.setdefault(message.directory, set()).add(message.file)
        return sum(len(self._named(directory).rests.keys() - files) for directory, files in known.items())

    def _open(self, message: Kept) -> int:
        """Raises FileNotFoundError, NotAFile, OSError."""
        for path in self._paths(message):
            with suppress(FileNotFoundError):
                return open_file(path)
        raise FileNotFoundError

    def _paths(self, message: Kept) -> Iterator[str]:
        """Where the file was, and, if it has been renamed since, where it is. A folder is not listed for each message
        that is missing from it."""
        names = self._named(message.directory)
        if message.file in names.rests:
            yield self._path(message, names)
        if names.times != self._times(message.directory) and names.listed < _LISTINGS:
            again = self._names[message.directory] = self._list(message.directory, names.listed + 1)
            if message.file in again.rests:
                yield self._path(message, again)

    def _path(self, message: Kept, names: _Names) -> str:
        sub, rest = names.rests[message.file]
        return f"{self._maildir.folder(message.directory)}/{sub}/{message.file}{rest}"

    def _named(self, directory: str) -> _Names:
        names = self._names.get(directory)
        if names is None:
            names = self._names[directory] = self._list(directory, 1)
        return names

    def _list(self, directory: str, listed: int) -> _Names:
        names = _Names({}, self._times(directory), listed)
        shared: dict[tuple[str, str], tuple[str, str]] = {}
        for sub in ("new", "cur"):
            path = self._maildir.folder(directory) / sub
            with storage_errors(), suppress(FileNotFoundError), os.scandir(path) as entries:
                for entry in entries:
                    if not entry.name.startswith("."):
                        unique = unique_of(entry.name)
                        rest = (sub, entry.name[len(unique) :])
                        names.rests[unique] = shared.setdefault(rest, rest)
        return names

    def _times(self, directory: str) -> marks.Times | None:
        try:
            return marks.times(self._maildir.folder(directory))
        except OSError:
            return None


def _place(entry: Entry) -> tuple[int, int]:
    """Where in the index the message of a row is, or is to be."""
    return entry.folder_id, entry.uid or 0
