"""What can be told of a file system without trying: its type, how it is mounted, and how much room it has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mailstore.file_systems import FileSystem, Kind, file_system
from proxy.cli.checks.finding import Finding, Result
from proxy.cli.checks.storage.trial import Trial
from proxy.config.sizes import size

FEW: Final = 100_000  # files that may still be made
LITTLE: Final = 1 << 30  # octets
TOO_LITTLE: Final = 64 << 20  # … in which no mailbox is begun
# A mount option, where it matters (the start of a type), how bad it is, and what follows.
_OPTIONS: Final[tuple[tuple[str, str, Result, str], ...]] = (
    ("ro", "", "fail", "it may not be written: mount it rw"),
    (
        "nolock",
        "nfs",
        "fail",
        "locks are this machine's alone: two nodes could serve one POP3 maildrop; mount it without",
    ),
    ("local_lock=all", "nfs", "fail", "locks are this machine's alone; mount it without"),
    ("local_lock=flock", "nfs", "fail", "flock is this machine's alone; mount it without"),
    ("nocto", "nfs", "fail", "what another node has written may be seen late, or never; mount it without"),
    ("soft", "nfs", "warn", "a server that is slow makes writes fail: mount it hard, or softerr with a long timeo"),
    (
        "lookupcache=all",
        "nfs",
        "warn",
        "a name that was missing may stay so for a while: mount it with lookupcache=pos",
    ),
    ("nobrl", "cifs", "fail", "record locks are this machine's alone; mount it without"),
    ("nobrl", "smb", "fail", "record locks are this machine's alone; mount it without"),
    ("cache=loose", "cifs", "fail", "what another node has written may be seen late; mount it with cache=strict"),
    ("cache=loose", "smb", "fail", "what another node has written may be seen late; mount it with cache=strict"),
    ("noexec", "", "ok", "that is well: nothing in a mailbox is a program"),
    ("volatile", "overlay", "fail", "it never waits for the disk: mail that was acknowledged can be lost"),
    ("nobarrier", "", "fail", "the disk's cache is not written out: mail that was acknowledged can be lost"),
    ("barrier=0", "", "fail", "the disk's cache is not written out: mail that was acknowledged can be lost"),
)


# Types (the start of each) that would not do, or not for long, however they are mounted.
_TYPES: Final[tuple[tuple[str, Result, str], ...]] = (
    *(
        (each, "fail", "FAT cannot have Maildirs: names with a colon, links and modes: make an ext4 or XFS instead")
        for each in ("vfat", "msdos", "exfat", "fuse.exfat", "fuse.fusefat")
    ),
    ("overlay", "warn", "what a container writes goes when the container does: mount a volume there"),
    ("aufs", "warn", "what a container writes goes when the container does: mount a volume there"),
)


def tried(trial: Trial) -> None:
    with trial.tried("file system", "nothing can be kept there: is it one that this user may look into?"):
        directory = trial.place.parent
        found = file_system(directory)
        trial.findings += [*of_mount(found), *of_room(directory)]


def of_mount(found: FileSystem) -> Iterator[Finding]:
    whose = f" of {found.source}" if found.source else ""
    place = f" on {found.place}" if found.place else ""
    text = {
        Kind.LOCAL: "a disk of this machine: one node alone",
        Kind.CLUSTER: "a disk that several nodes share",
        Kind.MEMORY: "memory",
        Kind.NETWORK: "a server's",
        Kind.FUSE: "a program's (FUSE): what it promises is what is behind it",
        Kind.UNKNOWN: "not known to mailferry: what is tried here is all that is known of it",
    }[found.kind]
    worse: Result = "warn" if found.kind is Kind.UNKNOWN else "ok"
    yield Finding("storage", worse, "file system", f"{found.type}{whose}{place}: {text}")
    for start, result, follows in _TYPES:
        if found.type == start or found.type.startswith(f"{start}."):
            yield Finding("storage", result, f"type {found.type}", f"{found.place or 'it'} is one", follows)
    for option, kind, result, follows in _OPTIONS:
        if option in found.options and found.type.startswith(kind):
            yield Finding("storage", result, f"mount option {option}", f"{found.place or found.type} has it", follows)


def of_room(directory: Path) -> Iterator[Finding]:
    about = os.statvfs(directory)
    free = about.f_bavail * about.f_frsize
    room = f"{size(free)} free"
    inodes = ""
    if about.f_files:
        inodes = f", {about.f_favail:,} more files"
    if about.f_files and not about.f_favail:
        yield Finding("storage", "fail", "room", f"{room}, and not one more file", "remove files, or have more inodes")
    elif free < TOO_LITTLE:
        yield Finding("storage", "fail", "room", f"the disk is full: {room}{inodes}", "make room for the mailboxes")
    elif about.f_files and about.f_favail < FEW:
        text = f"{room}{inodes}: each message is one"
        yield Finding("storage", "warn", "room", text, "make the file system anew with more inodes (mkfs.ext4 -i 8192)")
    elif free < LITTLE:
        yield Finding("storage", "warn", "room", f"{room}{inodes}", "make room for the mailboxes")
    else:
        yield Finding("storage", "ok", "room", f"{room}{inodes or ', as many files as fit'}")
