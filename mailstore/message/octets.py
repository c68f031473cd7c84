"""A message's octets for those who pass over all of them.

A mapped file counts as the process's memory for as long as its pages are in use, so what was passed over is
given back step by step: a message of any size costs some steps of memory and no more. What is handed out
is always a copy, and nothing keeps the mapping alive.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from typing import Final

MAPPED: Final = 4 * 1024 * 1024  # a mapping up to this size is simply read
STEP: Final = 1024 * 1024  # a multiple of every page size
_OVERLAP: Final = 4096


class Windows:
    """A message that is read from its file as it is looked at. Slices are copies; reading may raise MessageLost."""

    __slots__ = ("_read", "_size")

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        """`read(offset, length)` gives the octets there."""
        self._read = read
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice) -> bytes:
        start, stop, step = part.indices(self._size)
        if step != 1:
            raise ValueError("only whole runs of octets are read")
        return self._read(start, stop - start) if start < stop else b""


class Octets:
    """The octets of one message, in memory whole."""

    __slots__ = ("_data", "find", "size")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)
        self.find = data.find

    def slice(self, start: int, end: int) -> bytes:
        return self._data[start:end]

    def line_ends(self, start: int, end: int) -> int:
        """How many LF there are from `start` to before `end`."""
        return self._data.count(b"\n", start, end)


class MappedOctets:
    """The same of a mapped file, or of one read in windows: one step of it at a time is in memory."""

    __slots__ = ("_base", "_data", "_window", "size")

    def __init__(self, data: mmap.mmap | Windows) -> None:
        self._data = data
        self.size = len(data)
        self._base = 0
        self._window = b""

    def find(self, needle: bytes, start: int, end: int) -> int:
        """As bytes.find; for a needle of at most _OVERLAP octets."""
        end = min(end, self.size)
        while start < end:
            self._load(start)
            within = min(end - self._base, STEP + len(needle) - 1)
            found = self._window.find(needle, start - self._base, within)
            if found >= 0:
                return self._base + found
            start = self._base + STEP
        return -1

    def slice(self, start: int, end: int) -> bytes:
        if self._base <= start and end <= self._base + len(self._window):
            return self._window[start - self._base : end - self._base]
        octets = self._data[start:end]
        _give_back(self._data, start, end)
        return octets

    def line_ends(self, start: int, end: int) -> int:
        """How many LF there are from `start` to before `end`."""
        count = 0
        while start < end:
            self._load(start)
            count += self._window.count(b"\n", start - self._base, min(end - self._base, STEP))
            start = self._base + STEP
        return count

    def _load(self, position: int) -> None:
        base = position - position % STEP
        if self._window and base == self._base:
            return
        self._window = b""
        self._window = self._data[base : base + STEP + _OVERLAP]
        self._base = base
        _give_back(self._data, base, base + len(self._window))


def octets(data: bytes | mmap.mmap | Windows) -> Octets | MappedOctets:
    """The right one of the two."""
    if not isinstance(data, bytes):
        if len(data) > MAPPED:
            return MappedOctets(data)
        data = data[:]
    return Octets(data)


def pieces(data: bytes | mmap.mmap | Windows, start: int, end: int, step: int) -> Iterator[bytes]:
    """The octets from `start` to `end` in order, at most `step` at a time."""
    for at in range(start, end, step):
        stop = min(at + step, end)
        yield data[at:stop]
        _give_back(data, at, stop)


def _give_back(data: bytes | mmap.mmap | Windows, start: int, end: int) -> None:
    """Let go of the pages of a range, and of those around it: a read maps neighbouring pages, too.

    They come back from the file when read again.
    """
    if not isinstance(data, mmap.mmap):
        return
    start = max(start - STEP, 0)
    start -= start % mmap.PAGESIZE
    end = min(end + STEP, len(data))
    if end > start:
        data.madvise(mmap.MADV_DONTNEED, start, end - start)
