"""What all parts of a `MailHome` stand on: its index and its Maildir, and what is pending between the two.

The index is right about what exists and with which flags; the Maildir follows. Files are put in place before
the transaction that shows them, and taken away after the transaction that lets go of them: what that leaves to
do is noted as `pending` in the same transaction, and worked off at once or at the next opening.

Used by the parts of `mailstore.mailhome.MailHome` alone, in its thread.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager

from sqlalchemy import Connection

from mailstore import delivery
from mailstore.errors import MaildirGone, MailstoreError, NoSuchFolder, NotArrived, NotCarriedOver, StillAway
from mailstore.index import awaited, folders
from mailstore.index.awaited import Away
from mailstore.index.folders import INBOX_ID, FolderRow, Pending
from mailstore.index.rows import Row
from mailstore.intake import Report
from mailstore.mailbox import Announce, Mailbox
from mailstore.maildir import Maildir
from mailstore.refusals import storage_errors


class Groundwork:
    """The state that the parts of a `MailHome` share. From outside, `MailHome` alone is used."""

    token: str  # of the mailbox, in the names of its files; `MailHome` looks it up

    def __init__(
        self,
        database: Mailbox,
        account_id: int,
        maildir: Maildir,
        *,
        announce: Announce,
        clock: Callable[[], float],
        report: Report,
    ) -> None:
        self.account_id = account_id
        self._database = database
        self._maildir = maildir
        self._announce = announce
        self._clock = clock
        self._report = report
        self._taken_away: list[Pending] = []  # done, and not yet ticked off
        self._going: list[Pending] = []  # to be done when what is owed was paid
        self._waits = True  # is what is not here yet waited for?
        self._behind = False  # is a folder's directory not yet where the index has it?

    @property
    def maildir(self) -> Maildir:
        return self._maildir

    @property
    def clock(self) -> Callable[[], float]:
        return self._clock

    def _now(self) -> int:
        return int(self._clock())

    def _named(self, connection: Connection, name: str) -> FolderRow:
        folder = folders.by_name(connection, self.account_id, name)
        if folder is None:
            raise NoSuchFolder("there is no such folder")
        return folder

    def _numbered(self, connection: Connection, folder_id: int) -> FolderRow:
        folder = folders.by_id(connection, self.account_id, folder_id)
        if folder is None:
            raise NoSuchFolder("the folder was deleted")
        return folder

    def together(self) -> AbstractContextManager[None]:
        """What is asked of the index within the block is one state of it, as far as neither anything is changed
        nor a file is read in between."""
        return self._database.together()

    # What is listed and not here yet

    def absent(self, uid: int, away: Mapping[int, Away], *, header: bool = False) -> MailstoreError | NotArrived:
        """What is to be raised where a message of INBOX is needed that is `away`, or its `header`, which is not here
        either. NotArrived names all of `away` that are wanted so: they are fetched together."""
        if away[uid].given_up:
            return NotCarriedOver("the message could not be fetched from the old server")
        if not self._waits:
            return StillAway("the message is still at the old server, which cannot be asked at the moment")
        wanted = [each for each in away.values() if not each.given_up and not (header and each.packed is not None)]
        octets = 0 if header else sum(each.octets for each in wanted)
        return NotArrived([each.uid for each in wanted], whole=not header, octets=octets)

    def away(self, folder_id: int, uids: Collection[int]) -> dict[int, Away]:
        """Those of these messages that are listed and not here yet, by UID."""
        if folder_id != INBOX_ID:
            return {}
        with self._database.read() as connection:
            return awaited.away(connection, self.account_id, uids)

    def _all_here(self, connection: Connection, rows: Iterable[Row]) -> None:
        """Raises NotArrived, StillAway or NotCarriedOver where one of these messages is not here."""
        uids = [row.uid for row in rows if row.away]
        if uids and (missing := awaited.away(connection, self.account_id, uids)):
            given_up = next((uid for uid, each in missing.items() if each.given_up), None)
            raise self.absent(next(iter(missing)) if given_up is None else given_up, missing)

    # Pending work

    def _catch_up(self) -> None:
        """Before files or folders are put in place: the directories must be where the index has them, or what is
        put there now is taken for what was there before. Raises MaildirGone where there is nothing to put them into."""
        if self._database.shared and not self._maildir.root.is_dir():
            raise MaildirGone
        if self._behind:
            self._database.at_most(1, 0)
            self._work_off_pending()

    def _work_off_pending(self) -> None:
        """What a crash, or another process, has left to do in the Maildir."""
        with self._database.read() as connection:
            todo = folders.all_pending(connection, self.account_id)
        for step in delivery.steps(todo):
            self._behind = True  # until all of it is done
            if step[0].action == "remove":
                self._take_away(step)
            else:
                self._arrange(step)
        self._behind = False

    def _take_away(self, going: Sequence[Pending]) -> None:
        """Remove the files of messages that are gone. Doing it twice does no harm, so it is ticked off with the next
        change, and not by a transaction of its own."""
        if self._database.owed:  # a message goes when it is certain that it does
            self._going += going
            return
        self._behind = True  # if it fails, the next change tries again
        with storage_errors():
            self._maildir.remove(item.path for item in going)
        self._behind = False
        self._taken_away += going

    def _arrange(self, step: Sequence[Pending]) -> None:
        """Do something to a directory and tick it off: one process at a time, and once."""
        with storage_errors(), self._database.write() as connection:
            if set(step) <= set(folders.all_pending(connection, self.account_id)):
                delivery.perform(self._maildir, step)
                folders.clear_pending(connection, self.account_id, step)

    def _tick_off(self, connection: Connection) -> None:
        done, self._taken_away = self._taken_away, []
        folders.clear_pending(connection, self.account_id, done)
