"""Notices as one archive (ZIP), made while it is sent: a hundred thousand mails are never in memory or on disk at once.

What is kept of each is its entry in the archive's directory, some 80 octets. The format is that of PKWARE's APPNOTE
6.3.9: 4.3.7 (an entry), 4.3.12 (the directory) and 4.3.14 to 4.3.16 (its end; ZIP64 where there are many entries).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

PIECE: Final = 1 << 16  # octets that are sent at once, or a little more
_DEFLATED: Final = 8
_UTF_8: Final = 1 << 11  # the names' charset
_VERSION: Final = 45  # 4.5: ZIP64
_MANY: Final = 0xFFFF  # entries, and
_LARGE: Final = 0xFFFFFFFF  # octets, as a field says that another has them


def archive(files: Iterable[tuple[str, bytes]], made: datetime) -> Iterator[bytes]:
    """`files` by name; a name is given once. What they raise ends it in the middle."""
    day = (made.year - 1980) << 9 | made.month << 5 | made.day
    moment = made.hour << 11 | made.minute << 5 | made.second // 2
    directory, at, count = bytearray(), 0, 0
    waiting = bytearray()
    for text, content in files:
        name, packed = text.encode(), _deflated(content)
        about = (_VERSION, _UTF_8, _DEFLATED, moment, day, zlib.crc32(content), len(packed), len(content), len(name))
        waiting += struct.pack("<4s5H3I2H", b"PK\3\4", *about, 0) + name + packed
        further = struct.pack("<2HQ", 1, 8, at) if at >= _LARGE else b""
        place = min(at, _LARGE)
        directory += struct.pack("<4s6H3I5H2I", b"PK\1\2", _VERSION, *about, len(further), 0, 0, 0, 0, place)
        directory += name + further
        at += 30 + len(name) + len(packed)
        count += 1
        if len(waiting) >= PIECE:
            yield bytes(waiting)
            waiting.clear()
    yield bytes(waiting + directory + _end(count, len(directory), at))


def _deflated(content: bytes) -> bytes:
    packing = zlib.compressobj(wbits=-15)
    return packing.compress(content) + packing.flush()


def _end(count: int, size: int, at: int) -> bytes:
    """Behind the directory, which begins at `at`."""
    end = b""
    if count >= _MANY or at + size >= _LARGE:
        end += struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, _VERSION, _VERSION, 0, 0, count, count, size, at)
        end += struct.pack("<4sIQI", b"PK\6\7", 0, at + size, 1)
    few = min(count, _MANY)
    return end + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, few, few, min(size, _LARGE), min(at, _LARGE), 0)
