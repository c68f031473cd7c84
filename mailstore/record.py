"""The record beside an index: everything that is written to the index, once more, in a file that only grows.

An index that is lost is made again from it, with the UIDs, UIDVALIDITY and ledger that it had (`mailstore.replaying`).
So nothing that damages a database damages the record: it is no database, each entry has a check sum, and what is
damaged in it costs that entry alone.

- An entry is what one transaction wrote (`mailstore.noting`), under the number that the transaction gave to
  `mailboxes.recorded`. It is appended when the transaction is on stable storage, in one write, by whichever process:
  entries may stand in another order than that of their numbers. So the record is never ahead of its index. An index
  that is behind its record is an older one, which would give UIDs out a second time.
- The record is not waited for: a loss of power may take what the kernel had not written yet, half a minute as a rule.
  Then it is behind the index, and is written anew from it at the next opening; so it is after a crash between commit
  and entry, and where the disk refused an entry. If index and record are lost together with the power, what was in
  these entries is known from the Maildir alone, and numbers go on a million higher (`mailstore.index.ahead`).
- When it has grown far beyond the index it is written anew, when nobody is waiting.

It is opened for each entry: another process may have put a new one there, which has all that was committed before.
"""

from __future__ import annotations

import marshal
import mmap
import os
import sqlite3
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mailstore.noting import FORM, KEPT, packed
from mailstore.schema import HEAD

SPARE: Final = 512 * 1024  # octets by which the record may be larger than twice the index
_FORMAT: Final = 1
_BEGIN, _END = b"\x89mfr", b"rfm\x8a"
_FRAME: Final = struct.Struct("<4sIIQ")  # mark, octets, check sum, number
_TAIL: Final = struct.Struct("<I4s")  # octets, mark
_ROWS: Final = 500  # in an entry of a record that is written anew


def record_path(index: Path) -> Path:
    return index.with_name(index.name + ".record")


@dataclass(frozen=True, slots=True)
class Header:
    """What a record begins with."""

    head: str  # of the schema
    token: str  # of the mailbox
    tables: list[str]  # the statements that make them


@dataclass(frozen=True, slots=True)
class Entry:
    number: int
    octets: bytes


@dataclass(frozen=True, slots=True)
class State:
    """What a record is found to be, beside its index."""

    header: Header
    last: int  # the highest number
    whole: bool  # is nothing missing, as far as was looked?


class Record:
    """One process's way into the record of an index that it has open."""

    def __init__(self, index: Path) -> None:
        self.path = record_path(index)
        self._index = index
        self._inode = _inode(index)
        self.behind = False  # is something missing in it?
        self._octets = 0  # appended since it was looked at
        self._waiting: list[bytes] = []  # entries of transactions that are not on stable storage yet

    def take(self, number: int, octets: bytes) -> None:
        """What a transaction wrote. It waits for `write`."""
        self._waiting.append(_framed(number, octets))

    @property
    def ours(self) -> bool:
        """Is it that of the index which is open? That may have been taken away, and another one have been made."""
        return _inode(self._index) in {None, self._inode}

    def write(self) -> None:
        """Append what waits. Raises nothing: an index can do without."""
        if not self._waiting:
            return
        octets = b"".join(self._waiting)
        self._waiting.clear()
        if not self.ours:
            return
        try:
            record = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)  # the one that is there now
            try:
                self.behind |= os.write(record, octets) != len(octets)
                self._octets += len(octets)
            finally:
                os.close(record)
        except OSError:
            self.behind = True

    def due(self) -> bool:
        """Is it to be written anew: is something missing in it, or has it grown too large for what is in it?"""
        if self.behind:
            return self.ours
        if not self._octets:
            return False
        self._octets = 0
        log = self._index.with_name(self._index.name + "-wal")
        return _octets(self.path) > SPARE + 2 * (_octets(self._index) + _octets(log))

    def write_anew(self, driver: sqlite3.Connection) -> None:
        """From the index, within a transaction that nobody writes beside. Raises OSError."""
        made = self.path.with_name(self.path.name + ".made")
        try:
            with open(made, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                for entry in _all_of(driver):
                    file.write(_framed(entry.number, entry.octets))
                file.flush()
                if self.path.exists():  # what it takes the place of is better than none
                    os.fsync(file.fileno())
            made.rename(self.path)
        except BaseException:
            made.unlink(missing_ok=True)
            raise
        self._waiting.clear()  # it is in there
        self.behind = False


def _octets(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0


def _inode(path: Path) -> int | None:
    try:
        return os.stat(path).st_ino  # noqa: PTH116 - after each commit
    except OSError:
        return None


def _framed(number: int, octets: bytes) -> bytes:
    head = _FRAME.pack(_BEGIN, len(octets), _sum(number, octets), number)
    return head + octets + _TAIL.pack(len(octets), _END)


def _sum(number: int, octets: bytes | memoryview) -> int:
    return zlib.crc32(octets, zlib.crc32(number.to_bytes(8)))


def _all_of(driver: sqlite3.Connection) -> Iterator[Entry]:
    """Header and rows, all under the number of the last transaction."""
    number, token = driver.execute("SELECT recorded, token FROM mailboxes").fetchone()
    names = [table.name for table in KEPT]
    wanted = ", ".join("?" * len(names))
    query = f"SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND tbl_name IN ({wanted}) ORDER BY type DESC"  # noqa: S608 - ours
    header = {
        "format": _FORMAT,
        "head": HEAD,
        "token": token,
        "tables": [sql for (sql,) in driver.execute(query, names)],
    }
    yield Entry(number, marshal.dumps(header, FORM))
    for table in KEPT:
        columns = [column.name for column in table.columns]
        listed, places = ", ".join(columns), ", ".join("?" * len(columns))
        insert = f"INSERT INTO {table.name} ({listed}) VALUES ({places})"  # noqa: S608 - ours
        rows = driver.execute(f"SELECT {listed} FROM {table.name}")  # noqa: S608 - ours
        while some := rows.fetchmany(_ROWS):
            yield Entry(number, packed(insert, some))


# Reading


def state(path: Path, *, thorough: bool) -> State | None:
    """What there is; None where there is no record, or none that can be used. `thorough`: whoever wrote it may have
    ended before it was done."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            header = _header(data)
            if header is None:
                return None
            last = _last(data)
            if last is not None and not thorough:
                return State(header, last.number, whole=True)
            numbers, whole = _numbers(data)
            return State(header, max(numbers), whole and last is not None)
    except (OSError, ValueError):  # an empty file cannot be mapped
        return None


def entries(path: Path) -> tuple[Header, list[Entry], int] | None:
    """The header, what can be read of the entries in the order of their numbers, and the octets that cannot. None
    where there is no record, or none that can be used."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            header = _header(data)
            if header is None:
                return None
            found = [Entry(number, data[at : at + octets]) for number, at, octets in _frames(data)]
            lost = len(data) - sum(_FRAME.size + len(entry.octets) + _TAIL.size for entry in found)
    except (OSError, ValueError):
        return None
    base = found[0].number
    found = found[1:]
    rows = [entry for entry in found if entry.number == base]
    later = sorted((entry for entry in found if entry.number > base), key=lambda entry: entry.number)
    return header, rows + later, lost


def _header(data: mmap.mmap) -> Header | None:
    found = _frame(data, 0)
    if found is None:
        return None
    try:
        value: dict[str, Any] = marshal.loads(data[_FRAME.size : _FRAME.size + found[1]])  # noqa: S302 - its sum is right
        if value["format"] != _FORMAT:
            return None
        return Header(value["head"], value["token"], value["tables"])
    except (ValueError, EOFError, TypeError, KeyError):
        return None


def _frame(data: mmap.mmap, at: int) -> tuple[int, int] | None:
    """Number and octets of the frame that begins there, None where there is no whole one."""
    if at < 0 or at + _FRAME.size + _TAIL.size > len(data):
        return None
    mark, octets, check, number = _FRAME.unpack_from(data, at)
    begin, end = at + _FRAME.size, at + _FRAME.size + octets
    if mark != _BEGIN or end + _TAIL.size > len(data) or data[end : end + _TAIL.size] != _TAIL.pack(octets, _END):
        return None
    with memoryview(data) as view, view[begin:end] as piece:
        return (number, octets) if _sum(number, piece) == check else None


def _last(data: mmap.mmap) -> Entry | None:
    """The last entry, without its octets; None where the file does not end with a whole one."""
    if len(data) < _TAIL.size:
        return None
    octets, mark = _TAIL.unpack_from(data, len(data) - _TAIL.size)
    found = _frame(data, len(data) - _TAIL.size - octets - _FRAME.size) if mark == _END else None
    return None if found is None or found[1] != octets else Entry(found[0], b"")


def _frames(data: mmap.mmap) -> Iterator[tuple[int, int, int]]:
    """Number, place and octets of the contents of each whole frame; what is damaged is passed over."""
    at = 0
    while at >= 0:
        found = _frame(data, at)
        if found is None:
            at = data.find(_BEGIN, at + 1)
            continue
        number, octets = found
        yield number, at + _FRAME.size, octets
        at += _FRAME.size + octets + _TAIL.size
        if at >= len(data):
            return


def _numbers(data: mmap.mmap) -> tuple[set[int], bool]:
    """Of all that can be read, and whether none is missing between the first and the last and nothing is damaged."""
    numbers, read = set(), 0
    for number, _, octets in _frames(data):
        numbers.add(number)
        read += _FRAME.size + octets + _TAIL.size
    return numbers, read == len(data) and _in_a_row(numbers)


def _in_a_row(numbers: Iterable[int]) -> bool:
    found = set(numbers)
    return max(found) - min(found) + 1 == len(found)
