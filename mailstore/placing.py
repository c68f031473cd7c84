"""What is a mailbox's, where a Maildir lies: the Maildir, its index with the record, and its locks, beside each other.

In some layouts other mailboxes lie beside it, in others a directory has nothing else. From one place to another it goes
by rename, within a file system, and each part is in one place or the other whatever happens: who is interrupted calls
again.

Several may be at it, on several nodes: who carries all of them, and who is about to open one (`bring`). One mailbox is
carried at a time, and none that somebody has open.
"""

from __future__ import annotations

import enum
import errno
import fcntl
import os
import re
import stat
from bisect import bisect_left
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from mailstore import custody
from mailstore.copying import make_all
from mailstore.errors import StorageFailed
from mailstore.maildir import sync_directories
from mailstore.mooring import CARRYING
from mailstore.refusals import storage_errors

# Behind the Maildir's name: its locks, what is noted of it, its index with what belongs to that.
_BESIDE: Final = re.compile(
    "|".join([r"\.pop3", *(re.escape(each) for each in (custody.USE, *custody.BESIDE)), r"\.db([-.].*)?"]), re.DOTALL
)
_MADE_SINCE: Final = (custody.USE, *custody.BESIDE, ".pop3")  # perhaps, since a directory was read
_MANY: Final = 1_000  # names in a directory
_NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS})  # then nobody's opening has one, either


class Carried(enum.StrEnum):
    """What has become of a mailbox."""

    CARRIED = "carried"
    THERE = "there"  # it was in its place already
    NOTHING = "nothing"  # the account has none yet


class Listing:
    """What there is of mailboxes, for who looks at one after the other: a directory in which very many are is read
    once, and not for each."""

    def __init__(self) -> None:
        self._large: tuple[Path, list[str]] | None = None  # the last of these, in order

    def parts(self, maildir: Path) -> list[str]:
        """The names of what there is of one, in the directory that its Maildir is in. Raises OSError."""
        return sorted(name for name in self._candidates(maildir) if _is_part(maildir, name))

    def is_all(self, maildir: Path, names: Collection[str]) -> bool:
        """Has that directory nothing else? Raises OSError."""
        return self._known(maildir.parent) is None and set(_names(maildir.parent)) == set(names)

    def _candidates(self, maildir: Path) -> Collection[str]:
        names = self._known(maildir.parent)
        if names is None:
            names = _names(maildir.parent)
            if len(names) < _MANY:
                return names
            names.sort()
            self._large = maildir.parent, names
        first = bisect_left(names, f"{maildir.name}.")
        last = bisect_left(names, f"{maildir.name}/", first)  # "/" is what comes behind "."
        return {maildir.name, *names[first:last], *(maildir.name + each for each in _MADE_SINCE)}

    def _known(self, directory: Path) -> list[str] | None:
        return self._large[1] if self._large is not None and self._large[0] == directory else None


class Carrier:
    """Brings mailboxes to other places. What it did is durable after `settle`."""

    def __init__(self, tops: Collection[Path]) -> None:
        """`tops` are directories that stay, even empty."""
        self._tops = frozenset(tops)
        self._changed: dict[Path, None] = {}
        self._listing = Listing()

    def carry(self, before: Path, now: Path) -> Carried:
        """From one Maildir's place to another. Raises StorageFailed, with what is in both places left in both."""
        with storage_errors():
            names = [name for name in self._listing.parts(before) if not _is_same(before, name, now)]
            if before == now or not names:
                return Carried.THERE if is_there(now) else Carried.NOTHING
            if twice := in_both(before, names, now):
                raise StorageFailed(f"{twice} is in {before.parent} and in {now.parent}: look which is right")
            if self._listing.is_all(before, names) and self._may_go_whole(before, now):
                self._make(now.parent.parent)
                before.parent.rename(now.parent)
                self._changed |= dict.fromkeys((before.parent.parent, now.parent.parent))
            else:
                self._make(now.parent)
                for name in names:
                    (before.parent / name).rename(now.parent / _renamed(before, name, now))
                self._changed |= dict.fromkeys((before.parent, now.parent))
            self._prune(before.parent)
        return Carried.CARRIED

    def _may_go_whole(self, before: Path, now: Path) -> bool:
        """May the directory that has nothing else be renamed? That is one step, however much is in it."""
        return (
            before.name == now.name
            and before.parent not in self._tops
            and not os.path.lexists(now.parent)
            and not now.is_relative_to(before.parent)
        )

    def _make(self, directory: Path) -> None:
        missing = [each for each in (directory, *directory.parents) if not each.is_dir()]
        make_all(directory)
        self._changed |= dict.fromkeys(each.parent for each in missing)

    def _prune(self, directory: Path) -> None:
        """Remove what is empty now."""
        with suppress(OSError):
            while directory not in self._tops:
                if directory.is_dir():
                    directory.rmdir()
                self._changed.pop(directory, None)
                directory = directory.parent
                self._changed[directory] = None

    def settle(self) -> None:
        """Raises StorageFailed."""
        with storage_errors():
            sync_directories([each for each in self._changed if each.is_dir()])
        self._changed.clear()


@contextmanager
def one_at_a_time(top: Path) -> Iterator[None]:
    """Nobody else carries a mailbox of the tree within the block. Raises OSError."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(top / CARRYING, flags, 0o600)  # a file: other nodes see locks of these alone (NFS)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def unused(maildir: Path) -> Iterator[None]:
    """Nobody has it open, nor opens it within the block. Raises InUse, OSError."""
    with ExitStack() as held:
        if maildir.is_dir():
            try:
                held.enter_context(custody.alone_with(maildir))
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
        yield


def bring(top: Path, before: Path, now: Path) -> None:
    """The mailbox is about to be opened in its new place, and lies there, durably, when this returns. Raises
    StorageFailed, InUse."""
    with storage_errors(), one_at_a_time(top):
        if not is_there(before):
            _settle_above(now, top)  # somebody else's step, which may not be durable yet
            return
        carrier = Carrier({top})
        with unused(before):
            carrier.carry(before, now)
        carrier.settle()


def _settle_above(maildir: Path, top: Path) -> None:
    above = (maildir.parent, *maildir.parent.parents)
    sync_directories([each for each in above if each.is_relative_to(top) and each.is_dir()])


def parts(maildir: Path) -> list[str]:
    """The names of what there is of a mailbox, in the directory that its Maildir is in. Raises OSError."""
    return Listing().parts(maildir)


def is_there(maildir: Path) -> bool:
    """Is there anything of a mailbox? Raises OSError."""
    return any(_is_part(maildir, maildir.name + each) for each in ("", ".db", *_MADE_SINCE))


def in_both(before: Path, names: Collection[str], now: Path) -> str:
    """The first of these parts that is in the other place as well, by its name there; "" where none is."""
    there = (_renamed(before, name, now) for name in names)
    return next((name for name in there if os.path.lexists(now.parent / name)), "")


def _is_same(before: Path, name: str, now: Path) -> bool:
    """Is it there already? Where another node has carried it, the former name may lead to it for a second."""
    if before == now:
        return False
    try:
        was, there = (path.lstat() for path in (before.parent / name, now.parent / _renamed(before, name, now)))
    except (FileNotFoundError, NotADirectoryError):
        return False
    return os.path.samestat(was, there)


def _renamed(before: Path, name: str, now: Path) -> str:
    return now.name + name.removeprefix(before.name)


def _names(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)  # noqa: PTH208 - names only
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_part(maildir: Path, name: str) -> bool:
    """The Maildir, or a file of it beside that: a directory would be another account's Maildir."""
    beside = name.removeprefix(maildir.name)
    if beside and (beside == name or _BESIDE.fullmatch(beside) is None):
        return False
    try:
        mode = (maildir.parent / name).lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    return name == maildir.name or stat.S_ISREG(mode)
