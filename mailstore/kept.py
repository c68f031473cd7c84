"""What is computed of an account's messages once, kept in the index, and looked up from then on.

Two kinds: the facts that FETCH and SORT ask for (`mailstore.message.facts`), and the texts that SEARCH asks for
(`mailstore.index.fulltext`). Both are filled when they are first asked for, in bounded portions, in the thread that
asks; nothing that is kept is ever needed for what the mailbox shows, so it is written without a barrier of its own.

A part of `mailstore.mailhome`, which alone makes it: one thread at a time.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import suppress

from sqlalchemy import Connection

from mailstore.content import content_of
from mailstore.errors import MessageLost, NoSuchFolder, StorageFailed
from mailstore.index import awaited, contents, folders, fulltext, mailbox
from mailstore.index.folders import INBOX_ID
from mailstore.index.fulltext import Found, Texts
from mailstore.index.rows import Row
from mailstore.mailbox import BRIEF_FILES, BRIEF_OCTETS, Mailbox
from mailstore.maildir import Maildir
from mailstore.message.facts import Facts, computed
from mailstore.refusals import storage_errors

PORTION = 64  # messages read between two transactions
PORTION_OCTETS = 8 * 1024 * 1024

Computed = tuple[Row, Facts, Texts | None]


class Kept:
    """One account's."""

    def __init__(self, database: Mailbox, account_id: int, maildir: Maildir) -> None:
        self._database = database
        self._account_id = account_id
        self._maildir = maildir
        self._ahead: list[tuple[int, list[int]]] = []  # folders and UIDs that `index_more` has still to see to
        self._indexed_up_to: dict[int, int] = {}  # by folder: below this UID all are entered, or in `_ahead`

    def facts(self, folder_id: int, uids: Collection[int], *, largest: int | None = None) -> dict[int, Facts]:
        """The facts of those messages that are there, by UID; what is missing is computed and kept. Messages that
        cannot be read are left out, and those of more than `largest` octets that nobody has asked about before."""
        with self._database.read() as connection:
            found = contents.facts(connection, self._account_id, folder_id, uids)
            missing = [uid for uid in uids if uid not in found]
            if not missing:
                return found
            rows, directory = self._rows(connection, folder_id, missing)
        rows = [row for row in rows if not row.away and (largest is None or row.size <= largest)]
        self._database.at_most(len(rows), BRIEF_FILES // 2)
        self._database.at_most(sum(row.size for row in rows), BRIEF_OCTETS // 4)
        self._database.apart()
        for portion in _portions(rows):
            done = list(self._computed(directory, portion, with_texts=False))
            found.update((row.uid, facts) for row, facts, _ in done)
            self._keep(folder_id, done)
        return found

    def search(self, folder_id: int, needle: str, columns: Collection[str]) -> Found | None:
        """What is known of a folded needle: see `fulltext.search`. None when the index cannot say.

        Messages that `index` was not told of yet are in neither set."""
        if not needle or "\0" in needle or not _encodable(needle):
            return None
        with self._database.read() as connection:
            return fulltext.search(connection, self._account_id, folder_id, needle, columns)

    def unindexed(self, folder_id: int, uids: Collection[int]) -> list[int]:
        """Those of `uids` whose texts are not in the index."""
        with self._database.read() as connection:
            known = fulltext.known(connection, self._account_id, folder_id)
        return [uid for uid in uids if uid not in known]

    def index(self, folder_id: int, uids: Collection[int], seconds: float) -> int:
        """Enter the texts of messages into the index, in order, for about so long; how many are dealt with. Those that
        are not here yet are passed over."""
        end = time.monotonic() + seconds
        with self._database.read() as connection:
            rows, directory = self._rows(connection, folder_id, uids)
        rows = [row for row in rows if not row.away]
        seen = 0
        for portion in _portions(rows):
            self._keep(folder_id, list(self._computed(directory, portion, with_texts=True)))
            seen += len(portion)
            if time.monotonic() > end:
                break
        done = {row.uid for row in rows[seen:]}
        for count, uid in enumerate(uids):
            if uid in done:
                return count
        return len(uids)

    def index_more(self, seconds: float) -> bool:
        """Enter texts of whatever folder, newest messages first, for about so long; is there more to be done?

        For quiet moments: a search that finds its index filled is answered at once."""
        end = time.monotonic() + seconds
        if not self._ahead:
            self._look_ahead()
        while self._ahead and time.monotonic() < end:
            folder_id, uids = self._ahead[-1]
            some = uids[-PORTION:]
            try:
                self.index(folder_id, some, end - time.monotonic())
            except NoSuchFolder:
                some = uids
            del uids[-len(some) :]
            if not uids:
                self._ahead.pop()
        return bool(self._ahead)

    def _look_ahead(self) -> None:
        """Which messages have come since the last time that all had been entered. Those that cannot be read, and
        those that were passed over for lack of time, are not tried again: a search sees to them."""
        with self._database.read() as connection:
            for folder in folders.every(connection, self._account_id):
                first = self._indexed_up_to.get(folder.id, 1)
                lowest = awaited.lowest(connection, self._account_id) if folder.id == INBOX_ID else None
                end = folder.uidnext if lowest is None else lowest  # from here on messages are still to come
                if folder.uidnext <= first:
                    continue
                known = fulltext.known(connection, self._account_id, folder.id)
                uids, _ = mailbox.uids_and_flags(connection, self._account_id, folder.id)
                away = awaited.away(connection, self._account_id, uids) if lowest is not None else {}
                missing = [uid for uid in uids if uid >= first and uid not in known and uid not in away]
                self._indexed_up_to[folder.id] = end
                if missing:
                    self._ahead.append((folder.id, missing))

    def _rows(self, connection: Connection, folder_id: int, uids: Collection[int]) -> tuple[list[Row], str]:
        folder = folders.by_id(connection, self._account_id, folder_id)
        if folder is None:
            raise NoSuchFolder("the folder was deleted")
        return mailbox.rows(connection, self._account_id, folder_id, uids), folder.directory

    def _computed(self, directory: str, rows: Collection[Row], *, with_texts: bool) -> Iterator[Computed]:
        for row in rows:
            try:
                with storage_errors():
                    fd = self._maildir.open(directory, row.file, row.flags)
                with content_of(fd, row.size, native=row.native) as content:
                    data = content.whole()
                    facts, root = computed(data)
                    yield row, facts, fulltext.texts_of(root, data) if with_texts else None
            except MessageLost:
                continue

    def _keep(self, folder_id: int, done: Collection[Computed]) -> None:
        """A full disk is no reason not to answer with what was computed."""
        with suppress(StorageFailed), self._database.write_lightly() as connection:
            indexing = any(texts is not None for _, _, texts in done)
            if indexing:
                fulltext.make(connection)
            known = [(row.uid, row.file, facts) for row, facts, _ in done]
            kept = contents.keep(connection, self._account_id, folder_id, known)
            found = {kept[row.uid]: texts for row, _, texts in done if row.uid in kept and texts is not None}
            fulltext.enter(connection, self._account_id, found)
            if indexing:
                fulltext.sweep(connection, self._account_id)


def _portions(rows: Collection[Row]) -> Iterator[list[Row]]:
    portion: list[Row] = []
    octets = 0
    for row in rows:
        if portion and (len(portion) >= PORTION or octets + row.size > PORTION_OCTETS):
            yield portion
            portion, octets = [], 0
        portion.append(row)
        octets += row.size
    if portion:
        yield portion


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
