"""What is asked of an IMAP server, once it has let the test account in: every folder's list, and a sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mailstore.entries import Listed
from mailstore.old_folders import INBOX
from proxy.admin.probing.finding import Largest, Mailbox, OldFolder, Probed, Step, Told
from proxy.admin.probing.sampling import TIME, EntryTally, Tally, choose, round_trip
from proxy.admin.verify.contents import asked_for
from proxy.imap.client.connection import Connection
from proxy.legacy.errors import LegacyUnreachable
from proxy.migration.imap_source import UNOPENED, ImapManners, ImapSource
from proxy.migration.source import SourceLost
from proxy.migration.uidls import Maildrops
from proxy.pop3.client.connection import Connection as Pop3Connection


class FoldersLook:
    """One mailbox. `run` once; what is found is there as far as it got, whatever it raises."""

    def __init__(self, connection: Connection, found: Probed, reactor: Any, told: Told) -> None:
        self._connection = connection
        self._found = found
        self._reactor = reactor
        self._told = told
        self._source = ImapSource(
            connection,
            ImapManners(),
            lambda: None,
            maildrops=Maildrops(),
            open_maildrop=self._no_maildrop,
            note=self._note,
        )
        self._time_up = False

    async def run(self) -> None:
        """Raises LegacyError, SourceError."""
        self._found.round_trip = await round_trip(self._connection.noop, self._seconds)
        self._told(Step.FOLDERS, "")
        begun = self._seconds()
        listed = await self._source.list()
        if self._found.server is not None:
            self._found.server.capabilities = sorted(self._connection.capabilities)
        self._found.mailbox = self._mailbox(listed, self._seconds() - begun)
        self._told(Step.SPEED, "")
        await self._sample(listed)

    async def leave(self) -> None:
        """Raises nothing."""
        await self._connection.logout()

    def _seconds(self) -> float:
        return float(self._reactor.seconds())

    async def _no_maildrop(self) -> Pop3Connection:
        """A login over POP3 would be one more than was promised."""
        raise LegacyUnreachable("POP3 is not asked by a probe")

    def _note(self, event: str, **fields: object) -> None:
        if event == "legacy folder cannot be opened":
            self._found.remarks.append(f"a folder cannot be opened: {fields['reason']}")

    def _mailbox(self, listed: Sequence[Listed], seconds: float) -> Mailbox:
        folders = {folder.name: [0, 0] for folder in self._source.folders}
        unopened = set()
        messages = [message for message in listed if message.legacy_id != UNOPENED]
        for message in listed:
            if message.legacy_id == UNOPENED:
                unopened.add(message.folder)
            else:
                sums = folders[message.folder]
                sums[0] += 1
                sums[1] += message.octets
        found = Mailbox(len(messages), sum(message.octets for message in messages), seconds)
        found.folders = [
            OldFolder(name, sums[0], sums[1], "cannot be opened" if name in unopened else "")
            for name, sums in folders.items()
        ]
        biggest = max(messages, key=lambda message: message.octets, default=None)
        if biggest is not None:
            folder = "" if biggest.folder == INBOX else biggest.folder
            found.largest = Largest(biggest.position, biggest.octets, folder)
        dates = [date for message in messages if (date := self._date(message)) is not None]
        found.dated, found.oldest, found.newest = len(dates), min(dates, default=None), max(dates, default=None)
        return found

    def _date(self, message: Listed) -> int | None:
        marks = self._source.marked(message.position, asked_for(message)).marks
        return None if marks is None else marks.internal_date

    async def _sample(self, listed: Sequence[Listed]) -> None:
        by_number = {message.position: message for message in listed if message.octets}
        sizes: dict[int, int] = {number: message.octets for number, message in by_number.items()}
        wanted = [(number, asked_for(by_number[number])) for number in choose(sizes)]
        tally, begun = Tally(dict(sizes)), self._seconds()
        timer = self._reactor.callLater(TIME, self._give_up)
        try:
            await self._source.fetch(wanted, EntryTally(tally))
        except SourceLost:
            if not self._time_up:
                raise
        finally:
            if timer.active():
                timer.cancel()
        speed = tally.speed(self._seconds() - begun, at_once=True, round_trip=self._found.round_trip or 0.0)
        self._found.speed = speed or self._found.speed
        if tally.refused:
            self._found.remarks.append(f"it refused {len(tally.refused)} messages of a sample: {tally.refused[0]}")

    def _give_up(self) -> None:
        self._time_up = True
        self._connection.abort()
