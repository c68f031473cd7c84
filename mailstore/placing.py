"""What is a mailbox's, where a Maildir lies: the Maildir, its index with the record, and its locks, beside each other.

In some layouts other mailboxes lie beside it, in others a directory has nothing else. From one place to another it goes
by rename, within a file system, and each part is in one place or the other whatever happens: who is interrupted calls
again.
"""

from __future__ import annotations

import enum
import os
import re
import stat
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

from mailstore import custody
from mailstore.copying import make_all
from mailstore.errors import StorageFailed
from mailstore.maildir import sync_directories
from mailstore.refusals import storage_errors

# Behind the Maildir's name: its locks, what is noted of it, its index with what belongs to that.
_BESIDE: Final = re.compile(
    "|".join([r"\.pop3", *(re.escape(each) for each in (custody.USE, *custody.BESIDE)), r"\.db([-.].*)?"]), re.DOTALL
)


class Carried(enum.StrEnum):
    """What has become of a mailbox."""

    CARRIED = "carried"
    THERE = "there"  # it was in its place already
    NOTHING = "nothing"  # the account has none yet


class Carrier:
    """Brings mailboxes to other places. What it did is durable after `settle`."""

    def __init__(self, tops: Collection[Path]) -> None:
        """`tops` are directories that stay, even empty."""
        self._tops = frozenset(tops)
        self._changed: dict[Path, None] = {}

    def carry(self, before: Path, now: Path) -> Carried:
        """From one Maildir's place to another. Raises StorageFailed, with what is in both places left in both."""
        with storage_errors():
            names = parts(before)
            there = parts(now)
            if before == now or not names:
                return Carried.THERE if there else Carried.NOTHING
            if twice := sorted({now.name + name.removeprefix(before.name) for name in names} & set(there)):
                raise StorageFailed(f"{twice[0]} is in {before.parent} and in {now.parent}: look which is right")
            if _is_all(before, names) and self._may_go_whole(before, now):
                self._make(now.parent.parent)
                before.parent.rename(now.parent)
                self._changed |= dict.fromkeys((before.parent.parent, now.parent.parent))
            else:
                self._make(now.parent)
                for name in names:
                    (before.parent / name).rename(now.parent / (now.name + name.removeprefix(before.name)))
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


def parts(maildir: Path) -> list[str]:
    """The names of what there is of a mailbox, in the directory that its Maildir is in. Raises OSError."""
    try:
        with os.scandir(maildir.parent) as entries:
            found = [entry.name for entry in entries if entry.name.startswith(maildir.name)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(name for name in found if name == maildir.name or _is_beside(maildir, name))


def _is_beside(maildir: Path, name: str) -> bool:
    """A directory would be another account's Maildir."""
    if _BESIDE.fullmatch(name.removeprefix(maildir.name)) is None:
        return False
    try:
        return stat.S_ISREG((maildir.parent / name).lstat().st_mode)
    except FileNotFoundError:
        return False


def _is_all(maildir: Path, names: Collection[str]) -> bool:
    return set(os.listdir(maildir.parent)) == set(names)  # noqa: PTH208 - names only
