"""One account, from its legacy server's listing to what is found.

In this order, so that mail which comes or goes meanwhile is not taken for mail that was lost: what the legacy server
lists first, then ledger and index, then what it gives, then the files. What seems wrong here is looked at once more
when all is done: a user may have deleted or moved it, or the daemon have fetched it, while it was compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

from twisted.internet.task import deferLater

from mailstore.accounts import Account, State
from mailstore.audit import Audit, Audited, Picture
from mailstore.errors import StorageFailed
from mailstore.ledger import Entry, Listed, Outcome
from proxy.admin.verify.contents import Contents, asked_for
from proxy.admin.verify.judging import doubtful, judge, matched
from proxy.admin.verify.kinds import Finding, Kind
from proxy.admin.verify.local import Files, is_here
from proxy.admin.verify.matching import Matching, name_of
from proxy.admin.verify.outcome import AccountOutcome
from proxy.admin.verify.sample import How, to_fetch
from proxy.login.names import Name
from proxy.migration.pull import InThread
from proxy.migration.source import Source, SourceError, SourceLost
from proxy.pop3.client.errors import LegacyBusy, LegacyError, LegacyTimeout, LegacyUnreachable, MaildropInUse
from proxy.wire.door import Secret

PAUSES: Final = (5.0, 15.0, 40.0)  # seconds before a mailbox in use, or a server that is busy, is tried again
REOPENED: Final = 3  # times that a connection which broke is replaced
TELLS: Final = 64  # messages, between two tellings how many were given
BATCH: Final = 256  # messages whose files are read in one go of a thread


class Door(Protocol):
    """How a legacy mailbox is opened: `proxy.login.legacy.LegacyDoor`."""

    async def open(self, name: Name, password: Secret) -> Source:
        """Raises LegacyError."""


class NotCompared(Exception):
    """The legacy server cannot be compared with. The text says why; `silent` is it because it does not answer?"""

    def __init__(self, text: str, *, silent: bool = False) -> None:
        super().__init__(text)
        self.silent = silent


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an account is."""

    step: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the checks of all accounts share."""

    how: How
    door: Door
    reactor: Any
    in_thread: InThread
    daemon: bool  # is there one at work?


class Check:
    """The check of one account. `run` once."""

    def __init__(
        self,
        account: Account,
        maildir: Path,
        password: Secret | str,
        around: Surroundings,
        told: Callable[[Progress], None],
    ) -> None:
        """`password` as text is why there is none, or why the legacy server is not asked."""
        self.silent = False  # did the legacy server not answer at all?
        self._account = account
        self._audit = Audit(maildir, account.id)
        self._password = password
        self._around = around
        self._told = told
        self._outcome = AccountOutcome(account.name, account.domain, account.state.value)
        self._source: Source | None = None
        self._reopened = 0
        self._broke_at = 0  # which message it broke at last
        self._wanted = 0  # messages that it is asked to give

    async def run(self) -> AccountOutcome:
        began = self._around.reactor.seconds()
        try:
            await self._run()
        finally:
            self._drop_source()
        self._outcome.seconds = self._around.reactor.seconds() - began
        return self._outcome

    async def _run(self) -> None:
        outcome = self._outcome
        if self._account.state is State.WAITING:
            outcome.not_compared = "nobody has logged in here yet, so nothing was carried over"
            return
        listing = await self._list()
        in_thread = self._around.in_thread
        try:
            picture, files = await in_thread(self._audit.picture), Files()
            contents, matching = Contents(self._given), None
            if listing is not None:
                matching = await in_thread(matched, listing, picture, contents)
                await self._read_there(matching, contents)
                matching = await in_thread(matched, listing, picture, contents)
            await self._read_here(picture, files)
            again = await in_thread(doubtful, picture, files, matching)
            if again is not None:
                picture = await self._look_again(files, again)
                if listing is not None:
                    matching = await in_thread(matched, listing, picture, contents)
            await in_thread(judge, outcome, picture, files, matching, contents, self._audit)
            self._under_way(picture.rows)
        except FileNotFoundError:
            self._unreadable("there is no index (Maildir.db) beside the Maildir")
        except StorageFailed as error:
            self._unreadable(str(error))

    def _unreadable(self, why: str) -> None:
        self._outcome.found(Finding(Kind.UNREADABLE, why))

    # The legacy server

    async def _list(self) -> Sequence[Listed] | None:
        """What it lists, or None where it cannot be compared with."""
        outcome = self._outcome
        if not self._around.how.legacy:
            return None
        try:
            self._told(Progress("logging in", 0, 0))
            self._source = await self._open()
            self._told(Progress("listing", 0, 0))
            listing = await self._source.list()
        except NotCompared as error:
            self.silent, outcome.not_compared = error.silent, str(error)
            return None
        except SourceError as error:
            outcome.not_compared = str(error)
            return None
        outcome.listed = len(listing)
        outcome.listed_octets = sum(message.octets for message in listing)
        return listing

    async def _open(self) -> Source:
        """Raises NotCompared."""
        if isinstance(self._password, str):
            raise NotCompared(self._password)
        name = Name(self._account.local, self._account.domain)
        for pause in (*PAUSES, None):
            try:
                return await self._around.door.open(name, self._password)
            except (MaildropInUse, LegacyBusy) as error:
                if pause is None:
                    raise NotCompared(f"{error.text} (tried {len(PAUSES) + 1} times)") from error
                self._told(Progress("waiting: the mailbox is in use, or the server busy", 0, 0))
                await deferLater(self._around.reactor, pause)
            except (LegacyUnreachable, LegacyTimeout) as error:
                raise NotCompared(error.text, silent=True) from error
            except LegacyError as error:
                raise NotCompared(error.text) from error
        raise AssertionError("unreachable")

    def _drop_source(self) -> None:
        if self._source is not None:
            self._source.abort()
            self._source = None

    async def _read_there(self, matching: Matching, contents: Contents) -> None:
        """Have the legacy server give what is to be compared; the connection is over afterwards."""
        pairs, unknown = to_fetch(self._around.how, self._outcome.account, matching)
        wanted = [(pair.listed, asked_for(pair.listed, pair.row.entry)) for pair in pairs]
        wanted += [(listed, asked_for(listed)) for listed in unknown]
        wanted.sort(key=lambda item: item[0].position)
        contents.expected = {pair.listed.position: pair.row.sha256 for pair in pairs if pair.row.sha256 is not None}
        self._wanted = len(wanted)
        try:
            await self._fetch(wanted, contents)
        except (NotCompared, SourceError) as error:
            of = f"the bytes of {contents.done} of {len(wanted)} messages were compared"
            self._outcome.not_compared = f"{of}, then: {error}"

    def _given(self, done: int) -> None:
        if done % TELLS == 0:
            self._told(Progress("comparing with the legacy server", done, self._wanted))

    async def _fetch(self, wanted: Sequence[tuple[Listed, Entry]], contents: Contents) -> None:
        """Raises SourceError, NotCompared."""
        listed = {entry.id: message for message, entry in wanted}
        left = [(message.position, entry) for message, entry in wanted]
        while left:
            if self._source is None:
                left = await self._again(left, listed)
            try:
                if self._source is not None:
                    await self._source.fetch(left, contents)
                break
            except SourceLost as error:
                self._drop_source()
                self._reopened += 1
                if self._reopened > REOPENED:
                    raise
                self._suspect(error, contents)
                left = [item for item in left if not contents.settled(item[1])]
        if self._source is not None:
            source, self._source = self._source, None
            await source.close()

    def _suspect(self, error: SourceLost, contents: Contents) -> None:
        """A message at which the connection broke twice is not asked for a third time."""
        if error.entry is not None and error.entry.id == self._broke_at:
            contents.refused(error.entry, f"the connection breaks at it: {error}")
        self._broke_at = error.entry.id if error.entry is not None else 0

    async def _again(self, left: Sequence[tuple[int, Entry]], listed: Mapping[int, Listed]) -> list[tuple[int, Entry]]:
        """Another connection. Messages may have other numbers in it; what is not there any more, or is one of several
        of a name by now, is left out."""
        self._source = await self._open()
        keys = [_key(message) for message in await self._source.list()]
        if all(0 < at <= len(keys) and keys[at - 1] == _key(listed[entry.id]) for at, entry in left):
            return list(left)
        counted = Counter(keys)
        positions = {key: at for at, key in enumerate(keys, 1) if counted[key] == 1}
        found = ((positions.get(_key(listed[entry.id])), entry) for _, entry in left)
        return sorted(((at, entry) for at, entry in found if at is not None), key=lambda item: item[0])

    # Here

    async def _read_here(self, picture: Picture, files: Files) -> None:
        """Read every file that a ledger row stands for, and look whether the others are there."""
        rows = [row for row in picture.rows if is_here(row) and not files.known(row.entry.id)]
        for start in range(0, len(rows), BATCH):
            self._told(Progress("reading files", start, len(rows)))
            batch = rows[start : start + BATCH]
            kept = [row.kept for row in batch if row.kept is not None]
            examined = await self._around.in_thread(self._audit.examine, kept)
            for row, found in zip(batch, examined, strict=True):
                files.add(row, found)
        others = [other for other in picture.others if (other.folder_id, other.uid) not in files.others]
        seen = await self._around.in_thread(self._audit.glance, others)
        files.others.update(zip(((other.folder_id, other.uid) for other in others), seen, strict=True))

    async def _look_again(self, files: Files, again: Collection[int]) -> Picture:
        """Ledger and index as they are now, and the files of these rows, and of what is new, read once more."""
        for entry_id in again:
            files.forget(entry_id)
        files.others.clear()
        picture = await self._around.in_thread(self._audit.picture)
        here = {row.entry.id for row in picture.rows if is_here(row)}
        files.keep(here)
        await self._read_here(picture, files)
        return picture

    def _under_way(self, rows: Sequence[Audited]) -> None:
        """Is a move, or was one interrupted? What was compared is as of its last barrier."""
        if not any(row.entry.outcome is Outcome.LISTED for row in rows):
            return
        last = max((row.entry.updated for row in rows if row.entry.outcome is Outcome.STORED), default=0)
        barrier = f"{datetime.fromtimestamp(last, UTC):%Y-%m-%d %H:%M:%S} UTC" if last else "none yet"
        how = "a move is under way" if self._around.daemon else "a move was interrupted"
        self._outcome.under_way = f"{how}; compared as of its last barrier ({barrier})"


def _key(message: Listed) -> tuple[str, int, int]:
    """What a message is known again by in another session: where it has no UIDL, its number and octets."""
    name = name_of(message)
    return (name, 0, 0) if name else ("", message.position, message.octets)
