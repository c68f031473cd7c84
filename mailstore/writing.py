"""Messages into files in a Maildir's `tmp`, and what is found out of each on the way: the first step of a landing.

Bytes are stored exactly as they came (invariant 4). A file that the disk refuses by itself (damaged blocks, larger
than files may be) is spoilt, and the messages behind it go on (invariant 6). Whatever it refuses any file for, or
several in a row, is an OSError.

Nothing here knows a database: `mailstore.scribe` runs it in a process of its own, which is to be small.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from mailstore.file_systems import of_the_server
from mailstore.index.rows import NO_FLAGS, SEEN, Flags
from mailstore.maildir import crlf_size, unique_name
from mailstore.message.arrival import arrival_by, header_end
from mailstore.message.glance import glance
from mailstore.message.likeness import likeness_by
from mailstore.room import leave_room

HEADER_LIMIT: Final = 64 * 1024  # of a message, what is looked at for date and flags
SPOILT: Final = 3  # files in a row that a sound disk may refuse

# What a disk may say of one file, while it takes others.
_OF_ONE_FILE: Final = frozenset({errno.EIO, errno.EFBIG, errno.ENAMETOOLONG, errno.EOVERFLOW})

Marked = tuple[Flags, int | None]  # flags and internal date, where a server told them


# What has come of the message of a ledger row, as a server told of it: all of it, or pieces of a large one, and whether
# that is the end.
Given = tuple[int, Marked | None, bytes | list[bytes], bool]

# A message whose bytes are in `tmp`, not yet durable: its row, octets, SHA-256, internal date and flags, the name that
# the file is to have, and its likeness.
Found = tuple[int, int, bytes, int, Flags, str, bytes | None]

Spoilt = tuple[int, str]  # a ledger row, and the disk's words


Answer = tuple[Sequence[Found], Sequence[Spoilt]]  # those that are complete, in order, and those that the disk refused


class Writes(Protocol):
    """What writes for one landing, in one thread at a time: each `begin` has its `finish`, in order.

    What either raises is OSError, or DiskFull while there is a little room left, which is not a move's to take. Nothing
    is begun or finished after that.
    """

    @property
    def ahead(self) -> int:
        """How many may go on being written while more is begun."""

    def begin(self, given: Sequence[Given], now: float) -> None:
        """Hand over what is to be written. `now` is for messages without a date."""

    def finish(self) -> Answer:
        """What has become of the oldest that was begun; waits for it."""

    def close(self) -> None:
        """Idempotent."""


OpenWriter = Callable[[Path, str, str], Writes]  # a `Writer`, or what stands for one


@dataclass(slots=True)
class _Open:
    """A large message's file while it is being written."""

    fd: int
    digest: hashlib._Hash
    head: bytearray
    size: int = 0
    crlf_size: int = 0
    last: bytes = b""


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


def flags_by(seen: str, found: Flags = NO_FLAGS) -> Flags:
    """The flags of a message whose header tells `found`, by the configuration's `seen`."""
    return _SEEN_RULES[seen](found)


def passing_name(row: int, token: str) -> str:
    """A message's name in `tmp`."""
    return f"0.L{row}_{token}.passing"


class Writer:
    """Writes what is begun at once, in the thread that begins it. Closing removes nothing."""

    ahead = 0

    def __init__(self, tmp: Path, token: str, seen: str) -> None:
        """`seen` is the configuration's: `headers` takes flags from Status and X-Status, or from what an IMAP server
        says, `all` marks everything as read besides, `none` gives none of those, or nothing as read. Raises OSError."""
        self._token = token
        self._flags = _SEEN_RULES[seen]
        self._marks = _SEEN_RULES_OF_MARKS[seen]
        self._open: _Open | None = None
        self._skipped: int | None = None  # the row of a large message that is spoilt, while its pieces still come
        self._in_a_row = 0  # spoilt, by now
        self._answers: deque[Answer] = deque()
        self._tmp = os.open(tmp, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        if self._open is not None:
            os.close(self._open.fd)
            self._open = None
        if self._tmp >= 0:
            os.close(self._tmp)
            self._tmp = -1

    def begin(self, given: Sequence[Given], now: float) -> None:
        self._answers.append(self.write(given, now))

    def finish(self) -> Answer:
        return self._answers.popleft()

    def write(self, given: Sequence[Given], now: float) -> Answer:
        """Both in one."""
        leave_room(self._tmp, sum(_octets(data) for _, _, data, _ in given))
        done: list[Found] = []
        spoilt: list[Spoilt] = []
        for row, marked, data, ended in given:
            try:
                if isinstance(data, bytes):
                    found: Found | None = self._whole(row, marked, data, now)
                else:
                    found = self._pieces(row, marked, data, now, ended=ended)
            except OSError as error:
                spoilt.append((row, self._spoil(row, error)))
                if not ended:
                    self._skipped = row
                continue
            if found is not None:
                done.append(found)
                self._in_a_row = 0
        return done, spoilt

    def _spoil(self, row: int, error: OSError) -> str:
        """Leave out one file. Raises the error again if it is not about that file."""
        if self._open is not None:
            os.close(self._open.fd)
            self._open = None
        with suppress(OSError):  # half a message would take room that the others need
            os.unlink(passing_name(row, self._token), dir_fd=self._tmp)
        self._in_a_row += 1
        if error.errno not in _OF_ONE_FILE or self._in_a_row > SPOILT or of_the_server(error, self._tmp):
            raise error
        return error.strerror or "I/O error"

    def _create(self, row: int) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        return os.open(passing_name(row, self._token), flags, 0o600, dir_fd=self._tmp)

    def _whole(self, row: int, marked: Marked | None, data: bytes, now: float) -> Found:
        fd = self._create(row)
        try:
            _write_all(fd, data)
        finally:
            os.close(fd)
        sizes = (len(data), crlf_size(data))
        return self._found(row, marked, data[:HEADER_LIMIT], sizes, hashlib.sha256(data).digest(), now)

    def _pieces(
        self, row: int, marked: Marked | None, pieces: Sequence[bytes], now: float, *, ended: bool
    ) -> Found | None:
        if self._skipped == row:
            if ended:
                self._skipped = None
            return None
        large = self._open
        if large is None:
            large = self._open = _Open(self._create(row), hashlib.sha256(), bytearray())
        for piece in pieces:
            _write_all(large.fd, piece)
            large.digest.update(piece)
            if len(large.head) < HEADER_LIMIT:
                large.head += piece[: HEADER_LIMIT - len(large.head)]
            bare = crlf_size(piece) - len(piece)
            if large.last == b"\r" and piece[:1] == b"\n":
                bare -= 1
            large.size += len(piece)
            large.crlf_size += len(piece) + bare
            large.last = piece[-1:] or large.last
        if not ended:
            return None
        self._open = None
        os.close(large.fd)
        sizes = (large.size, large.crlf_size)
        return self._found(row, marked, bytes(large.head), sizes, large.digest.digest(), now)

    def _found(
        self, row: int, marked: Marked | None, beginning: bytes, sizes: tuple[int, int], sha256: bytes, now: float
    ) -> Found:
        end = header_end(beginning)
        fields = glance(beginning[:end])
        date, flags = arrival_by(fields)
        flags = self._flags(flags)
        if marked is not None:
            flags = self._marks(marked[0])
            date = date if marked[1] is None else marked[1]
        date = int(now) if date is None else date
        file = unique_name(self._token, *sizes, now=date, ledger_id=row)
        return row, sizes[0], sha256, date, flags, file, likeness_by(fields, beginning, end, sizes[0])


def _octets(data: bytes | Sequence[bytes]) -> int:
    return len(data) if isinstance(data, bytes) else sum(map(len, data))


def _write_all(fd: int, data: bytes) -> None:
    written = os.write(fd, data)
    while written < len(data):  # a write to a file is cut short only where space or a signal cuts it
        written += os.write(fd, memoryview(data)[written:])
