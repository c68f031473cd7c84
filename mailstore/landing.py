"""Where a move's messages come down: from bytes off the wire to files that are durable and in place.

Three steps, each in a thread of its own if its caller likes, and each batch through all of them in order:
`hand_over` puts messages into the INBOX's `tmp` as they arrive; `settle` is the barrier, bytes first, then the
names in the `cur` of their folders; the ledger's `enter` then makes the batch visible. What a crash leaves behind is
known by its name, which carries the mailbox's token and the ledger row: `clear_leftovers` removes it when the row is
about to be fetched again.

Where several nodes may move the account, names carry the number of the lease as well, and what is removed is of this
lease or an earlier one. Before names are given the lease is looked at; what a node that was stopped just then gives all
the same has a name of its own, and is known for what it is (`mailstore.intake`).

What writes is a `mailstore.writing.Writer`, or one in another process (`mailstore.scribe`).
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from mailstore.entries import Entry, Landed
from mailstore.index.awaited import Noted
from mailstore.index.folders import INBOX_ID
from mailstore.index.rows import NO_FLAGS, shared_flags
from mailstore.maildir import Maildir, fence_of, info, ledger_of, marked, sync_directory, sync_files, sync_names
from mailstore.message.arrival import arrival, header_end
from mailstore.refusals import storage_errors
from mailstore.writing import HEADER_LIMIT, Given, Marked, OpenWriter, Writer, Writes, flags_by, passing_name

CURS: Final = 64  # directories that are kept open

# What is handed over, in order of arrival: a whole message, or one in pieces.
Whole = tuple[Entry, bytes]


@dataclass(slots=True)
class Arriving:
    """A message that comes in pieces."""

    entry: Entry
    pieces: list[bytes] = field(default_factory=list)
    ended: bool = False


class Written(NamedTuple):
    """A message whose bytes are in `tmp`, not yet durable."""

    passing: str
    landed: Landed


_INBOX_ALONE: Mapping[int, str] = {INBOX_ID: ""}


def _nobody_else() -> None:
    """There is one node."""


def noted(ledger_id: int, data: bytes, *, seen: str, now: float) -> Noted | None:
    """What a header tells that came before its message; None where it is too long to be kept."""
    header = data[: header_end(data)]
    if len(header) > HEADER_LIMIT:
        return None
    found = arrival(header)
    date = int(now) if found.internal_date is None else found.internal_date
    return Noted(ledger_id, header, date, flags_by(seen, found.flags))


class Landing:
    """One move's way into one Maildir. The calls of a step follow each other."""

    def __init__(
        self,
        maildir: Maildir,
        token: str,
        *,
        seen: str,
        clock: Callable[[], float],
        directories: Mapping[int, str] = _INBOX_ALONE,
        open_writer: OpenWriter = Writer,
        fence: int = 0,
        look: Callable[[], None] = _nobody_else,
    ) -> None:
        """`seen` as in `mailstore.writing.Writer`; `directories` are the folders', by id. `fence` is the number of the
        lease, and `look` raises LeaseLost where another node has it. Raises StorageFailed."""
        self._maildir = maildir
        self._token = token
        self._fence = fence
        self._marked = marked(token, fence)
        self._look = look
        self._directories = directories
        self._clock = clock
        self._under_way: deque[Mapping[int, Entry]] = deque()  # what was handed over together, by row
        self._spoilt: list[tuple[Entry, str]] = []
        self._writer: Writes | None = None
        self._tmp = -1  # opened before anything is written there: see `sync_files`
        self._curs: dict[int, int] = {}  # folder → descriptor of its `cur`
        try:
            with storage_errors():
                self._tmp = os.open(maildir.root / "tmp", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                self._cur(INBOX_ID)
                self._writer = open_writer(maildir.root / "tmp", self._marked, seen)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give up what is not settled, and the room that it takes. Idempotent."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
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
        """Of these rows; None: of all. What another node writes, or has removed, is left to it."""
        for name in os.listdir(fd):
            row = ledger_of(name, self._token)
            if row is not None and (again is None or row in again) and fence_of(name) <= self._fence:
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=fd)

    # First step

    def write(self, arrivals: Sequence[Whole | Arriving]) -> list[Written]:
        """Write what has arrived; gives back the messages that are complete. Raises StorageFailed; DiskFull while there
        is a little room left, which is not a move's to take."""
        written = self.hand_over(arrivals)
        while self.under_way:
            written += self.handed_over()
        return written

    @property
    def under_way(self) -> bool:
        """Is something handed over of which nothing has been heard?"""
        return bool(self._under_way)

    def hand_over(self, arrivals: Sequence[Whole | Arriving]) -> list[Written]:
        """The same, but what is handed over may still be under way, to be written while more arrives: the messages that
        are given back may be those of the call before."""
        writer, entries = self._writer, dict[int, Entry]()
        assert writer is not None
        given: list[Given] = []
        for item in arrivals:
            if isinstance(item, tuple):
                entry, data = item
                given.append((entry.id, _marked(entry), data, True))
            else:
                entry = item.entry
                given.append((entry.id, _marked(entry), item.pieces, item.ended))
            entries[entry.id] = entry
        with storage_errors():
            writer.begin(given, self._clock())
        self._under_way.append(entries)
        return self.handed_over() if len(self._under_way) > writer.ahead else []

    def handed_over(self) -> list[Written]:
        """Wait for the oldest that is under way. Gives back and raises as `write`."""
        assert self._writer is not None
        with storage_errors():
            found, spoilt = self._writer.finish()
        entries, token = self._under_way.popleft(), self._marked
        self._spoilt += [(entries[row], words) for row, words in spoilt]
        return [
            Written(
                passing_name(row, token),
                Landed(entries[row], octets, sha256, date, shared_flags(flags) if flags else NO_FLAGS, file, like),
            )
            for row, octets, sha256, date, flags, file, like in found
        ]

    def take_spoilt(self) -> list[tuple[Entry, str]]:
        """What the disk refused since the last time, with its words."""
        spoilt, self._spoilt = self._spoilt, []
        return spoilt

    # Second step

    def settle(self, written: Sequence[Written]) -> None:
        """The barrier for a batch: when this returns, bytes and names are on stable storage. Raises StorageFailed,
        LeaseLost."""
        with storage_errors():
            try:
                sync_files(self._tmp, [message.passing for message in written])
            finally:  # whoever has the account now may have taken them away
                self._look()
            touched: dict[int, list[str]] = {}
            for message in written:
                name = message.landed.file + info(message.landed.flags)
                folder_id = message.landed.entry.folder_id
                if folder_id not in self._directories:
                    continue  # the user deleted it: `enter` notes that, and what is in `tmp` is swept away
                os.rename(message.passing, name, src_dir_fd=self._tmp, dst_dir_fd=self._cur(folder_id))
                touched.setdefault(folder_id, []).append(name)
            for folder_id, names in touched.items():
                sync_directory(self._path(folder_id))
                sync_names(self._cur(folder_id), names)


def _marked(entry: Entry) -> Marked | None:
    return None if entry.marks is None else (entry.marks.flags, entry.marks.internal_date)
