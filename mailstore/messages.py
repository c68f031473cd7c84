"""What changes an account's messages: new ones, changes of flags, copies and moves, and removal.

Each method makes its change in one transaction, before which new files are on stable storage, and after which
the files of removed messages go.

Used by `mailstore.mailhome` alone, in its thread.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from functools import partial
from typing import IO

from sqlalchemy import Connection

from mailstore import delivery
from mailstore.delivery import Place
from mailstore.errors import MessageLost, NoSuchMessage
from mailstore.groundwork import Groundwork
from mailstore.index import awaited, folders, mailbox
from mailstore.index.folders import INBOX_ID, FolderRow, Pending
from mailstore.index.rows import (
    DELETED,
    Appended,
    AppendedMany,
    Changes,
    Copied,
    Flagged,
    Flags,
    HandedIn,
    Row,
    Shown,
    Stored,
    StoreMode,
    named_once,
    shared_flags,
)
from mailstore.mailbox import BRIEF_FILES, BRIEF_ROWS
from mailstore.maildir import info
from mailstore.quota import Limits, Usage
from mailstore.refusals import storage_errors


class Messages(Groundwork):
    """The part of a `MailHome` that changes messages. From outside, `MailHome` alone is used."""

    limits: Limits  # what may be stored; set by who opened the `MailHome`

    def store_flags(
        self, folder_id: int, uids: Collection[int], mode: StoreMode, flags: Iterable[str]
    ) -> list[Flagged]:
        """Change flags; gives back every message of `uids` that is there, as it is afterwards."""
        return list(self.store(folder_id, uids, mode, flags).flagged)

    def store(
        self,
        folder_id: int,
        uids: Collection[int],
        mode: StoreMode,
        flags: Iterable[str],
        *,
        unchanged_since: int | None = None,
    ) -> Stored:
        """Change the flags of messages, or of those whose modseq is at most `unchanged_since` (RFC 7162 3.1.3). Look
        and change are one transaction: nobody comes between."""
        self._database.at_most(len(uids), BRIEF_FILES)
        given = named_once(flags)
        with self._database.write() as connection:
            rows = mailbox.ask_for_rows(connection, self.account_id, folder_id, uids)
            folder = self._numbered(connection, folder_id)
            found = rows()
            modified = []
            if unchanged_since is not None:
                modified = [row.uid for row in found if row.modseq > unchanged_since]
                found = [row for row in found if row.modseq <= unchanged_since]
            # Names first: after a crash in between, a name that differs reads as another program's change of flags.
            change = partial(_combine, mode=mode, given=given)
            after = [(row, self._with_flags(folder, row, change)) for row in found]
            changed = [(row, new) for row, new in after if new != row.flags]
            awaited.touch(connection, self.account_id, [row.uid for row in found if row.away])
            if not changed:
                return Stored([Flagged(row.uid, row.modseq, row.flags) for row in found], modified)
            mailbox.set_flags(connection, self.account_id, folder, [(row.uid, new) for row, new in changed])
            folders.save(connection, self.account_id, folder)
        self._announce(folder_id, folder.highestmodseq)
        flagged = [
            Flagged(row.uid, folder.highestmodseq if new != row.flags else row.modseq, new) for row, new in after
        ]
        return Stored(flagged, modified, folder.highestmodseq)

    def _with_flags(self, folder: FolderRow, row: Row, change: Callable[[Flags], Flags]) -> Flags:
        """Its flags after a change, which its file's name has from now on, if there is one."""
        if row.away:
            return change(row.flags)
        return self._maildir.rename_flags(folder.directory, row.file, row.flags, change)

    def expunge(self, folder_id: int, uids: Collection[int] | None = None) -> list[int]:
        """Remove the messages flagged \\Deleted, all or those among `uids` (UID EXPUNGE); gives back their UIDs."""
        changes = self.expunged(folder_id, uids)
        return [] if changes is None else list(changes.gone)

    def expunged(self, folder_id: int, uids: Collection[int] | None = None) -> Changes | None:
        """The same; gives back what it changed, if that is anything."""
        with self._database.look() as connection:
            ask = mailbox.ask_for_marked(connection, self.account_id, folder_id)
            self._database.at_most(self._numbered(connection, folder_id).uidnext, BRIEF_ROWS)
            marked = set(ask())
        if uids is not None:
            marked &= set(uids)
        return self._remove(folder_id, marked, only_deleted=True)

    def remove(self, uids: Collection[int]) -> None:
        """Remove messages from INBOX whatever their flags: POP3's QUIT after DELE (RFC 1939 6)."""
        self._remove(INBOX_ID, uids, only_deleted=False)

    def _remove(self, folder_id: int, uids: Collection[int], *, only_deleted: bool) -> Changes | None:
        if not uids:
            return None
        self._database.at_most(len(uids), BRIEF_FILES)
        self._catch_up()
        with self._database.write() as connection:
            rows = mailbox.ask_for_rows(connection, self.account_id, folder_id, uids)
            folder = self._numbered(connection, folder_id)
            found = [row for row in rows() if not only_deleted or DELETED in row.flags]
            if not found:
                return None
            going = self._forget(connection, folder, found)
        self._announce(folder_id, folder.highestmodseq)
        self._take_away(going)
        gone = [row.uid for row in found]
        return Changes(folder.highestmodseq, folder.uidnext, folder.recent_from, (), gone)

    def _forget(self, connection: Connection, folder: FolderRow, gone: Sequence[Row]) -> list[Pending]:
        """Remove messages from the index, and note that their files are to go."""
        self._tick_off(connection)
        mailbox.remove_rows(connection, self.account_id, folder, gone, self._now())
        folders.save(connection, self.account_id, folder)
        paths = (f"{folder.directory}/cur/{row.file}{info(row.flags)}".lstrip("/") for row in gone if not row.away)
        return folders.add_pending(connection, self.account_id, [("remove", path, "") for path in paths])

    def append(
        self,
        name: str,
        message: IO[bytes],
        flags: Iterable[str],
        internal_date: int | None,
        *,
        shown: Shown | None = None,
    ) -> Appended:
        """Store a message, read from the file's position to its end. Who has a folder `shown` as it was just before is
        given what that changed. Raises NoSuchFolder, OverQuota, StorageFailed."""
        with self._database.look() as connection:
            folder = self._named(connection, name)
        given = named_once(flags)
        now = self._clock()
        with storage_errors(), self._placed(folder, now) as place:
            date = int(now) if internal_date is None else internal_date
            file, size = place.message(message, given, date)
            place.settle()
            with self._database.write() as connection:
                self._make_room(connection, size, 1)
                folder = self._numbered(connection, folder.id)
                new = mailbox.NewMessage(given, size, date, file, save_date=int(now))
                (uid,) = mailbox.add(connection, self.account_id, folder, [new])
                recent_from = folder.recent_from
                told = shown is not None and shown.is_before(folder)
                if shown is not None and told and shown.claims_recent:
                    folder.recent_from = folder.uidnext
                folders.save(connection, self.account_id, folder)
        self._announce(folder.id, folder.highestmodseq)
        if not told:
            return Appended(folder.uidvalidity, uid)
        appended = Flagged(uid, folder.highestmodseq, shared_flags(given))
        changes = Changes(folder.highestmodseq, folder.uidnext, recent_from, (appended,), ())
        return Appended(folder.uidvalidity, uid, changes)

    def append_many(
        self, name: str, messages: Sequence[HandedIn], *, replacing: tuple[int, int] | None = None
    ) -> AppendedMany:
        """Store messages, all or none, under one modseq. `replacing`: the folder's id and UID of a message that goes
        in the same transaction (RFC 8508). Raises NoSuchFolder, NoSuchMessage (to be replaced), StorageFailed."""
        with self._database.look() as connection:
            folder = self._named(connection, name)
        now = self._clock()
        with storage_errors(), self._placed(folder, now) as place:
            new = []
            for message in messages:
                given = named_once(message.flags)
                date = int(now) if message.internal_date is None else message.internal_date
                file, size = place.message(message.source, given, date)
                new.append(mailbox.NewMessage(given, size, date, file, save_date=int(now)))
            place.settle()
            with self._database.write() as connection:
                if replacing is not None:
                    source = self._numbered(connection, replacing[0])
                    gone = mailbox.rows(connection, self.account_id, source.id, [replacing[1]])
                    if not gone:
                        raise NoSuchMessage("the message to be replaced is no longer there")
                    going = self._forget(connection, source, gone)  # its room counts for the one that takes its place
                self._make_room(connection, sum(message.size for message in new), len(new))
                folder = self._numbered(connection, folder.id)
                uids = mailbox.add(connection, self.account_id, folder, new)
                folders.save(connection, self.account_id, folder)
        self._announce(folder.id, folder.highestmodseq)
        if replacing is not None:
            self._announce(replacing[0])
            self._take_away(going)
        return AppendedMany(folder.uidvalidity, uids)

    def copy(self, folder_id: int, uids: Collection[int], target: str) -> Copied:
        """Copy messages with flags and internal date, all or none.

        Raises NoSuchFolder, OverQuota, MessageLost, StorageFailed, NotArrived, StillAway."""
        return self._transfer(folder_id, uids, target, moving=False)

    def move(self, folder_id: int, uids: Collection[int], target: str) -> Copied:
        """Move messages with flags and internal date, all or none, in one transaction (RFC 6851 3.3); the target may
        be the folder that they are in. The ledger remembers those that a move brought as deleted by the user.
        Raises NoSuchFolder, MessageLost, StorageFailed, NotArrived, StillAway."""
        return self._transfer(folder_id, uids, target, moving=True)

    def _transfer(self, folder_id: int, uids: Collection[int], target: str, *, moving: bool) -> Copied:
        """Copy, or move in one transaction: a crash neither loses a message nor leaves it in both folders."""
        self._database.at_most(len(uids), BRIEF_FILES)
        while (copied := self._transferred(folder_id, uids, target, moving=moving)) is None:
            pass
        return copied

    def _transferred(self, folder_id: int, uids: Collection[int], target: str, *, moving: bool) -> Copied | None:
        """None: another process changed or moved some of the messages while their files were put in place."""
        self._catch_up()
        with self._database.read() as connection:
            source = self._numbered(connection, folder_id)
            folder = self._named(connection, target)
            found = mailbox.rows(connection, self.account_id, folder_id, uids)
            self._all_here(connection, found)
        if not found:
            return Copied(folder.uidvalidity, (), ())
        try:
            with storage_errors(), self._placed(folder, self._clock()) as place:
                files = [place.link(source.directory, row) for row in found]
                place.settle()
                with self._database.write() as connection:
                    self._still(connection, folder_id, uids, found)
                    if not moving:
                        self._make_room(connection, sum(row.size for row in found), len(found))
                    folder = self._numbered(connection, folder.id)
                    copies = [_copy_of(row, *each, self._now()) for row, each in zip(found, files, strict=True)]
                    targets = mailbox.add(connection, self.account_id, folder, copies)
                    folders.save(connection, self.account_id, folder)
                    if moving:
                        going = self._forget(connection, self._numbered(connection, folder_id), found)
        except _Overtaken:
            return None
        except MessageLost:
            with suppress(_Overtaken), self._database.read() as connection:
                self._still(connection, folder_id, uids, found)
                raise
            return None
        self._announce(folder.id, folder.highestmodseq)
        if moving:
            self._announce(folder_id)
            self._take_away(going)
        return Copied(folder.uidvalidity, [row.uid for row in found], targets)

    # Within

    def _make_room(self, connection: Connection, octets: int, messages: int) -> None:
        """Raises OverQuota. Nothing is counted where nothing is limited."""
        if self.limits:
            self.limits.check(mailbox.usage(connection, self.account_id), Usage(octets, messages))

    def _still(self, connection: Connection, folder_id: int, uids: Collection[int], found: Sequence[Row]) -> None:
        """Raises _Overtaken unless these messages are what was found of them before the transaction."""
        if mailbox.rows(connection, self.account_id, folder_id, uids) != found:
            raise _Overtaken

    def _placed(self, folder: FolderRow, now: float) -> AbstractContextManager[Place]:
        """Where new files go, which are on stable storage before the index has them."""
        self._catch_up()
        if self._database.owing:
            self._database.at_most(1, 0)
        return delivery.placed(self._maildir, folder.directory, self.token, now)


class _Overtaken(Exception):
    """What was looked up before a transaction is not so any more within it."""


def _copy_of(row: Row, file: str, flags: Flags, now: int) -> mailbox.NewMessage:
    return mailbox.NewMessage(
        flags, row.size, row.internal_date, file, save_date=now, content_id=row.content_id, native=row.native
    )


def _combine(old: Flags, mode: StoreMode, given: Flags) -> Flags:
    """A keyword is the same in either case (RFC 3501 9 (1)), and keeps the spelling that the message has."""
    spelled = {flag.lower(): flag for flag in old}
    if mode is StoreMode.REMOVE:
        return shared_flags(old - {spelled.get(flag.lower(), flag) for flag in given})
    wanted = {spelled.get(flag.lower(), flag) for flag in given}
    return shared_flags(wanted if mode is StoreMode.REPLACE else old | wanted)
