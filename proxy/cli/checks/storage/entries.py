"""Names that come and go: what a Maildir stands on."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from typing import Final

from mailstore.index.marks import WHOLE_SECONDS
from proxy.cli.checks.storage.trial import Trial, write

LONG_AGO: Final = 1_000_000_000  # seconds since 1970
SECOND: Final = 1_000_000_000  # nanoseconds
MOVED_WITHIN: Final = 5.0  # seconds; GlusterFS keeps what it knows of a directory for one


def tried(trial: Trial) -> None:
    _rename(trial)
    _exclusive(trial)
    _link(trial)
    _unlinked(trial)
    _private(trial)
    _times(trial)
    _inode(trial)


def _rename(trial: Trial) -> None:
    one, other = trial.place / "rename-1", trial.place / "rename-2"
    with trial.tried("rename", "a message could be seen half written: nothing can be kept here"):
        write(one, b"old")
        write(other, b"new")
        reading = os.open(one, os.O_RDONLY | os.O_CLOEXEC)
        try:
            other.rename(one)
            whole = one.read_bytes() == b"new" and not other.exists() and os.read(reading, 9) == b"old"
        finally:
            os.close(reading)
        trial.holds(
            "rename",
            whole,
            so="takes the place of another name at once; who has the old file open keeps it",
            otherwise="over another name does not give what was renamed; an index could be lost: do not use it",
        )
    with trial.tried("rename of a directory", "folders cannot be renamed, and storage rehash not be used"):
        (trial.place / "dir-1" / "in").mkdir(parents=True)
        (trial.place / "dir-1").rename(trial.place / "dir-2")
        trial.holds(
            "rename of a directory",
            (trial.place / "dir-2" / "in").is_dir(),
            so="with all that is in it",
            otherwise="loses what is in it; do not use it",
        )


def _exclusive(trial: Trial) -> None:
    path = trial.place / "exclusive"
    with trial.tried("O_EXCL", "two deliveries could take one name: nothing can be kept here"):
        write(path, b"")
        try:
            write(path, b"")
        except FileExistsError:
            trial.told("ok", "O_EXCL", "a name is made by one only")
        else:
            trial.told(
                "fail", "O_EXCL", "a name can be made twice", "two deliveries could take one name: do not use it"
            )


def _link(trial: Trial) -> None:
    source, target = trial.place / "link-1", trial.place / "link-2"
    follows = "it works without: COPY, mail for several recipients and backups copy the bytes instead"
    with trial.tried("hard link", follows, "warn"):
        write(source, b"x")
        os.link(source, target)
        trial.holds(
            "hard link",
            target.stat().st_ino == source.stat().st_ino and source.stat().st_nlink == 2,
            so="COPY and mail for several recipients share one file",
            otherwise=f"is no second name of the same file; {follows}",
            worse="warn",
        )


def _unlinked(trial: Trial) -> None:
    """What is being read outlives its name."""
    path = trial.place / "unlinked"
    with trial.tried("removal of what is open", "a FETCH would break off when another session expunges"):
        write(path, b"kept")
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            path.unlink()
            kept = os.read(descriptor, 9) == b"kept"
        finally:
            os.close(descriptor)
        trial.holds(
            "removal of what is open",
            kept,
            so="who reads it reads on",
            otherwise="ends the reading; a FETCH breaks off when another session expunges",
            worse="warn",
        )


def _private(trial: Trial) -> None:
    path = trial.place / "private"
    with trial.tried("mode", "other users of this machine could read mail"):
        write(path, b"")
        found = stat.S_IMODE(path.stat().st_mode)
        trial.holds(
            "mode",
            not found & 0o077,
            so="0600 is kept",
            otherwise=f"0600 becomes {found:04o}; mount it so that only the user of serve gets at it (CIFS: file_mode, "
            "dir_mode, uid; FUSE: default_permissions)",
            worse="warn",
        )


def _times(trial: Trial) -> None:
    """The reconciler looks into a folder only where the directory's time has moved."""
    directory = trial.place / "times"
    follows = "mail that other programs deliver, and changes by them, would not be noticed: do not use it"
    with trial.tried("time of a directory", follows):
        directory.mkdir()
        seen, late = [], 0.0
        changes: tuple[tuple[str, Callable[[], object]], ...] = (
            ("a new name", lambda: write(directory / "a", b"")),
            ("a rename", lambda: (directory / "a").rename(directory / "b")),
            ("a removal", (directory / "b").unlink),
        )
        for what, change in changes:
            os.utime(directory, (LONG_AGO, LONG_AGO))
            change()
            begun = time.monotonic()
            while (at := directory.stat().st_mtime_ns) == LONG_AGO * SECOND and time.monotonic() - begun < MOVED_WITHIN:
                time.sleep(0.01)
            if at == LONG_AGO * SECOND:
                trial.told("fail", "time of a directory", f"does not move with {what}", follows)
                return
            seen.append(at)
            late = max(late, time.monotonic() - begun)
        grain = "fractions of a second" if any(at % SECOND for at in seen) else "whole seconds"
        when = f", after {late:.1f} s at most (it is cached)" if late > 0.1 else ""
        trial.told("ok", "time of a directory", f"moves with each name that comes, goes or changes, in {grain}{when}")
    _skew(trial)


def _skew(trial: Trial) -> None:
    """The times of files are the server's; the store holds them against this machine's clock."""
    path = trial.place / "skew"
    with trial.tried("clock", "times of files cannot be compared"):
        before = time.time()
        write(path, b"x")
        made = path.stat().st_mtime
        after = time.time()
        off = made - after if made > after else min(0.0, made - before)
        trial.figures["clock_skew_seconds"] = round(off, 3)
        allowed = WHOLE_SECONDS / 1e9 if made == int(made) else 0.05
        trial.holds(
            "clock",
            abs(off) <= allowed,
            so="the file system's is this machine's",
            otherwise=f"the file system's is {abs(off):.1f} s {'ahead' if off > 0 else 'behind'}; have both ask the "
            "same time server (chrony): until then changes by other programs may be noticed late",
            worse="warn",
        )


def _inode(trial: Trial) -> None:
    path = trial.place / "inode"
    with trial.tried("inode", "each login would take the index for a copy"):
        write(path, b"")
        found = {path.stat().st_ino, path.lstat().st_ino}
        path.rename(trial.place / "inode-2")
        found.add((trial.place / "inode-2").stat().st_ino)
        trial.holds(
            "inode",
            len(found) == 1 and 0 not in found,
            so="stays with its file",
            otherwise="changes; each login takes the index for a copy and gives UIDs one million higher (FUSE: mount "
            "it with use_ino)",
        )
