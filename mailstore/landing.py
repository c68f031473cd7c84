"""Where a move's messages come down: from bytes off the wire to files that are durable and in place.

Three steps, each in a thread of its own if its caller likes, and each batch through all of them in order:
`write` puts messages into the INBOX's `tmp` as they arrive; `settle` is the barrier, bytes first, then the
names in `cur`; the ledger's `enter` then makes the batch visible. What a crash leaves behind is known by its
name, which carries the mailbox's token and the ledger row: `clear_leftovers` removes it when the row is about
to be fetched again.

Bytes are stored exactly as they came (invariant 4).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from mailstore.database import storage_errors
from mailstore.index.awaited import Noted
from mailstore.index.rows import NO_FLAGS, SEEN, Flags
from mailstore.ledger import Entry, Landed
from mailstore.maildir import Maildir, info, ledger_of, sync_directory, sync_files, unique_name
from mailstore.message.arrival import arrival, header_end

HEADER_LIMIT: Final = 64 * 1024  # of a message, what is looked at for date and flags

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


@dataclass(frozen=True, slots=True)
class Written:
    """A message whose bytes are in `tmp`, not yet durable."""

    passing: str
    landed: Landed


def _no_flags(_flags: Flags) -> Flags:
    return NO_FLAGS


def _seen_also(flags: Flags) -> Flags:
    return flags | {SEEN}


_SEEN_RULES: Mapping[str, Callable[[Flags], Flags]] = {
    "headers": lambda flags: flags,
    "all": _seen_also,
    "none": _no_flags,
}


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

    def __init__(self, maildir: Maildir, token: str, *, seen: str, clock: Callable[[], float]) -> None:
        """`seen` is the configuration's: `headers` takes flags from Status and X-Status, `all` marks everything as
        read besides, `none` gives no flags. Raises StorageFailed."""
        self._maildir = maildir
        self._token = token
        self._flags = _SEEN_RULES[seen]
        self._clock = clock
        self._open: _Open | None = None
        self._tmp = self._cur = -1
        try:
            with storage_errors():
                self._tmp = os.open(maildir.root / "tmp", os.O_RDONLY | os.O_DIRECTORY)
                self._cur = os.open(maildir.root / "cur", os.O_RDONLY | os.O_DIRECTORY)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give up what is half written. Idempotent."""
        if self._open is not None:
            os.close(self._open.fd)
            self._open = None
        for fd in (self._tmp, self._cur):
            if fd >= 0:
                os.close(fd)
        self._tmp = self._cur = -1

    def clear_leftovers(self, entries: Iterable[Entry], unwanted: Collection[int] = ()) -> None:
        """Remove what an interrupted batch left for rows that are to be fetched again, and for those (by their ids)
        whose messages the user removed before they were here. Raises StorageFailed."""
        again = {entry.id for entry in entries} | set(unwanted)
        with storage_errors():
            for fd in (self._tmp, self._cur):
                for name in os.listdir(fd):  # noqa: PTH208 - by descriptor, as everything here
                    row = ledger_of(name, self._token)
                    if row is not None and row in again:
                        os.unlink(name, dir_fd=fd)

    # First step

    def write(self, arrivals: Sequence[Whole | Arriving]) -> list[Written]:
        """Write what has arrived; gives back the messages that are complete. Raises StorageFailed."""
        done = []
        with storage_errors():
            for item in arrivals:
                if isinstance(item, tuple):
                    done.append(self._write_whole(*item))
                else:
                    written = self._write_pieces(item)
                    if written is not None:
                        done.append(written)
        return done

    def _create(self, entry: Entry) -> tuple[str, int]:
        name = f"0.L{entry.id}_{self._token}.passing"
        return name, os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600, dir_fd=self._tmp)

    def _write_whole(self, entry: Entry, data: bytes) -> Written:
        passing, fd = self._create(entry)
        try:
            _write_all(fd, data)
        finally:
            os.close(fd)
        size = len(data)
        crlf_size = size + data.count(b"\n") - data.count(b"\r\n")
        head = data[:HEADER_LIMIT]
        head = head[: header_end(head)]
        return self._written(passing, entry, head, (size, crlf_size), hashlib.sha256(data).digest())

    def _write_pieces(self, item: Arriving) -> Written | None:
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
        head = bytes(large.head)
        head = head[: header_end(head)]
        return self._written(large.passing, item.entry, head, (large.size, large.crlf_size), large.digest.digest())

    def _written(self, passing: str, entry: Entry, head: bytes, sizes: tuple[int, int], sha256: bytes) -> Written:
        now = self._clock()
        found = arrival(head)
        date = int(now) if found.internal_date is None else found.internal_date
        unique = unique_name(self._token, *sizes, now=date, ledger_id=entry.id)
        return Written(passing, Landed(entry, sizes[0], sha256, date, self._flags(found.flags), unique))

    # Second step

    def settle(self, written: Sequence[Written]) -> None:
        """The barrier for a batch: when this returns, bytes and names are on stable storage. Raises StorageFailed."""
        with storage_errors():
            sync_files(self._tmp, [message.passing for message in written])
            for message in written:
                name = message.landed.file + info(message.landed.flags)
                os.rename(message.passing, name, src_dir_fd=self._tmp, dst_dir_fd=self._cur)
            sync_directory(self._maildir.root / "cur")


def _write_all(fd: int, data: bytes) -> None:
    written = os.write(fd, data)
    while written < len(data):  # a write to a file is cut short only where space or a signal cuts it
        written += os.write(fd, memoryview(data)[written:])
