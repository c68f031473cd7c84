"""Taking in the files of other programs: measured, named as ours are, durable before the index has them.

What a name says of a file (`S=`, `W=`) is believed by nobody here: the file is read once from end to end.
Files that this store wrote keep their bytes (invariant 4), also when the index that knew them was lost. Other
programs' files have the line ends of their system, and go out with CRLF.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mailstore.index.reconcile import Lying
from mailstore.index.rows import Flags, shared_flags
from mailstore.maildir import NotAFile, flags_of, info, open_file, unique_name, unique_of

_PIECE: Final = 1024 * 1024
_LONGEST: Final = 255 - len(":2,DFRST")  # octets of a name without flags
_OURS: Final = re.compile(r"\d+\.(?:L\d+|M\d+P\d+Q[0-9a-f]+)_([0-9a-f]{12})(?:-\d+)?\.")
_SIZES: Final = re.compile(r",[SW]=(\d*)")


@dataclass(frozen=True, slots=True)
class Measured:
    """A file as it is: its octets, and those that are sent."""

    octets: int
    sent: int  # with each LF as CRLF
    modified: int  # seconds since 1970
    inode: tuple[int, int]
    links: int


@dataclass(frozen=True, slots=True)
class Adopted:
    """A file that is in place in `cur`."""

    file: str
    flags: Flags
    size: int
    internal_date: int
    native: bool
    was_new: bool
    name: str  # with flags
    wrong_sizes: bool  # its name told other sizes


def token_of(name: str) -> str | None:
    """The token of the mailbox that a file was made for by this store, None for another program's."""
    match = _OURS.match(name)
    return match[1] if match else None


def made_at(name: str) -> int:
    """When a file of ours was named, in seconds since 1970."""
    return int(name.partition(".")[0])


def measure(path: Path) -> Measured | None:
    """Read a file through; None where it is no plain file, cannot be read, is gone, or is just being written."""
    try:
        fd = open_file(path)
    except (OSError, NotAFile):
        return None
    try:
        before = os.fstat(fd)
        octets = bare = 0
        last = b""
        while piece := os.read(fd, _PIECE):
            octets += len(piece)
            bare += piece.count(b"\n") - piece.count(b"\r\n") - (last == b"\r" and piece[:1] == b"\n")
            last = piece[-1:]
        after = os.fstat(fd)
    except OSError:
        return None
    finally:
        os.close(fd)
    if octets != after.st_size or before.st_mtime_ns != after.st_mtime_ns:
        return None
    return Measured(octets, octets + bare, int(after.st_mtime), (after.st_dev, after.st_ino), after.st_nlink)


def adopt(folder: Path, lying: Lying, token: str, now: float, *, rename_unique: bool = False) -> Adopted | None:
    """Bring a file into `cur` under the name that the index will have for it; None where there is none to be had.
    `rename_unique`: another message has its unique name. Raises OSError."""
    path = folder / lying.sub / lying.name
    measured = measure(path)
    if measured is None:
        return None
    ours = token_of(lying.name) is not None
    native = not ours and measured.sent != measured.octets
    unique = unique_of(lying.name)
    wrong = _wrong_sizes(unique, measured)
    if rename_unique or not fits_a_row(unique):
        unique = unique_name(token, measured.octets, measured.sent, now=now)
        unique = unique if not native else unique.replace("_" + token, "", 1)  # not to be taken for one of ours
    elif wrong:
        unique = _with_sizes(unique, measured)
    flags = shared_flags(flags_of(lying.name))
    name = unique + info(flags)
    target = folder / "cur" / name
    if target != path:
        if target.exists():
            return None
        path.rename(target)
    size = measured.sent if native else measured.octets
    return Adopted(unique, flags, size, measured.modified, native, lying.sub == "new", name, wrong)


def with_right_sizes(name: str, measured: Measured) -> str:
    """A file's name, with flags, in which no other sizes stand than the file has."""
    unique, separator, letters = name.partition(":2,")
    return _with_sizes(unique, measured) + separator + letters if _wrong_sizes(unique, measured) else name


def _with_sizes(unique: str, measured: Measured) -> str:
    return f"{_SIZES.sub('', unique)},S={measured.octets},W={measured.sent}"


def fits_a_row(unique: str) -> bool:
    """Can the index keep this name, and the directory with flags behind it?"""
    try:
        return len(unique.encode()) <= _LONGEST
    except UnicodeEncodeError:  # not UTF-8 on disk
        return False


def _wrong_sizes(unique: str, measured: Measured) -> bool:
    for kind, right in (("S", measured.octets), ("W", measured.sent)):
        found = re.search(rf",{kind}=([^,]*)", unique)
        if found is not None and found[1] != str(right):
            return True
    return False
