"""What a move does about messages that are listed before they are here: their headers come, then they come themselves.

`mailstore.index.awaited` has the rows. The order of the barrier is that of all arrivals (invariant 2): a file is in
place and durable before its row has its name. What the user did to a message that was not here holds: flags that were
changed stay as they are, whatever its header says, and what was removed is not taken in.

A part of `mailstore.mailhome`, which alone makes it: one thread at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from sqlalchemy import Connection

from mailstore.entries import Landed
from mailstore.index import awaited, folders, mailbox
from mailstore.index.awaited import Noted
from mailstore.index.folders import INBOX_ID, FolderRow
from mailstore.index.rows import Flags
from mailstore.intake import Report
from mailstore.mailbox import Announce, Mailbox
from mailstore.maildir import Maildir, info, sync_directory


def _those(flags: Flags, _before: Flags) -> Flags:
    return flags


class Oncoming:
    """One account's."""

    def __init__(
        self,
        database: Mailbox,
        account_id: int,
        maildir: Maildir,
        *,
        announce: Announce,
        report: Report,
    ) -> None:
        self._database = database
        self._account_id = account_id
        self._maildir = maildir
        self._announce = announce
        self._report = report

    def complete(self) -> bool:
        """Is the whole old mailbox listed, whether or not all of it is here?"""
        with self._database.read() as connection:
            return awaited.is_listed(connection, self._account_id)

    def unwanted(self) -> list[int]:
        """The ledger rows of messages that the user removed before they were here."""
        with self._database.read() as connection:
            return awaited.unwanted(connection, self._account_id)

    def places(self) -> list[tuple[int, int, bool]]:
        """Of all messages that are listed and not here: UID, ledger row, and whether the header is here."""
        with self._database.read() as connection:
            return awaited.every(connection, self._account_id)

    def note(self, headers: Sequence[Noted]) -> list[int]:
        """Keep headers that have come, with the dates and flags that they tell. Gives back what is `unwanted`."""
        by_row = {noted.ledger_id: noted for noted in headers}
        with self._database.write() as connection:
            places = awaited.places(connection, self._account_id, by_row)
            open_ = [(place, by_row[i]) for i, place in places.items() if not (place.unwanted or place.has_header)]
            awaited.keep_headers(connection, self._account_id, [(place.uid, noted) for place, noted in open_])
            changed = [(p.uid, noted.flags) for p, noted in open_ if not p.touched and p.flags != noted.flags]
            self._set_flags(connection, changed)
            unwanted = awaited.unwanted(connection, self._account_id)
        self._announce(INBOX_ID)  # also where no flag is new: somebody may be waiting for a header
        return unwanted

    def _set_flags(self, connection: Connection, changed: Sequence[tuple[int, Flags]]) -> None:
        if changed:
            inbox = folders.by_id(connection, self._account_id, INBOX_ID)
            assert inbox is not None
            mailbox.set_flags(connection, self._account_id, inbox, changed)
            folders.save(connection, self._account_id, inbox)

    def over(self) -> None:
        """The move is done: nothing is on its way any more."""
        if not self.unwanted():
            return
        with self._database.write_lightly() as connection:
            awaited.drop_unwanted(connection, self._account_id)

    def take(self, connection: Connection, inbox: FolderRow, landed: Sequence[Landed]) -> dict[int, int | None]:
        """Put messages that have landed into the places that are kept for them, in the ledger's transaction. Gives
        back their UIDs by ledger row, None where the user has removed the message: its file is noted to be removed.
        Those of no place are left out. The caller saves the folder."""
        places = awaited.places(connection, self._account_id, [message.entry.id for message in landed])
        if not places:
            return {}
        taken: dict[int, int | None] = {}
        files: list[tuple[int, str, int, int | None]] = []
        changed: list[tuple[int, Flags]] = []
        going: list[tuple[str, str, str]] = []
        renamed = resized = 0
        for message in landed:
            place = places.get(message.entry.id)
            if place is None:
                continue
            if place.unwanted or place.flags is None:
                taken[message.entry.id] = None
                going.append(("remove", f"cur/{message.file}{info(message.flags)}", ""))
                continue
            taken[message.entry.id] = place.uid
            flags = place.flags if place.touched else message.flags
            if info(flags) != info(message.flags):
                self._maildir.rename_flags("", message.file, message.flags, partial(_those, flags))
                renamed += 1
            if flags != place.flags:
                changed.append((place.uid, flags))
            resized += place.size != message.size
            date = None if place.has_header else message.internal_date
            files.append((place.uid, message.file, message.size, date))
        if renamed:
            sync_directory(self._maildir.root / "cur")
        if changed:
            mailbox.set_flags(connection, self._account_id, inbox, changed)
        awaited.arrived(connection, self._account_id, files)
        folders.add_pending(connection, self._account_id, going)
        if resized:
            self._report("messages are not as long as the legacy server listed them", messages=resized)
        return taken
