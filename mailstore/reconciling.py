"""What other programs do to a Maildir becomes what the index says: delivered, renamed and removed messages, and
folders made and removed.

- A look into a folder that nobody changed costs two `stat`s (`mailstore.index.marks`).
- Directories are read, and what follows is written, in one writing transaction: a file whose row is being
  committed by another process is either in neither or in both (`mailstore.intake`).
- A message is missed only where the directory stood still while it was read: readdir may leave out a file that
  is being renamed.
- UIDs are never reused; what a move brought and was removed is `deleted` in the ledger (invariant 8).
- Files that this store made and that the index does not know, and messages without files, are rare: what follows
  from them is done only when the index was looked at as a whole, once, and is not itself what is wrong.
- A file whose size is not the index's is another message: the old UID goes, the file gets a new one.

Used by `mailstore.mailhome` alone, in its thread.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, bindparam, select

from mailstore import schema
from mailstore.adoption import token_of
from mailstore.directories import Directories
from mailstore.errors import MaildirGone
from mailstore.index import folders, mailbox, marks
from mailstore.index.folders import INBOX_ID, FolderRow
from mailstore.index.marks import Mark
from mailstore.index.reconcile import Difference, Lying, Renamed, compare
from mailstore.index.rows import Flags
from mailstore.index.special import ACCOUNT
from mailstore.intake import Intake, Look, Report
from mailstore.mailbox import BRIEF_OCTETS, BRIEF_ROWS, Announce, Mailbox
from mailstore.maildir import ARRIVED, Maildir, flags_now, info, unique_of
from mailstore.prepared import Prepared
from mailstore.refusals import storage_errors

LARGE: Final = 1_000  # messages from which on it pays to keep a folder's mark in the index
_READINGS: Final = 5  # of a directory that others change all the time

_m = schema.messages.c
_NAMES = Prepared(
    select(_m.uid, _m.flags, _m.file).where(
        _m.account_id == bindparam("a"),
        _m.folder_id == bindparam("f"),
        _m.file != "",  # what is listed and not here yet has no file to be missed
    )
)


def _of_this_store(lying: Lying) -> bool:
    """Is it a file that the index should know?"""
    return token_of(lying.name) not in {None, ARRIVED}


class Reconciler:
    """One account's. Not for several threads at a time."""

    def __init__(
        self,
        maildir: Maildir,
        database: Mailbox,
        account_id: int,
        token: str,
        *,
        clock: Callable[[], float],
        announce: Announce,
        report: Report,
    ) -> None:
        self._maildir = maildir
        self._database = database
        self._account_id = account_id
        self._clock = clock
        self._announce = announce
        self._report = report
        self._intake = Intake(account_id, token, report)
        self._directories = Directories(maildir, database, account_id, report)
        self._marks: dict[int, Mark] = {}
        self._checked = False  # was the index looked at as a whole?
        self._damaged: dict[int, set[int]] = {}

    @contextmanager
    def leaving_arrivals(self) -> Iterator[None]:
        """Within the block, what waits in `new` for the old mail stays there."""
        self._intake.leaves_arrivals = True
        try:
            yield
        finally:
            self._intake.leaves_arrivals = False

    def damaged(self, folder_id: int, uid: int) -> None:
        """A message's file does not have its size any more: the next look takes it for another message."""
        self._damaged.setdefault(folder_id, set()).add(uid)
        self._marks.pop(folder_id, None)

    def folder(self, folder: FolderRow) -> bool:
        """Look into one folder; whether anything was found. Raises StorageFailed."""
        path = self._maildir.folder(folder.directory)
        with storage_errors():
            try:
                seen = marks.times(path)
            except FileNotFoundError:
                if self._database.shared and not self._maildir.root.is_dir():
                    raise MaildirGone from None
                if folder.id != INBOX_ID and not path.is_dir():
                    return self.folders()
                self._maildir.make(folder.directory)
                self._report("maildir directories were missing", folder=folder.id)
                seen = marks.times(path)
            if self._as_before(folder.id, seen):
                return False
            self._database.at_most(folder.uidnext, BRIEF_ROWS)
            self._database.at_most(marks.extent(path), BRIEF_OCTETS // 4)
            known_well = folder.id not in self._damaged and not self._intake.watches(folder.id)
            if known_well and self._as_the_index(folder, path):
                return False
            self._database.at_most(1, 0)  # files are going to be renamed and brought to stable storage
            return self._look(folder.id, path)

    def _as_the_index(self, folder: FolderRow, path: Path) -> bool:
        """Is everything where the index says? Nearly always: our own changes move the directories' times too. A look
        that reads only, and keeps nobody from writing meanwhile."""
        with self._database.look() as connection:
            rows = self._rows(connection, folder.id)
        if len(rows) >= LARGE:  # worth a mark in the index, which is written
            return False
        look = Look(folder, path, self._clock)
        found = self._read(look, rows, set())
        if found:
            return False
        self._marks[folder.id] = look.mark
        return True

    def _rows(self, connection: Connection, folder_id: int) -> list[tuple[int, str, str]]:
        rows: list[tuple[int, str, str]] = _NAMES.all(connection, {"a": self._account_id, "f": folder_id})
        return rows

    def _as_before(self, folder_id: int, seen: marks.Times) -> bool:
        mark = self._marks.get(folder_id)
        if mark is None and folder_id not in self._damaged:
            with self._database.look() as connection:
                times = marks.recall(connection, self._account_id, folder_id)
            if times is not None:
                mark = self._marks[folder_id] = Mark(times, settled=True)
        if mark is None or not mark.settled or mark.times != seen:
            return False
        return not mark.again or self._clock() < mark.again

    def _look(self, folder_id: int, path: Path) -> bool:
        with self._database.write() as connection:
            folder = folders.by_id(connection, self._account_id, folder_id)
            pending = folders.all_pending(connection, self._account_id)
            if folder is None or any(item.action != "remove" for item in pending):
                return False  # directories are on their way: looked into when they have arrived
            at = (folder.directory + "/cur/").lstrip("/")
            going = {unique_of(item.path.rpartition("/")[2]) for item in pending if item.path.startswith(at)}
            look = Look(folder, path, self._clock)
            replaced = self._damaged.get(folder_id, set()) | self._intake.grown(look)
            rows = self._rows(connection, folder_id)
            found = self._read(look, [row for row in rows if row[0] not in replaced], going)
            look.replaced = replaced & {row[0] for row in rows}
            found.unknown = [
                each
                for each in found.unknown
                if not self._intake.on_its_way(connection, each) and not self._intake.late(connection, path, each)
            ]
            if not self._checked and (found.missing or any(map(_of_this_store, found.unknown))):
                self._database.check(connection)
                self._checked = True
            if found or look.replaced:
                self._carry_out(connection, look, found)
                if look.changed:
                    folders.save(connection, self._account_id, folder)
            if not look.moved and look.mark.settled and not look.mark.again and len(rows) >= LARGE:
                marks.remember(connection, self._account_id, folder_id, look.mark.times)
        if look.moved:
            look.mark.settled = False
        self._marks[folder_id] = look.mark
        self._damaged.pop(folder_id, None)
        if look.changed:
            self._announce(folder_id)
            self._report("maildir changed by another program", folder=folder_id, **look.figures)
        return look.changed

    def _read(self, look: Look, rows: list[tuple[int, str, str]], going: set[str]) -> Difference:
        """What the directories hold beside `rows`; nothing counts as missing unless they stood still."""
        for _ in range(_READINGS):
            now = time.time_ns()
            before = marks.times(look.path)
            new, cur = os.listdir(look.path / "new"), os.listdir(look.path / "cur")  # noqa: PTH208 - 100,000 names
            still = marks.times(look.path) == before
            if still:
                break
        look.mark = Mark(before, still and marks.settled(before, now))
        found = compare(rows, new, cur)
        if going:
            found.unknown = [each for each in found.unknown if unique_of(each.name) not in going]
            found.duplicates = [pair for pair in found.duplicates if unique_of(pair[1].name) not in going]
        if not still:
            found.missing.clear()
        return found

    # What follows from a difference

    def _carry_out(self, connection: Connection, look: Look, found: Difference) -> None:
        gone = [*found.missing, *look.replaced]
        if gone:
            self._maildir.there()
            self._expunge(connection, look, sorted(gone))
        extra = [pair[1] for pair in found.duplicates if self._distinct(look.path, *pair)]
        self._rename(connection, look, found.renamed)
        self._intake.take_in(connection, look, found.unknown, extra)

    def _expunge(self, connection: Connection, look: Look, uids: list[int]) -> None:
        mailbox.remove(connection, self._account_id, look.folder, uids, int(look.clock()))
        self._intake.forget(look.folder.id, uids)
        look.changed = True
        look.figures["removed"] = len(uids) - len(look.replaced)
        look.figures["replaced"] = len(look.replaced)

    def _distinct(self, path: Path, one: Lying, other: Lying) -> bool:
        """Are two names of one message two files? A program that renames by link and unlink has both for a moment."""
        try:
            first, second = (path / one.sub / one.name).lstat(), (path / other.sub / other.name).lstat()
        except OSError:
            return False
        return (first.st_dev, first.st_ino) != (second.st_dev, second.st_ino)

    def _rename(self, connection: Connection, look: Look, renamed: Iterable[Renamed]) -> None:
        changed: list[tuple[int, Flags]] = []
        for each in renamed:
            flags = flags_now(each.lying.name, each.flags)
            path = look.path / each.lying.sub / each.lying.name
            target = look.path / "cur" / (each.file + info(flags))
            if path != target:
                try:
                    path.rename(target)
                except OSError as error:  # it is found by its unique name all the same
                    self._report("message file cannot be renamed", reason=error.strerror)
                else:
                    look.moved = True
            if flags != each.flags:
                changed.append((each.uid, flags))
        if changed:
            mailbox.set_flags(connection, self._account_id, look.folder, changed)
            look.changed = True
            look.figures["flags"] = len(changed)

    # Folders

    def folders(self) -> bool:
        """Look for folders made and removed; whether there were any. Raises StorageFailed."""
        changed = self._directories.look(int(self._clock()))
        for folder_id in changed:
            self._marks.pop(folder_id, None)
        for folder_id in [*changed, ACCOUNT] if changed else []:
            self._announce(folder_id)
        return bool(changed)
