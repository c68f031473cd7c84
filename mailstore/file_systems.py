"""What file system a directory is on, and whether one call brings all of it to stable storage.

`syncfs` promises that what this kernel holds has left it. Where the kernel writes to a disk itself that is the disk.
Elsewhere it is a server, or a program: FUSE passes syncfs on to virtiofs and fuseblk alone (Linux 5.14,
fs/fuse/inode.c), so that GlusterFS, CephFS by FUSE and the like never hear of it; CIFS sends SMB2 FLUSH for fsync and
not for syncfs; NFS commits what is dirty, but has told each file's own `close` and `fsync` what went wrong, and not the
file system. So at once is only where the kernel itself writes; every other file is synced by itself, which asks the
server for just that file. A type that is not known here counts as the kernel's if it lies on a block device.

GlusterFS (10, as strace shows) answers fsync of a directory with yes, and its bricks do nothing about it. There a file
is synced once more when it has its name: the disk below has a journal, and brings the name along.
"""

from __future__ import annotations

import ctypes
import enum
import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_libc = ctypes.CDLL(None, use_errno=True)
_ROOM: Final = 256  # octets; struct statfs has some 120


# What a file system says whose server, or program, is gone: nothing of one file.
GONE: Final = frozenset(
    {errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ECONNABORTED}
)


class Kind(enum.StrEnum):
    """Who has the bytes in the end."""

    LOCAL = "local"  # a disk that this kernel writes to
    CLUSTER = "cluster"  # a disk that several kernels write to, and agree about
    MEMORY = "memory"  # nothing outlives the machine
    NETWORK = "network"  # a server
    FUSE = "fuse"  # a program of this machine, and whatever that has behind it
    UNKNOWN = "unknown"


# statfs(2), linux/magic.h, and what others have chosen for themselves
_KNOWN: Final[dict[int, tuple[str, Kind]]] = {
    0xEF53: ("ext4", Kind.LOCAL),
    0x58465342: ("xfs", Kind.LOCAL),
    0x9123683E: ("btrfs", Kind.LOCAL),
    0x2FC12FC1: ("zfs", Kind.LOCAL),
    0xF2F52010: ("f2fs", Kind.LOCAL),
    0xCA451A4E: ("bcachefs", Kind.LOCAL),
    0x3153464A: ("jfs", Kind.LOCAL),
    0x52654973: ("reiserfs", Kind.LOCAL),
    0x24051905: ("ubifs", Kind.LOCAL),
    0x4D44: ("vfat", Kind.LOCAL),
    0x2011BAB0: ("exfat", Kind.LOCAL),
    0x794C7630: ("overlay", Kind.LOCAL),
    0x01161970: ("gfs2", Kind.CLUSTER),
    0x7461636F: ("ocfs2", Kind.CLUSTER),
    0x01021994: ("tmpfs", Kind.MEMORY),
    0x858458F6: ("ramfs", Kind.MEMORY),
    0x6969: ("nfs", Kind.NETWORK),
    0x517B: ("smb", Kind.NETWORK),
    0xFF534D42: ("cifs", Kind.NETWORK),
    0xFE534D42: ("smb3", Kind.NETWORK),
    0x00C36400: ("ceph", Kind.NETWORK),
    0x0BD00BD0: ("lustre", Kind.NETWORK),
    0x01021997: ("9p", Kind.NETWORK),
    0x5346414F: ("afs", Kind.NETWORK),
    0x6B414653: ("afs", Kind.NETWORK),
    0x47504653: ("gpfs", Kind.NETWORK),
    0x19830326: ("beegfs", Kind.NETWORK),
    0x65735546: ("fuse", Kind.FUSE),
}
_BY_THIS_KERNEL: Final = frozenset({Kind.LOCAL, Kind.CLUSTER, Kind.MEMORY})
_NOT_THERE: Final = frozenset({Kind.NETWORK, Kind.FUSE})
_NAMES_BY_FILES: Final = frozenset({"fuse.glusterfs", "glusterfs"})  # as `mount` has it
_ESCAPED: Final = re.compile(rb"\\([0-7]{3})")


def _magic(descriptor: int) -> int:
    """`f_type` of statfs(2). Raises OSError."""
    room = ctypes.create_string_buffer(_ROOM)
    if _libc.fstatfs(descriptor, room):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return ctypes.c_long.from_buffer(room).value & 0xFFFFFFFF


def _kind(descriptor: int) -> tuple[str, Kind]:
    return _KNOWN.get(_magic(descriptor), ("", Kind.UNKNOWN))


def at_once(descriptor: int) -> bool:
    """Does `syncfs` bring all that was written on the file system of an open file or directory to stable storage?
    Raises OSError."""
    _, kind = _kind(descriptor)
    if kind is Kind.UNKNOWN:
        return os.major(os.fstat(descriptor).st_dev) != 0  # none of a disk has a number from the kernel's pool
    return kind in _BY_THIS_KERNEL


def names_by_files(descriptor: int) -> bool:
    """Is a name brought to stable storage by fsync of its file alone, whatever fsync of the directory says? Raises
    OSError."""
    if _kind(descriptor)[1] is not Kind.FUSE:
        return False
    mounted = _mounted(descriptor)
    return mounted is not None and mounted.type in _NAMES_BY_FILES


def of_the_server(error: OSError, descriptor: int) -> bool:
    """Is it the server, or the program, of an open file's file system that fails, and not the disk at one place?"""
    if error.errno in GONE:
        return True
    try:
        return error.errno == errno.EIO and not at_once(descriptor)
    except OSError:
        return True


@dataclass(frozen=True, slots=True)
class FileSystem:
    """That a directory is on, as the kernel tells of it."""

    type: str  # as `mount` names it: "ext4", "nfs4", "fuse.glusterfs"
    kind: Kind
    at_once: bool  # see above
    source: str  # what is mounted: "/dev/sda1", "filer:/export/mail"; "" where that is not known
    place: str  # where: "/srv/mail"; "" as before
    options: tuple[str, ...]  # that it is mounted with: "rw", "nolock"

    @property
    def elsewhere(self) -> bool:
        """Can other machines have it at the same time, or a program stand between it and the disk?"""
        return self.kind in _NOT_THERE or self.kind is Kind.CLUSTER


def file_system(directory: Path) -> FileSystem:
    """Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        name, kind = _kind(descriptor)
        mounted = _mounted(descriptor)
        return FileSystem(
            type=mounted.type if mounted else name or f"type 0x{_magic(descriptor):x}",
            kind=kind,
            at_once=at_once(descriptor),
            source=mounted.source if mounted else "",
            place=mounted.place if mounted else "",
            options=mounted.options if mounted else (),
        )
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class _Mount:
    type: str
    source: str
    place: str
    options: tuple[str, ...]


def _mounted(descriptor: int) -> _Mount | None:
    """The kernel's line about a mount (proc(5), mountinfo); None where there is no /proc."""
    try:
        about = Path(f"/proc/self/fdinfo/{descriptor}").read_bytes()
        number = about.partition(b"mnt_id:")[2].split()[0]
        lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    except (OSError, IndexError):
        return None
    for line in lines:
        ours, _, of_all = line.partition(b" - ")
        fields, others = ours.split(), of_all.split()
        if fields[:1] == [number] and len(fields) >= 6 and len(others) >= 3:
            options = dict.fromkeys((_text(fields[5]) + "," + _text(others[2])).split(","))
            return _Mount(_text(others[0]), _text(others[1]), _text(fields[4]), tuple(options))
    return None


def _text(field: bytes) -> str:
    plain = _ESCAPED.sub(lambda found: bytes([int(found[1], 8)]), field)
    return plain.decode("utf-8", "replace")
