"""What an account's folders and messages are: read, and not changed, but that \\Recent is claimed.

Used by `mailstore.mailhome` alone, in its thread.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Collection, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from mailstore.content import Content, content_of
from mailstore.errors import NoSuchMessage, StorageFailed
from mailstore.index import folders, mailbox
from mailstore.index.folders import INBOX_ID, FolderRow
from mailstore.index.rows import Changes, Flags, Folder, Row, Snapshot, Status
from mailstore.kept import Kept
from mailstore.mailbox import BRIEF_OCTETS, BRIEF_ROWS
from mailstore.maildir import NotAFile
from mailstore.message.facts import Facts
from mailstore.noticing import Noticing
from mailstore.quota import Usage
from mailstore.refusals import storage_errors
from mailstore.standing import FolderStanding, MessageChanges, Standing, changes_since, standing


class Reading(Noticing):
    """The part of a `MailHome` that tells what is there. From outside, `MailHome` alone is used."""

    kept: Kept  # made by `MailHome`

    # A folder's state

    def status(self, name: str, *, looking: bool = False) -> Status:
        """`looking`: as it is once what other programs did is noticed. Raises NoSuchFolder."""
        folder, figures = self._read_of(name, self._figures, looking=looking)
        return replace(figures, object_id=self.object_id(folder.value()))

    def select(self, name: str, *, writable: bool, looking: bool = False) -> Snapshot:
        """The folder as it is now, or with `looking` once what other programs did is noticed. A writable one claims
        what is \\Recent. Raises NoSuchFolder."""
        folder, (uids, flags, modseqs) = self._read_of(name, self._messages, looking=looking)
        recent_from = folder.recent_from
        if writable and recent_from < folder.uidnext:
            recent_from = self._claim_recent(folder)
        used = {keyword for value in set(flags) for keyword in value if not keyword.startswith("\\")}
        return Snapshot(
            folder.value(),
            folder.uidnext,
            folder.highestmodseq,
            recent_from,
            uids,
            flags,
            tuple(sorted(used)),
            modseqs,
        )

    def _figures(self, connection: Connection, folder: FolderRow) -> Status:
        return mailbox.status(connection, self.account_id, folder)

    def _messages(self, connection: Connection, folder: FolderRow) -> tuple[array[int], list[Flags], array[int]]:
        return mailbox.uids_flags_modseqs(connection, self.account_id, folder.id)

    def _claim_recent(self, shown: FolderRow) -> int:
        """Take what nobody was shown as \\Recent yet, up to where the folder ends for who looked it up; gives back
        where it starts."""
        start = shown.recent_from
        try:
            with self._database.write_lightly() as connection:
                folder = self._numbered(connection, shown.id)
                start = folder.recent_from
                folder.recent_from = max(start, shown.uidnext)
                folders.save(connection, self.account_id, folder)
        except StorageFailed:
            pass  # a disk that is full keeps nobody from the mail that is there: others see it as \Recent too
        return start

    def changes(self, folder_id: int, since: int, *, claim_recent: bool) -> Changes:
        """What happened after modseq `since`. Raises NoSuchFolder when the folder was deleted."""
        with self._database.look() as connection:
            changes = mailbox.ask_for_changes(connection, self.account_id, folder_id, since)
            folder = self._numbered(connection, folder_id)
            found = changes(folder)
        if claim_recent and folder.recent_from < folder.uidnext:
            start = self._claim_recent(folder)
            return Changes(found.highestmodseq, found.uidnext, start, found.changed, found.gone)
        return found

    def vanished(self, folder_id: int, since: int) -> list[int]:
        """The UIDs of all messages that were expunged after modseq `since` (RFC 7162 3.2.5)."""
        with self._database.read() as connection:
            return mailbox.vanished(connection, self.account_id, folder_id, since)

    def object_id(self, folder: Folder) -> str:
        """The folder's MAILBOXID (RFC 8474 4): kept through renames, never given twice."""
        return f"F{self.token}-{folder.id:x}"

    # Messages

    def rows(self, folder_id: int, uids: Collection[int]) -> list[Row]:
        """The messages of these UIDs that are there, by ascending UID. Of those that are not here yet (`Row.away`)
        the date may not be known (`Row.dated`): ask for the header, which brings it."""
        self._database.at_most(len(uids), BRIEF_ROWS)
        with self._database.read() as connection:
            return mailbox.rows(connection, self.account_id, folder_id, uids)

    def open(self, folder_id: int, uid: int) -> Content:
        """A message's bytes. Raises NoSuchMessage, MessageLost, NotArrived, StillAway."""
        opened = self.open_many(folder_id, [uid])
        if uid not in opened:
            raise NoSuchMessage("the message is no longer there")
        return opened[uid]

    def open_many(self, folder_id: int, uids: Collection[int]) -> dict[int, Content]:
        """The bytes of those messages that are there, by UID. Raises MessageLost, and NotArrived or StillAway for
        what is listed and not here yet. Close each."""
        with self._database.look() as connection:
            rows = mailbox.ask_for_rows(connection, self.account_id, folder_id, uids)
            folder = self._numbered(connection, folder_id)
            found = rows()
        if any(row.away for row in found):
            with self._database.read() as connection:
                found = mailbox.rows(connection, self.account_id, folder_id, uids)
                self._all_here(connection, found)
        self._database.apart()
        opened: dict[int, Content] = {}
        try:
            for row in found:
                with storage_errors():
                    opened[row.uid] = self._content(folder, row)
        except BaseException:
            for content in opened.values():
                content.close()
            raise
        return opened

    def facts(self, folder_id: int, uids: Collection[int]) -> dict[int, Facts]:
        """What clients ask of messages, by UID, computed where it is not kept yet: ask for some hundreds at a time.
        Messages that are gone or cannot be read are left out. Raises NoSuchFolder."""
        return self.kept.facts(folder_id, uids)

    def maildrop(self) -> Sequence[Row]:
        """INBOX as POP3 sees it, in order of UID."""
        with self._database.read() as connection:
            return mailbox.rows(connection, self.account_id, INBOX_ID)

    def _content(self, folder: FolderRow, row: Row) -> Content:
        self._database.at_most(row.size, BRIEF_OCTETS)
        try:
            fd = self._maildir.open(folder.directory, row.file, row.flags)
        except NotAFile:
            self._reconciler.damaged(folder.id, row.uid)
            self._report("message file is none", folder=folder.id, uid=row.uid)
            raise
        if not row.native and os.fstat(fd).st_size != row.size:
            self._reconciler.damaged(folder.id, row.uid)
            self._report("message file has another size", folder=folder.id, uid=row.uid)
        return content_of(fd, row.size, native=row.native)

    # The account as a whole

    def usage(self) -> Usage:
        """How much mail is here."""
        with self._database.read() as connection:
            return mailbox.usage(connection, self.account_id)

    def standing(self, *, annotations: bool) -> Standing:
        """How far everything has come, to be compared with a later one."""
        with self._database.read() as connection:
            return standing(connection, self.account_id, annotations=annotations)

    def changes_since(self, before: FolderStanding, uidnext: int) -> MessageChanges:
        """Which kinds of change there were to a folder's messages; `uidnext` is what it is now."""
        with self._database.read() as connection:
            return changes_since(connection, self.account_id, before, uidnext)
