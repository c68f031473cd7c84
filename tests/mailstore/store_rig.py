"""What tests of the store share: an account's home, messages that are hard to keep, and a look at the disk."""

from __future__ import annotations

import gc
import io
import os
import resource
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import select

from mailstore import schema
from mailstore.index.rows import Row
from mailstore.mailbox_database import MailboxEngine
from mailstore.maildir import flags_of, unique_of
from mailstore.mailhome import MailHome
from mailstore.opening import Mailboxes
from mailstore.postgres_mailbox import PostgresMailboxes
from tests.memory import in_memory
from tests.postgres.kept import Kept

NOW: Final = 1_700_100_000  # the store's clock stands still where a test does not move it
DATE: Final = 1_600_000_000
ACCOUNT: Final = 7

HARD_MESSAGES: Final = {
    "crlf": b"Subject: a\r\n\r\nbody\r\n",
    "bare lf": b"Subject: a\n\nbody\n",
    "mixed ends": b"Subject: a\r\n\nbody\n\r\n\r\rx\r",
    "nul": b"Subject: \x00\r\n\r\n\x00\x00\r\n",
    "8-bit": bytes(range(256)) * 3,
    "no last line end": b"Subject: a\r\n\r\nbody",
    "ends in cr": b"Subject: a\r\n\r\nbody\r",
    "only lf": b"\n",
    "empty": b"",
    "dots": b"Subject: a\r\n\r\n.\r\n..\r\n.x\r\n",
    "long line": b"Subject: a\r\n\r\n" + b"y" * 300_000 + b"\r\n",
    "many bare lf": b"Subject: a\n\n" + b"\n" * 300_000,
    "crlf across pieces": b"\n" * (256 * 1024 - 1) + b"\r\n\r\n",
}


# Of a test of a file whose tests hold wherever mailboxes are kept: it is about files beside the Maildir.
files_alone = pytest.mark.parametrize("either", ["sqlite"], indirect=True)


@contextmanager
def directory_in_memory() -> Iterator[Path]:
    """For tests that sync hundreds of times, and to which it makes no difference what disk that is."""
    with tempfile.TemporaryDirectory(dir=in_memory()) as directory:
        yield Path(directory)


_server: Kept | None = None


@contextmanager
def kept_in(server: Kept | None) -> Iterator[None]:
    """Where the mailboxes of a test are: in a server, or, without one, in files beside the Maildirs."""
    global _server  # noqa: PLW0603 - for all that a test opens, wherever it does
    _server = server
    try:
        yield
    finally:
        _server = None


def mailboxes() -> Mailboxes:
    """What opens mailboxes in this test."""
    return MailboxEngine() if _server is None else PostgresMailboxes(_server.engine)


def lose_index(path: Path) -> None:
    """All that the index of the store there had, and whatever tells of it."""
    for file in path.glob("Maildir.db*"):
        file.unlink()
    if _server is not None:
        _server.delete_all()


def after_a_fork() -> None:
    """In the child: what the parent has of a server is not the child's."""
    if _server is not None:
        _server.engine.dispose(close=False)


def open_home(path: Path, announced: list[int] | None = None, clock: Callable[[], float] = lambda: NOW) -> MailHome:
    """The account in `path`/Maildir. Close it."""

    def announce(folder_id: int, _modseq: int | None = None) -> None:
        if announced is not None:
            announced.append(folder_id)

    if _server is not None:
        _server.begin(path)
    return MailHome(mailboxes(), ACCOUNT, path / "Maildir", announce=announce, clock=clock)


def append(home: MailHome, data: bytes, folder: str = "INBOX", flags: Iterable[str] = ()) -> int:
    return home.append(folder, io.BytesIO(data), flags, DATE).uid


def folder_id(home: MailHome, name: str) -> int:
    return next(folder.id for folder in home.folders() if folder.name == name)


def names(home: MailHome) -> list[str]:
    return [folder.name for folder in home.folders()]


def rows(home: MailHome, name: str = "INBOX") -> list[Row]:
    return home.rows(folder_id(home, name), home.select(name, writable=False).uids)


def read(home: MailHome, uid: int, name: str = "INBOX") -> bytes:
    with home.open(folder_id(home, name), uid) as content:
        return bytes(content.whole())


def bodies(home: MailHome, name: str = "INBOX") -> dict[int, bytes]:
    return {row.uid: read(home, row.uid, name) for row in rows(home, name)}


def cur(home: MailHome, name: str = "INBOX") -> Path:
    """Where a folder's messages lie."""
    with home._database.read() as connection:
        directory = connection.scalar(select(schema.folders.c.directory).where(schema.folders.c.name == name))
    return home.maildir.folder(str(directory)) / "cur"


def files(home: MailHome, name: str = "INBOX") -> list[str]:
    return sorted(path.name for path in cur(home, name).iterdir())


def debris(home: MailHome) -> list[str]:
    """Files in the Maildir that the index does not know, and directories that are no folder's."""
    with home._database.read() as connection:
        known = {str(d) for d in connection.scalars(select(schema.folders.c.directory))}
    found = [p.name for p in home.maildir.root.iterdir() if p.name.startswith(".") and p.name not in known]
    for folder in home.folders():
        uniques = {row.file for row in rows(home, folder.name)}
        place = cur(home, folder.name).parent
        for path in (*place.glob("cur/*"), *place.glob("new/*"), *place.glob("tmp/*")):
            if path.parent.name == "tmp" or unique_of(path.name) not in uniques:
                found.append(f"{folder.name}: {path.parent.name}/{path.name}")
    return found


def check_whole(home: MailHome) -> None:
    """Every message of the index has its one file, of its size, with its flags; nothing is left to be done, though
    it may not be ticked off yet."""
    with home._database.read() as connection:
        left = connection.execute(select(schema.pending.c.action, schema.pending.c.path)).all()
    assert [path for action, path in left if action != "remove" or (home.maildir.root / path).exists()] == []
    for folder in home.folders():
        lying = files(home, folder.name)
        for row in rows(home, folder.name):
            (name,) = [n for n in lying if unique_of(n) == row.file]
            assert flags_of(name) == {flag for flag in row.flags if flag.startswith("\\")}
            assert (cur(home, folder.name) / name).stat().st_size == row.size


def _copy(source: str, target: str) -> str:
    """What a store goes by: the octets, the times, who may read. All that there may be besides takes longer."""
    status = Path(source).stat()
    with Path(target).open("wb") as writing:
        writing.write(Path(source).read_bytes())
        os.fchmod(writing.fileno(), stat.S_IMODE(status.st_mode))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
    return target


def put_in_place(template: Path, path: Path) -> None:
    """A copy of a store that nobody has open, which does not take itself for one. In a server, it takes its place."""
    shutil.copytree(template, path, copy_function=_copy)
    if _server is not None:
        _server.put_back(template)
    for index in path.rglob("Maildir.db"):
        with closing(sqlite3.connect(index, isolation_level=None)) as connection:
            connection.execute("UPDATE mailboxes SET inode = ?", (index.stat().st_ino,))
        index.with_name("Maildir.db.open").unlink(missing_ok=True)  # its log is in it now


@contextmanager
def full_disk(octets: int) -> Iterator[None]:
    """No file grows beyond `octets`: to one process, a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (octets, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def open_descriptors(below: Path | None = None) -> int:
    """How many this process has for what is, or was, below a directory: what other tests of this process have left open
    may be closed at any time. Without a directory: of all kinds, when that has been closed."""
    if below is None:
        gc.collect()
        return sum(1 for _ in Path("/proc/self/fd").iterdir())
    found = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the one by which they are listed
            found += descriptor.readlink().is_relative_to(below.resolve())
    return found
