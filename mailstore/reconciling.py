"""What other programs do to a Maildir becomes what the index says: delivered, renamed and removed messages, and
folders made and removed.

- A look into a folder that nobody changed costs two `stat`s (`mailstore.index.marks`).
- Directories are read, and what follows is written, in one writing transaction: a file whose row is being
  committed by another process is either in neither or in both. What our own writers put in place before their
  transaction is known by its name, which carries the mailbox's token: a file of a move belongs to its ledger row,
  and any other is left alone for GRACE seconds, after which its writer is taken for dead.
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
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, bindparam, select, update

from mailstore import schema
from mailstore.adoption import Adopted, adopt, made_at, token_of
from mailstore.database import BRIEF_OCTETS, BRIEF_ROWS, MailboxDatabase, storage_errors
from mailstore.errors import BadFolderName
from mailstore.index import folders, mailbox, marks
from mailstore.index.folders import INBOX_ID, FolderRow
from mailstore.index.marks import Mark
from mailstore.index.opening import check
from mailstore.index.reconcile import Difference, Lying, Renamed, compare
from mailstore.index.rows import Flags
from mailstore.index.special import ACCOUNT
from mailstore.maildir import (
    Maildir,
    flags_now,
    folder_directory,
    folder_name,
    info,
    ledger_of,
    pulled,
    sync_directory,
    sync_files,
    unique_of,
)
from mailstore.prepared import Prepared

GRACE: Final = 60  # seconds from a file's making to the end of its transaction, at the very most
LARGE: Final = 1_000  # messages from which on it pays to keep a folder's mark in the index
_READINGS: Final = 5  # of a directory that others change all the time
_FRESH: Final = 2.0  # seconds; a file changed so lately may still be growing

Report = Callable[..., None]  # report(event, **figures): for the log; no names, no bytes of mail

_m, _l = schema.messages.c, schema.ledger.c
_NAMES = Prepared(
    select(_m.uid, _m.flags, _m.file).where(_m.account_id == bindparam("a"), _m.folder_id == bindparam("f"))
)
_LEDGER = select(_l.outcome, _l.uidl, _l.folder_id).where(_l.account_id == bindparam("a"), _l.id == bindparam("i"))
_LEDGER_UID = (
    update(schema.ledger).where(_l.account_id == bindparam("a"), _l.id == bindparam("i")).values(uid=bindparam("u"))
)
_OWED: Final = {"listed", "quarantined"}


@dataclass(slots=True)
class _Look:
    """One look into one folder, while its transaction is open."""

    folder: FolderRow
    path: Path
    mark: Mark
    changed: bool = False  # in the index
    moved: bool = False  # in the directories, by us
    replaced: set[int] = field(default_factory=set)  # UIDs whose files are others by now
    figures: dict[str, int] = field(default_factory=dict)


class Reconciler:
    """One account's. Not for several threads at a time."""

    def __init__(
        self,
        maildir: Maildir,
        database: MailboxDatabase,
        account_id: int,
        token: str,
        *,
        clock: Callable[[], float],
        announce: Callable[[int], None],
        report: Report,
    ) -> None:
        self._maildir = maildir
        self._database = database
        self._account_id = account_id
        self._token = token
        self._clock = clock
        self._announce = announce
        self._report = report
        self._marks: dict[int, Mark] = {}
        self._root: Mark | None = None
        self._checked = False  # was the index looked at as a whole?
        self._fresh: dict[int, dict[int, tuple[str, int]]] = {}  # folder → UID → unique name, octets of the file
        self._damaged: dict[int, set[int]] = {}

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
                if folder.id != INBOX_ID and not path.is_dir():
                    return self.folders()
                self._maildir.make(folder.directory)
                self._report("maildir directories were missing", folder=folder.id)
                seen = marks.times(path)
            if self._as_before(folder.id, seen):
                return False
            self._database.at_most(folder.uidnext, BRIEF_ROWS)
            self._database.at_most(marks.extent(path), BRIEF_OCTETS // 4)
            known_well = folder.id not in self._damaged and not self._fresh.get(folder.id)
            if known_well and self._as_the_index(folder, path):
                return False
            self._database.at_most(1, 0)  # files are going to be renamed and brought to stable storage
            return self._look(folder.id, path)

    def _as_the_index(self, folder: FolderRow, path: Path) -> bool:
        """Is everything where the index says? Nearly always: our own changes move the directories' times too. A look
        that reads only, and keeps nobody from writing meanwhile."""
        with self._database.read() as connection:
            rows = self._rows(connection, folder.id)
            if len(rows) >= LARGE:  # worth a mark in the index, which is written
                return False
            look = _Look(folder, path, Mark((0, 0), settled=False))
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
            with self._database.read() as connection:
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
            look = _Look(folder, path, Mark((0, 0), settled=False))
            replaced = self._replaced(look)
            rows = self._rows(connection, folder_id)
            found = self._read(look, [row for row in rows if row[0] not in replaced], going)
            look.replaced = replaced & {row[0] for row in rows}
            if not self._checked and (found.missing or any(token_of(each.name) for each in found.unknown)):
                check(connection)
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

    def _read(self, look: _Look, rows: list[tuple[int, str, str]], going: set[str]) -> Difference:
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

    def _replaced(self, look: _Look) -> set[int]:
        """UIDs whose files have another size than when they were taken in."""
        replaced = set(self._damaged.get(look.folder.id, ()))
        fresh = self._fresh.get(look.folder.id, {})
        for uid, (name, octets) in list(fresh.items()):
            try:
                about = (look.path / "cur" / name).stat()
            except OSError:  # renamed or gone: the comparison finds out
                del fresh[uid]
                continue
            if about.st_size != octets:
                replaced.add(uid)
                del fresh[uid]
            elif time.time() - about.st_mtime > _FRESH:
                del fresh[uid]
        return replaced

    # What follows from a difference

    def _carry_out(self, connection: Connection, look: _Look, found: Difference) -> None:
        gone = [*found.missing, *look.replaced]
        if gone:
            self._expunge(connection, look, sorted(gone))
        extra = [pair[1] for pair in found.duplicates if self._distinct(look.path, *pair)]
        self._rename(connection, look, found.renamed)
        self._adopt(connection, look, found.unknown, extra)

    def _expunge(self, connection: Connection, look: _Look, uids: list[int]) -> None:
        mailbox.remove(connection, self._account_id, look.folder, uids, int(self._clock()))
        for uid in uids:
            self._fresh.get(look.folder.id, {}).pop(uid, None)
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

    def _rename(self, connection: Connection, look: _Look, renamed: Iterable[Renamed]) -> None:
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

    def _adopt(self, connection: Connection, look: _Look, unknown: list[Lying], extra: list[Lying]) -> None:
        files = [(each, False) for each in unknown if self._free(connection, look, each)]
        files += [(each, True) for each in extra]
        if not files:
            return
        directory = os.open(look.path / "cur", os.O_RDONLY | os.O_DIRECTORY)
        try:
            taken = [
                (each, adopted)
                for each, duplicate in files
                if (adopted := self._take(look, each, duplicate=duplicate)) is not None
            ]
            if not taken:
                return
            look.moved = True
            sync_files(directory, [adopted.name for _, adopted in taken])
        finally:
            os.close(directory)
        sync_directory(look.path / "cur")
        self._enter(connection, look, taken)

    def _take(self, look: _Look, lying: Lying, *, duplicate: bool) -> Adopted | None:
        try:
            adopted = adopt(look.path, lying, self._token, self._clock(), rename_unique=duplicate)
        except OSError as error:
            self._report("message file cannot be taken in", folder=look.folder.id, reason=error.strerror)
            adopted = None
        if adopted is None:  # not a file, or one that is still being written
            look.mark.again = self._clock() + 1
        elif duplicate:
            look.figures["duplicates"] = look.figures.get("duplicates", 0) + 1
        if adopted is not None and adopted.wrong_sizes:
            look.figures["wrong_sizes"] = look.figures.get("wrong_sizes", 0) + 1
        return adopted

    def _free(self, connection: Connection, look: _Look, lying: Lying) -> bool:
        """May a file that the index does not know be taken in, or has a writer of ours yet to commit it?"""
        if token_of(lying.name) != self._token:
            return True
        entry = ledger_of(lying.name, self._token)
        if entry is not None:
            return self._ledger(connection, entry)[0] not in _OWED
        age = self._clock() - made_at(lying.name)
        if not 0 <= age < GRACE:
            return True
        unique = unique_of(lying.name)
        if mailbox.was_here(connection, self._account_id, unique):
            return True  # moved or copied here by another program
        look.mark.again = self._clock() + GRACE - age
        return False

    def _ledger(self, connection: Connection, entry: int) -> tuple[str, str, int]:
        row = connection.execute(_LEDGER, {"a": self._account_id, "i": entry}).first()
        return ("", "", 0) if row is None else (row[0], row[1], row[2])

    def _enter(self, connection: Connection, look: _Look, taken: list[tuple[Lying, Adopted]]) -> None:
        folder = look.folder
        first_unseen = folder.recent_from == folder.uidnext
        entries = [ledger_of(adopted.name, self._token) for _, adopted in taken]
        owners: list[int | None] = []
        new = []
        for (_, adopted), entry in zip(taken, entries, strict=True):
            outcome, uidl, place = self._ledger(connection, entry) if entry is not None else ("", "", 0)
            owners.append(entry if place == folder.id else None)  # in another folder: moved here by another program
            date = made_at(adopted.name) if pulled(adopted.name) is not None else adopted.internal_date
            new.append(
                mailbox.NewMessage(
                    adopted.flags,
                    adopted.size,
                    date,
                    adopted.file,
                    uidl=uidl if outcome == "stored" and place == folder.id else "",
                    save_date=int(self._clock()),
                    native=adopted.native,
                )
            )
        uids = mailbox.add(connection, self._account_id, folder, new)
        if first_unseen:  # what lay in `cur` was seen by some program: not \Recent, as far as one UID can part them
            in_new = [uid for uid, (_, adopted) in zip(uids, taken, strict=True) if adopted.was_new]
            folder.recent_from = in_new[0] if in_new else folder.uidnext
        for (_, adopted), uid, entry in zip(taken, uids, owners, strict=True):
            if entry is not None:
                connection.execute(_LEDGER_UID, {"a": self._account_id, "i": entry, "u": uid})
            self._watch_growth(look, adopted, uid)
        look.changed = True
        look.figures["arrived"] = len(uids)

    def _watch_growth(self, look: _Look, adopted: Adopted, uid: int) -> None:
        if time.time() - adopted.internal_date < _FRESH + 1:
            octets = (look.path / "cur" / adopted.name).stat().st_size
            self._fresh.setdefault(look.folder.id, {})[uid] = (adopted.name, octets)
            look.mark.again = look.mark.again or self._clock() + _FRESH

    # Folders

    def folders(self) -> bool:
        """Look for folders made and removed; whether there were any. Raises StorageFailed."""
        root = self._maildir.root
        with storage_errors():
            if not root.is_dir():
                self._maildir.make()
                self._report("maildir directories were missing", folder=INBOX_ID)
            now = time.time_ns()
            seen = (root.stat().st_mtime_ns,) * 2
            if self._root is not None and self._root.settled and self._root.times == seen:
                return False
            changed = self._look_for_folders(root)
        self._root = Mark(seen, marks.settled(seen, now) and not changed)
        for folder_id in [*changed, ACCOUNT] if changed else []:
            self._announce(folder_id)
        return bool(changed)

    def _look_for_folders(self, root: Path) -> list[int]:
        changed = []
        with self._database.write() as connection:
            if any(item.action != "remove" for item in folders.all_pending(connection, self._account_id)):
                return []
            known = {row.directory: row for row in folders.every(connection, self._account_id)}
            lying = {name for name in os.listdir(root) if _is_folder(root / name)}  # noqa: PTH208 - names only
            for directory in sorted(known.keys() - lying - {""}):
                if not (root / directory).is_dir():
                    folders.drop(connection, self._account_id, known[directory].id)
                    self._marks.pop(known[directory].id, None)
                    changed.append(known[directory].id)
                    self._report("folder removed by another program", folder=known[directory].id)
            for directory in sorted(lying - known.keys()):
                made = self._folder_found(connection, directory)
                if made is not None:
                    changed.append(made.id)
                    self._report("folder made by another program", folder=made.id)
        return changed

    def _folder_found(self, connection: Connection, directory: str) -> FolderRow | None:
        try:
            name = folder_name(directory)
        except BadFolderName as error:
            self._report("folder cannot be shown", reason=str(error))
            return None
        if folders.by_name(connection, self._account_id, name) is not None:
            self._report("folder cannot be shown", reason="there is one of that name already")
            return None
        self._maildir.make(directory)
        levels = name.split("/")
        now = int(self._clock())
        for above in ("/".join(levels[:n]) for n in range(1, len(levels))):
            if folders.by_name(connection, self._account_id, above) is None:
                self._maildir.make(folder_directory(above))
                folders.add(connection, self._account_id, above, folder_directory(above), now)
        return folders.add(connection, self._account_id, name, directory, now)


def _is_folder(path: Path) -> bool:
    return (
        path.name.startswith(".")
        and path.name not in {".", ".."}
        and not path.is_symlink()
        and ((path / "cur").is_dir() or (path / "new").is_dir())
    )
