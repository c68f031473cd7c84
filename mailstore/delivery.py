"""Putting message files into a folder, and working off what is pending in the Maildir.

`placed` is a block in which files come to lie in a folder's `cur`, or in its `new`; if the block fails they are taken
away again, so that the index and the Maildir tell the same.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path
from typing import IO

from mailstore.errors import MessageLost, OutcomeUnknown, TakesLonger
from mailstore.index.folders import Pending
from mailstore.index.rows import NO_FLAGS, Flags, Row
from mailstore.maildir import DIRECTORY_MODE, TMP, Maildir, flags_now, info, sync_directory, sync_names, unique_name
from mailstore.spool import Spooled

_PIECE = 256 * 1024


class Place:
    """Where new files go: one folder's `cur` (or `new`), by way of its `tmp`. Raises OSError."""

    def __init__(self, maildir: Maildir, directory: str, token: str, now: float, into: str = "cur") -> None:
        self._maildir = maildir
        self._folder = maildir.folder(directory)
        self._at = os.fspath(self._folder)
        self._token = token
        self._now = now
        self._into = into
        self._made: list[str] = []

    def spooled(self, message: Spooled, now: float, *, briefly: bool = False) -> tuple[str, int]:
        """Give a message that is on stable storage its name here; `now` is in the name. Gives back the unique name, and
        the size. Raises TakesLonger where it was to be brief, and the message has to be copied."""
        unique = unique_name(self._token, message.size, message.crlf_size, now=now)
        target = self._target(unique, NO_FLAGS)
        if message.link(target):
            self._made.append(target)
            return unique, message.size
        if briefly:
            raise TakesLonger
        with message.reader() as source:  # another file system
            self._now = now
            return self.message(source, NO_FLAGS, message.date)

    def message(self, source: IO[bytes], flags: Flags, date: int | None = None) -> tuple[str, int]:
        """Write a message and bring its bytes to stable storage; gives back its unique name and size. The file's time
        is the internal `date`, as Maildir programs have it: an index that is lost can be made anew from it."""
        passing = self._passing(unique_name(self._token, 0, 0, now=self._now))
        size = line_ends = 0
        last = b""
        try:
            with _create(passing) as file:
                while piece := source.read(_PIECE):
                    file.write(piece)
                    size += len(piece)
                    joined = last + piece
                    line_ends += joined.count(b"\n") - joined.count(b"\r\n") - (last == b"\n")
                    last = piece[-1:]
                file.flush()
                if date is not None:
                    os.utime(file.fileno(), (date, date))
                os.fsync(file.fileno())
            unique = unique_name(self._token, size, size + line_ends, now=self._now)
            self._put(passing, unique, flags)
        except BaseException:
            Path(passing).unlink(missing_ok=True)
            raise
        return unique, size

    def link(self, directory: str, row: Row) -> tuple[str, Flags]:
        """Let a message of another folder, or of this one, appear here too: files never change, so both share one.
        Gives back its unique name, and its flags, which another program may have changed a moment ago."""
        path, flags = self._maildir.path(directory, row.file, row.flags), row.flags
        if not path.exists():
            found = self._maildir.find(directory, row.file)
            if found is None:
                raise MessageLost("the message's file is missing")
            path, flags = found, flags_now(found.name, row.flags)
        try:
            about = path.lstat()
        except FileNotFoundError as error:  # another program renamed it a moment ago
            raise MessageLost("the message's file is missing") from error
        if not stat.S_ISREG(about.st_mode):
            raise MessageLost("what should be the message's file is none")
        octets = about.st_size if row.native else row.size
        unique = unique_name(self._token, octets, row.size if row.native else _crlf_size(row), now=self._now)
        target = self._target(unique, flags)
        try:
            os.link(path, target)
        except FileNotFoundError as error:  # another program renamed it a moment ago
            raise MessageLost("the message's file is missing") from error
        except OSError:  # no hard links here, or too many of them
            self._copy(path, unique, flags)
        else:
            self._made.append(target)
        return unique, flags

    def _copy(self, path: Path, unique: str, flags: Flags) -> None:
        passing = self._passing(unique)
        try:
            with path.open("rb") as source, _create(passing) as file:
                shutil.copyfileobj(source, file, _PIECE)
                file.flush()
                os.fsync(file.fileno())
            self._put(passing, unique, flags)
        except BaseException:
            Path(passing).unlink(missing_ok=True)
            raise

    def settle(self) -> None:
        """The barrier for directory entries; the bytes are on stable storage already."""
        sync_directory(self._folder / self._into)
        self.settle_names()

    def settle_names(self) -> None:
        """The part of it that the directory's does not do on every file system."""
        if self._made:
            directory = os.open(self._folder / self._into, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                sync_names(directory, [os.path.basename(path) for path in self._made])  # noqa: PTH119 - text, no path
            finally:
                os.close(directory)

    def _passing(self, name: str) -> str:
        return self._at + "/" + TMP + "/" + name

    def _target(self, unique: str, flags: Flags) -> str:
        return f"{self._at}/{self._into}/{unique}{info(flags) if self._into == 'cur' else ''}"

    def _put(self, passing: str, unique: str, flags: Flags) -> None:
        target = self._target(unique, flags)
        os.rename(passing, target)  # noqa: PTH104 - a hot path, as all that handles names as text here
        self._made.append(target)

    def take_away(self) -> None:
        for path in self._made:
            Path(path).unlink(missing_ok=True)


def _create(path: str) -> IO[bytes]:
    return open(path, "xb", opener=lambda name, mode: os.open(name, mode, 0o600))


def _crlf_size(row: Row) -> int:
    _, _, text = row.file.rpartition(",W=")
    return int(text) if text.isdigit() else row.size


@contextmanager
def placed(maildir: Maildir, directory: str, token: str, now: float, into: str = "cur") -> Iterator[Place]:
    """Files put in place within the block stay if it ends well, and go if it does not. Where nobody knows they stay:
    what the index does not have of them is taken in again."""
    maildir.make(directory)
    place = Place(maildir, directory, token, now, into)
    try:
        yield place
    except OutcomeUnknown:
        raise
    except BaseException:
        place.take_away()
        raise


def steps(todo: Sequence[Pending]) -> Iterator[list[Pending]]:
    """What is pending, in parts that are each done and ticked off before the next. Messages to be removed go
    together; what is done to a directory stands alone, since doing it again after the next step may hit another
    folder that has the name by then."""
    for _, group in groupby(todo, key=lambda item: 0 if item.action == "remove" else item.id):
        yield list(group)


def perform(maildir: Maildir, step: Sequence[Pending]) -> None:
    """Do one of `steps`. Doing it twice does no harm. Raises OSError."""
    item = step[0]
    if item.action == "remove":
        maildir.remove(each.path for each in step)
    elif item.action == "delete":
        folder = maildir.folder(item.path)
        while folder.is_dir():  # again where another program removed a file at the same moment
            with suppress(FileNotFoundError):
                shutil.rmtree(folder)
        sync_directory(maildir.root)
    elif item.action == "rename":
        source, target = maildir.folder(item.path), maildir.folder(item.target)
        if source.is_dir():
            if target.is_dir():  # nothing that the index knows, but perhaps another program's mail
                _keep_mail(target, source)
                shutil.rmtree(target)
            source.rename(target)
            sync_directory(maildir.root)


def _keep_mail(old: Path, new: Path) -> None:
    for sub in ("cur", "new"):
        if (old / sub).is_dir():
            (new / sub).mkdir(mode=DIRECTORY_MODE, exist_ok=True)
            for path in list((old / sub).iterdir()):
                path.rename(new / sub / path.name)
            sync_directory(new / sub)
