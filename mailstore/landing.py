"""Where a move's messages come down: from bytes off the wire to files that are durable and in place.

Three steps, each in a thread of its own if its caller likes, and each batch through all of them in order:
`write` puts messages into the INBOX's `tmp` as they arrive; `settle` is the barrier, bytes first, then the
names in the `cur` of their folders; the ledger's `enter` then makes the batch visible. What a crash leaves behind is
known by its name, which carries the mailbox's token and the ledger row: `clear_leftovers` removes it when the row is
about to be fetched again.

Bytes are stored exactly as they came (invariant 4).

A file that the disk refuses by itself (damaged blocks, larger than files may be) is `spoilt`, and the messages behind
it go on (invariant 6). Whatever it refuses any file for, or several in a row, is a StorageFailed.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from mailstore.database import storage_errors
from mailstore.index.awaited import Noted
from mailstore.index.folders import INBOX_ID
from mailstore.index.rows import NO_FLAGS, SEEN, Flags
from mailstore.ledger import Entry, Landed
from mailstore.maildir import Maildir, crlf_size, info, ledger_of, sync_directory, sync_files, unique_name
from mailstore.message.arrival import arrival, arrival_by, header_end
from mailstore.message.glance import glance
from mailstore.message.likeness import likeness_by
from mailstore.room import leave_room

HEADER_LIMIT: Final = 64 * 1024  # of a message, what is looked at for date and flags
CURS: Final = 64  # directories that are kept open
SPOILT: Final = 3  # files in a row that a sound disk may refuse

# What a disk may say of one file, while it takes others.
_OF_ONE_FILE: Final = frozenset({errno.EIO, errno.EFBIG, errno.ENAMETOOLONG, errno.EOVERFLOW})

# What a `write` is handed, in order of arrival: a whole message, or one in pieces.
Whole = tuple[Entry, bytes]


@dataclass(slots=True)
class Arriving:
    """A message that comes in pieces."""

    entry: Entry
    pieces: list[bytes] = field(default_factory=list)
    ended: bool = False


@dataclass(slots=True)
class _Open:
    """A large message's file while it is being written."""

    passing: str
    fd: int
    digest: hashlib._Hash
    head: bytearray
    size: int = 0
    crlf_size: int = 0
    last: bytes = b""


class Written(NamedTuple):
    """A message whose bytes are in `tmp`, not yet durable."""

    passing: str
    landed: Landed


def _no_flags(_flags: Flags) -> Flags:
    return NO_FLAGS


def _seen_also(flags: Flags) -> Flags:
    return flags | {SEEN}


def _unseen(flags: Flags) -> Flags:
    return flags - {SEEN}


_SEEN_RULES: Mapping[str, Callable[[Flags], Flags]] = {
    "headers": lambda flags: flags,
    "all": _seen_also,
    "none": _no_flags,
}


# The same for what an IMAP server says: that a message is flagged, or answered, is no question of having read it.
_SEEN_RULES_OF_MARKS: Mapping[str, Callable[[Flags], Flags]] = {**_SEEN_RULES, "none": _unseen}
_INBOX_ALONE: Mapping[int, str] = {INBOX_ID: ""}


def flags_by(seen: str, found: Flags = NO_FLAGS) -> Flags:
    """The flags of a message whose header tells `found`, by the configuration's `seen`."""
    return _SEEN_RULES[seen](found)


def noted(ledger_id: int, data: bytes, *, seen: str, now: float) -> Noted | None:
    """What a header tells that came before its message; None where it is too long to be kept."""
    header = data[: header_end(data)]
    if len(header) > HEADER_LIMIT:
        return None
    found = arrival(header)
    date = int(now) if found.internal_date is None else found.internal_date
    return Noted(ledger_id, header, date, flags_by(seen, found.flags))


class Landing:
    """One move's way into one Maildir. `write` calls follow each other; so do `settle` calls."""

    def __init__(
        self,
        maildir: Maildir,
        token: str,
        *,
        seen: str,
        clock: Callable[[], float],
        directories: Mapping[int, str] = _INBOX_ALONE,
    ) -> None:
        """`seen` is the configuration's: `headers` takes flags from Status and X-Status, or from what an IMAP server
        says, `all` marks everything as read besides, `none` gives none of those, or nothing as read. `directories` are
        the folders', by id. Raises StorageFailed."""
        self._maildir = maildir
        self._token = token
        self._directories = directories
        self._flags = _SEEN_RULES[seen]
        self._marks = _SEEN_RULES_OF_MARKS[seen]
        self._clock = clock
        self._open: _Open | None = None
        self._skipped: Entry | None = None  # a large message that is spoilt, while its pieces still come
        self._in_a_row = 0  # spoilt, by now
        self._spoilt: list[tuple[Entry, str]] = []
        self._tmp = -1
        self._curs: dict[int, int] = {}  # folder → descriptor of its `cur`
        try:
            with storage_errors():
                self._tmp = os.open(maildir.root / "tmp", os.O_RDONLY | os.O_DIRECTORY)
                self._cur(INBOX_ID)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give up what is not settled, and the room that it takes. Idempotent."""
        if self._open is not None:
            os.close(self._open.fd)
            self._open = None
        if self._tmp >= 0:
            with suppress(OSError):  # the next move tries again
                self._clear(self._tmp)
        for fd in (self._tmp, *self._curs.values()):
            if fd >= 0:
                os.close(fd)
        self._tmp = -1
        self._curs.clear()

    def _cur(self, folder_id: int) -> int:
        """The descriptor of a folder's `cur`. Raises OSError where the folder is gone."""
        fd = self._curs.get(folder_id)
        if fd is None:
            if len(self._curs) >= CURS:  # the INBOX's, which came first, stays
                os.close(self._curs.pop(list(self._curs)[1]))
            fd = self._curs[folder_id] = os.open(self._path(folder_id), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return fd

    def _path(self, folder_id: int) -> Path:
        return self._maildir.folder(self._directories[folder_id]) / "cur"

    def clear_leftovers(self, entries: Iterable[Entry], unwanted: Collection[int] = ()) -> None:
        """Remove what an interrupted batch left for rows that are to be fetched again, and for those (by their ids)
        whose messages the user removed before they were here. Raises StorageFailed."""
        again, places = set(unwanted), {INBOX_ID}
        for entry in entries:
            again.add(entry.id)
            places.add(entry.folder_id)
        with storage_errors():
            self._clear(self._tmp, again)
            for folder_id in sorted(places & self._directories.keys()):
                self._clear(self._cur(folder_id), again)

    def _clear(self, fd: int, again: Collection[int] | None = None) -> None:
        """Of these rows; None: of all."""
        for name in os.listdir(fd):
            row = ledger_of(name, self._token)
            if row is not None and (again is None or row in again):
                os.unlink(name, dir_fd=fd)

    # First step

    def write(self, arrivals: Sequence[Whole | Arriving]) -> list[Written]:
        """Write what has arrived; gives back the messages that are complete. Raises StorageFailed; DiskFull while there
        is a little room left, which is not a move's to take."""
        done = []
        with storage_errors():
            leave_room(self._tmp, sum(map(_octets, arrivals)))
            for item in arrivals:
                try:
                    written = self._write_whole(*item) if isinstance(item, tuple) else self._write_pieces(item)
                except OSError as error:
                    self._spoil(item[0] if isinstance(item, tuple) else item.entry, error)
                    if not isinstance(item, tuple) and not item.ended:
                        self._skipped = item.entry
                    continue
                if written is not None:
                    done.append(written)
                    self._in_a_row = 0
        return done

    def take_spoilt(self) -> list[tuple[Entry, str]]:
        """What the disk refused of the last `write`, with its words."""
        spoilt, self._spoilt = self._spoilt, []
        return spoilt

    def _spoil(self, entry: Entry, error: OSError) -> None:
        """Leave out one file. Raises the error again if it is not about that file."""
        if self._open is not None:
            os.close(self._open.fd)
            self._open = None
        with suppress(OSError):  # half a message would take room that the others need
            os.unlink(_passing(entry, self._token), dir_fd=self._tmp)
        self._in_a_row += 1
        if error.errno not in _OF_ONE_FILE or self._in_a_row > SPOILT:
            raise error
        self._spoilt.append((entry, error.strerror or "I/O error"))

    def _create(self, entry: Entry) -> tuple[str, int]:
        name = _passing(entry, self._token)
        return name, os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600, dir_fd=self._tmp)

    def _write_whole(self, entry: Entry, data: bytes) -> Written:
        passing, fd = self._create(entry)
        try:
            _write_all(fd, data)
        finally:
            os.close(fd)
        sizes = (len(data), crlf_size(data))
        return self._written(passing, entry, data[:HEADER_LIMIT], sizes, hashlib.sha256(data).digest())

    def _write_pieces(self, item: Arriving) -> Written | None:
        if self._skipped is not None and self._skipped.id == item.entry.id:
            if item.ended:
                self._skipped = None
            return None
        large = self._open
        if large is None:
            large = self._open = _Open(*self._create(item.entry), hashlib.sha256(), bytearray())
        for piece in item.pieces:
            _write_all(large.fd, piece)
            large.digest.update(piece)
            if len(large.head) < HEADER_LIMIT:
                large.head += piece[: HEADER_LIMIT - len(large.head)]
            bare = piece.count(b"\n") - piece.count(b"\r\n")
            if large.last == b"\r" and piece[:1] == b"\n":
                bare -= 1
            large.size += len(piece)
            large.crlf_size += len(piece) + bare
            large.last = piece[-1:] or large.last
        if not item.ended:
            return None
        self._open = None
        os.close(large.fd)
        sizes = (large.size, large.crlf_size)
        return self._written(large.passing, item.entry, bytes(large.head), sizes, large.digest.digest())

    def _written(self, passing: str, entry: Entry, beginning: bytes, sizes: tuple[int, int], sha256: bytes) -> Written:
        now = self._clock()
        end = header_end(beginning)
        fields = glance(beginning[:end])
        found = arrival_by(fields)
        date, flags = found.internal_date, self._flags(found.flags)
        if entry.marks is not None:
            flags = self._marks(entry.marks.flags)
            date = date if entry.marks.internal_date is None else entry.marks.internal_date
        date = int(now) if date is None else date
        unique = unique_name(self._token, *sizes, now=date, ledger_id=entry.id)
        like = likeness_by(fields, beginning, end, sizes[0])
        return Written(passing, Landed(entry, sizes[0], sha256, date, flags, unique, like))

    # Second step

    def settle(self, written: Sequence[Written]) -> None:
        """The barrier for a batch: when this returns, bytes and names are on stable storage. Raises StorageFailed."""
        with storage_errors():
            sync_files(self._tmp, [message.passing for message in written])
            touched = set()
            for message in written:
                name = message.landed.file + info(message.landed.flags)
                folder_id = message.landed.entry.folder_id
                if folder_id not in self._directories:
                    continue  # the user deleted it: `enter` notes that, and what is in `tmp` is swept away
                os.rename(message.passing, name, src_dir_fd=self._tmp, dst_dir_fd=self._cur(folder_id))
                touched.add(folder_id)
            for folder_id in touched:
                sync_directory(self._path(folder_id))


def _passing(entry: Entry, token: str) -> str:
    return f"0.L{entry.id}_{token}.passing"


def _octets(item: Whole | Arriving) -> int:
    return len(item[1]) if isinstance(item, tuple) else sum(map(len, item.pieces))


def _write_all(fd: int, data: bytes) -> None:
    written = os.write(fd, data)
    while written < len(data):  # a write to a file is cut short only where space or a signal cuts it
        written += os.write(fd, memoryview(data)[written:])
