"""A Maildir on disk: names, delivery, the barrier.

Layout is Maildir++: the INBOX is the Maildir itself, a folder `a/b` is the directory `.a.b` in it. A message
goes from `tmp` to `cur` by rename, whole or not at all. Names are `UNIQUE,S=octets,W=octets:2,FLAGS`, where
W is the size with every line end counted as CRLF. The bytes are those that came in, CRLF and all.

UNIQUE carries the mailbox's token, so that the store can tell the files that it made from those that other
programs delivered. Flags that Maildir has letters for stand in the name; keywords stand in the index alone.

Barrier order (DESIGN.md, invariant 2): a message's bytes are on stable storage before its name is in `cur`,
and its name is, before the index says that it exists.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import socket
import stat
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from io import IncrementalNewlineDecoder
from pathlib import Path
from typing import Final

from mailstore.barrier import sync_each, sync_file_system
from mailstore.errors import BadFolderName, MessageLost
from mailstore.file_systems import names_by_files
from mailstore.index.rows import ANSWERED, DELETED, DRAFT, FLAGGED, SEEN, Flags, shared_flags

TMP: Final = "tmp"
ARRIVED: Final = (
    "0" * 12
)  # stands for a token in the names of mail that arrived before the old mail: see `mailstore.incoming`
SUBDIRECTORIES: Final = (TMP, "new", "cur")
DIRECTORY_MODE: Final = 0o700
FEW_FILES: Final = 4
FEW_DIRECTORIES: Final = 3  # the same of directories

_LETTERS: Final = (
    (DRAFT, "D"),
    (FLAGGED, "F"),
    (ANSWERED, "R"),
    (SEEN, "S"),
    (DELETED, "T"),
)  # ASCII order, as the rule is
_LETTER_FLAGS: Final = {letter: flag for flag, letter in _LETTERS}

# A host name goes into file names: "/" and ":" are escaped as the Maildir convention has it.
_HOST: Final = socket.gethostname().replace("/", "\\057").replace(":", "\\072") or "localhost"
_PULLED: Final = re.compile(r"\d+\.L(\d+)_([0-9a-f]+)(?:-(\d+))?\.")


def info(flags: Iterable[str]) -> str:
    """The part of a file name that carries the flags: ":2," and letters."""
    return ":2," + "".join(letter for flag, letter in _LETTERS if flag in flags) if flags else ":2,"


def flags_of(name: str) -> Flags:
    """The flags that a file name carries."""
    _, _, letters = name.partition(":2,")
    return frozenset(_LETTER_FLAGS[letter] for letter in letters if letter in _LETTER_FLAGS)


def flags_now(name: str, known: Flags) -> Flags:
    """A message's flags where its file may have been renamed: the name's, and the keywords, which no name carries."""
    return shared_flags(flags_of(name) | {flag for flag in known if not flag.startswith("\\")})


def unique_of(name: str) -> str:
    """A file name without its flags."""
    return name.partition(":2,")[0]


def new_token() -> str:
    return secrets.token_hex(6)


def unique_name(token: str, size: int, crlf_size: int, *, now: float, ledger_id: int | None = None) -> str:
    """A name that no other file has. One that a move brought carries its ledger row: see `ledger_of`."""
    if ledger_id is not None:
        middle = f"L{ledger_id}_{token}"
    else:
        middle = f"M{int(now % 1 * 1e6):06}P{os.getpid()}Q{secrets.token_hex(6)}_{token}"
    return f"{int(now)}.{middle}.{_HOST},S={size},W={crlf_size}"


def pulled(name: str) -> tuple[int, str] | None:
    """The ledger row that a move pulled a file for, and the token of the mailbox; None for any other file."""
    match = _PULLED.match(name)
    return (int(match[1]), match[2]) if match else None


def ledger_of(name: str, token: str) -> int | None:
    """The ledger row that a file of this mailbox was pulled for, None for any other file."""
    found = pulled(name)
    return found[0] if found is not None and found[1] == token else None


def marked(token: str, fence: int) -> str:
    """What stands for the token in the names of a move's files where several nodes may have moved the account: so no
    two of them write one file, and none takes away what a later one has put there. 0: there is one node."""
    return f"{token}-{fence}" if fence else token


def fence_of(name: str) -> int:
    """The number of the lease (`mailstore.leases`) under which a move pulled a file; 0 for any other file."""
    match = _PULLED.match(name)
    return int(match[3] or 0) if match else 0


def crlf_size(data: bytes) -> int:
    """The size of a message with each bare LF counted as CRLF: Maildir++'s W=.

    Nearly all have none, which the decoder of universal newlines finds out in half the time that counting takes.
    """
    ends = IncrementalNewlineDecoder(None, translate=False)
    ends.decode(data.decode("latin-1"), final=True)
    kinds = ends.newlines
    if kinds is None or kinds == "\r\n" or "\n" not in kinds:
        return len(data)
    return len(data) + data.count(b"\n") - data.count(b"\r\n")


def sync_directory(path: Path) -> None:
    """Bring the entries of a directory to stable storage."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:  # fsync(2): it has nothing to sync; a server has had the entries at once
            raise
    finally:
        os.close(fd)


def sync_directories(paths: Collection[Path]) -> None:
    """The same for several of one file system: at once where they are not few, and where that can be."""
    different = dict.fromkeys(paths)
    if len(different) < 2:
        for path in different:
            sync_directory(path)
        return
    fd = os.open(next(iter(different)), os.O_RDONLY | os.O_DIRECTORY)
    try:
        if len(different) <= FEW_DIRECTORIES or not sync_file_system(fd):
            sync_each(sync_directory, different, fd)
    finally:
        os.close(fd)


def sync_files(directory: int, names: Sequence[str]) -> None:
    """Bring the bytes of files to stable storage: one `syncfs` for many where there is one that says something, else an
    `fsync` each, several at a time where they go to another machine.

    A few are synced one by one all the same: syncfs writes out everybody else's files as well.
    Raises OSError: since Linux 5.8 syncfs reports what could not be written. It tells each descriptor only of what
    failed after its opening: `directory` must have been opened before the files were written.
    """
    if len(names) > FEW_FILES and sync_file_system(directory):
        return

    def sync(name: str) -> None:
        file = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
        try:
            os.fsync(file)
        finally:
            os.close(file)

    sync_each(sync, names, directory)


def sync_names(directory: int, names: Sequence[str]) -> None:
    """Bring the names that files have got in a directory to stable storage, where its own fsync does not. Raises
    OSError."""
    if names and names_by_files(directory):
        sync_files(directory, names)


def folder_directory(name: str) -> str:
    """The Maildir++ directory of a folder name. Raises BadFolderName.

    Names are Unicode on disk, as Dovecot's `utf8` layout has them. "." parts levels in Maildir++ and may
    therefore not stand in a name; it and what a file system cannot hold are escaped as %XX.
    """
    if name == "INBOX":
        return ""
    levels = name.split("/")
    if any(not level or level.strip(" ") == "" for level in levels):
        raise BadFolderName("a folder name has no empty levels")
    directory = "".join("." + _escape(level) for level in levels)
    if len(directory.encode()) > 250:
        raise BadFolderName("the folder name is too long")
    return directory


def folder_name(directory: str) -> str:
    """The name of the folder in a Maildir++ directory that another program made. Raises BadFolderName.

    A directory that `folder_directory` would write otherwise is read as it stands.
    """
    levels = [level.replace("%2E", ".").replace("%25", "%") for level in directory.removeprefix(".").split(".")]
    name = "/".join(levels)
    if any("/" in level for level in levels) or name.upper() == "INBOX":
        raise BadFolderName("the directory's name is not a folder's")
    folder_directory(name)
    return name


def _escape(level: str) -> str:
    if any(ord(c) < 32 or ord(c) == 127 for c in level):
        raise BadFolderName("a folder name has no control characters")
    try:
        level.encode()
    except UnicodeEncodeError as error:
        raise BadFolderName("the folder name is not valid Unicode") from error
    return level.replace("%", "%25").replace(".", "%2E")


class NotAFile(MessageLost):
    """A directory, a pipe or a link lies where the message's file should be."""


def open_file(path: str | Path) -> int:
    """A descriptor of a plain file. A pipe keeps nobody waiting, and what a link leads to is not this account's mail.
    Raises OSError, NotAFile."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO}:  # a link; a socket
            raise NotAFile("what should be the message's file is none") from error
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise NotAFile("what should be the message's file is none")
    return fd


def _anywhere() -> None:
    """Nothing is known of the disk."""


class Maildir:
    """One Maildir tree. Paths only: what is in it is the index's business."""

    def __init__(self, root: Path, there: Callable[[], None] = _anywhere) -> None:
        """`there` raises StorageFailed where the disk with the Maildirs is not mounted now. It is asked before anything
        that is missing counts as gone."""
        self.root = root
        self.there = there
        self._at = os.fspath(root)
        self._made = False

    def make(self, *directories: str) -> None:
        """These folders' directories, or the account's own, each with its three subdirectories: made where missing, and
        durable when this returns. Those above the Maildir only at first: where they have gone since, a disk has gone
        with them. Raises OSError."""
        if self._made and not self.root.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.root.parent))
        self._made = True
        changed = [made for directory in directories or ("",) for made in self._make(directory)]
        if changed:
            sync_directories(changed)

    def _make(self, directory: str) -> list[Path]:
        """Give back the directories that are new or have new entries."""
        path = self.root / directory if directory else self.root
        if all(os.path.isdir(f"{self._at}/{directory}/{name}") for name in SUBDIRECTORIES):  # noqa: PTH112 - hot
            return []
        self.there()
        missing = [p for p in (path, *path.parents) if not p.is_dir()]
        for made in reversed(missing):  # mkdir's own `parents` would leave those above open to others
            made.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
        for name in SUBDIRECTORIES:
            (path / name).mkdir(mode=DIRECTORY_MODE, exist_ok=True)
        if directory:
            (path / "maildirfolder").touch(mode=0o600)  # Maildir++: this is a folder, its parent is the account
        # Each by itself too: without a journal a name that is durable may lead to a directory that is not.
        return [*(path / name for name in SUBDIRECTORIES), path, *(p.parent for p in missing)]

    def folder(self, directory: str) -> Path:
        return self.root / directory if directory else self.root

    def path(self, directory: str, unique: str, flags: Iterable[str]) -> Path:
        return Path(self._file(directory, unique, flags))

    def _file(self, directory: str, unique: str, flags: Iterable[str]) -> str:
        """As text: nearly every command has some, and a Path costs more than what is done with it."""
        return f"{self._at}/{directory}/cur/{unique}{info(flags)}"

    def find(self, directory: str, unique: str) -> Path | None:
        """Where a message's file is, when it is not where its flags put it: another program may have renamed it."""
        for sub in ("cur", "new"):
            try:
                entries = os.scandir(self.folder(directory) / sub)
            except FileNotFoundError:
                continue
            with entries:
                for entry in entries:
                    if unique_of(entry.name) == unique:
                        return Path(entry.path)
        return None

    def open(self, directory: str, unique: str, flags: Iterable[str]) -> int:
        """A file descriptor of a message. Raises MessageLost, NotAFile for what only has its name, and StorageFailed
        where all of the mail is away."""
        try:
            return open_file(self._file(directory, unique, flags))
        except FileNotFoundError:
            pass
        found = self.find(directory, unique)
        try:
            if found is not None:
                return open_file(found)
        except FileNotFoundError:
            pass
        self.there()
        raise MessageLost("the message's file is missing")

    def rename_flags(self, directory: str, unique: str, old: Flags, change: Callable[[Flags], Flags]) -> Flags:
        """Put a message's flags into its name: what `change` makes of `old`, or of those that another program has given
        the file since; gives them back. A file that is missing is left to whoever opens it."""
        new = change(old)
        before, after = self._file(directory, unique, old), self._file(directory, unique, new)
        if before == after:
            return new
        try:
            os.rename(before, after)  # noqa: PTH104 - hot
        except FileNotFoundError:
            found = self.find(directory, unique)
            if found is not None:
                new = change(flags_now(found.name, old))
                found.rename(self._file(directory, unique, new))
        return new

    def remove(self, relative: Iterable[str]) -> None:
        """Remove messages, named by their paths below the Maildir. One that is gone already is fine.

        The flags in the name may have been changed by another program since the path was noted: a folder with
        files that are not where they should be is looked through, once for all of them.
        """
        missing: dict[Path, set[str]] = {}
        for name in relative:
            try:
                os.unlink(f"{self._at}/{name}")  # noqa: PTH108 - hot
            except FileNotFoundError:
                path = self.root / name
                missing.setdefault(path.parent.parent, set()).add(unique_of(path.name))
        for folder, uniques in missing.items():
            for sub in ("cur", "new"):
                with suppress(FileNotFoundError), os.scandir(folder / sub) as entries:
                    found = [entry.path for entry in entries if unique_of(entry.name) in uniques]
                    for path in map(Path, found):
                        path.unlink(missing_ok=True)

    def sweep(self, directory: str = "", older_than: float = 36 * 3600) -> None:
        """Remove what died in `tmp`, by the Maildir rule of 36 hours."""
        limit = time.time() - older_than
        with suppress(FileNotFoundError), os.scandir(self.folder(directory) / "tmp") as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    about = entry.stat(follow_symlinks=False)
                    if not stat.S_ISDIR(about.st_mode) and about.st_mtime < limit:
                        os.unlink(entry.path)  # noqa: PTH108 - a path that scandir made
