"""One account, from its legacy server's listing to what is found.

In this order, so that mail which comes or goes meanwhile is not taken for mail that was lost: what the legacy server
lists first, then ledger and index, then what it gives, then the files. What seems wrong is looked at once more when all
is done: a user may have deleted or moved it, or the daemon have fetched it, while it was compared.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from mailstore.accounts import Account, State
from mailstore.audit import Audit, Audited, Picture
from mailstore.entries import Listed, Outcome
from mailstore.errors import StorageFailed
from mailstore.opening import Mailboxes, mailboxes
from proxy.admin.moments import spelled
from proxy.admin.verify.asking import Door, NotCompared, OldMailbox, Wanted
from proxy.admin.verify.contents import Contents
from proxy.admin.verify.judging import doubtful, judge, matched
from proxy.admin.verify.kinds import Finding, Kind
from proxy.admin.verify.local import Files, is_here
from proxy.admin.verify.matching import Matching
from proxy.admin.verify.outcome import AccountOutcome
from proxy.admin.verify.sample import How, to_fetch
from proxy.login.names import Name
from proxy.wire.door import Secret
from proxy.wire.in_thread import InThread

TELLS: Final = 64  # messages, between two tellings how many were given
BATCH: Final = 256  # messages whose files are read in one go of a thread


class Step(enum.StrEnum):
    """What an account is at."""

    LISTING = "logging in and listing"
    WAITING = "waiting: the mailbox is in use, or the server busy"
    LEGACY = "comparing with the legacy server"
    FILES = "reading files"
    OTHERS = "looking at other mail"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an account is. `total` 0: nobody knows how long the step takes."""

    step: Step
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the checks of all accounts share."""

    how: How
    door: Door
    reactor: Any
    in_thread: InThread
    daemon: bool  # is there one at work?
    mailboxes: Mailboxes = field(default_factory=mailboxes)  # where the indexes are


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
        self._audit = Audit(maildir, account.id, around.mailboxes)
        self._around = around
        self._told = told
        self._outcome = AccountOutcome(account.name, account.domain, account.state.value)
        name = Name(account.local, account.domain)
        self._old = OldMailbox(around.door, name, password, around.reactor, self._waits)

    async def run(self) -> AccountOutcome:
        began = self._around.reactor.seconds()
        try:
            if self._account.state is State.WAITING:
                self._outcome.not_compared = "nobody has logged in here yet, so nothing was carried over"
            else:
                await self._run()
        except FileNotFoundError:
            self._unreadable("there is no index (Maildir.db) beside the Maildir")
        except StorageFailed as error:
            self._unreadable(str(error))
        finally:
            self._old.drop()
        self._outcome.seconds = self._around.reactor.seconds() - began
        return self._outcome

    async def _run(self) -> None:
        in_thread = self._around.in_thread
        listing = await self._list() if self._around.how.legacy else None
        picture, files = await in_thread(self._audit.picture), Files()
        contents, matching = Contents(), None
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
        await in_thread(judge, self._outcome, picture, files, matching, contents, self._audit)
        self._under_way(picture.rows)

    def _unreadable(self, why: str) -> None:
        self._outcome.found(Finding(Kind.UNREADABLE, why))

    # The legacy server

    def _waits(self) -> None:
        self._told(Progress(Step.WAITING))

    async def _list(self) -> Sequence[Listed] | None:
        """What it lists, or None where it cannot be compared with."""
        self._told(Progress(Step.LISTING))
        try:
            listing = await self._old.listing()
        except NotCompared as error:
            self.silent, self._outcome.not_compared = error.silent, str(error)
            return None
        self._outcome.listed = len(listing)
        self._outcome.listed_octets = sum(message.octets for message in listing)
        return listing

    async def _read_there(self, matching: Matching, contents: Contents) -> None:
        """Have the legacy server give what is to be compared; the connection is over afterwards."""
        pairs, unknown = to_fetch(self._around.how, self._outcome.account, matching)
        wanted: list[Wanted] = [(pair.listed, pair.row) for pair in pairs]
        wanted += [(listed, None) for listed in unknown]
        wanted.sort(key=lambda item: item[0].position)

        def told() -> None:
            if contents.done % TELLS == 0:
                self._told(Progress(Step.LEGACY, contents.done, len(wanted)))

        contents.told = told
        if wanted:
            told()
        try:
            await self._old.give(wanted, contents)
        except NotCompared as error:
            self._outcome.not_compared = str(error)

    # Here

    async def _read_here(self, picture: Picture, files: Files) -> None:
        """Read every file that a ledger row stands for, and look whether the others are there; or read those too."""
        rows = [row for row in picture.rows if is_here(row) and not files.known(row.entry.id)]
        for start in range(0, len(rows), BATCH):
            self._told(Progress(Step.FILES, start, len(rows)))
            batch = rows[start : start + BATCH]
            kept = [row.kept for row in batch if row.kept is not None]
            examined = await self._around.in_thread(self._audit.examine, kept)
            for row, found in zip(batch, examined, strict=True):
                files.add(row, found)
        others = [other for other in picture.others if (other.folder_id, other.uid) not in files.others]
        look = self._audit.examine if self._around.how.content == "full" else self._audit.glance
        for start in range(0, len(others), BATCH):
            self._told(Progress(Step.OTHERS, start, len(others)))
            some = others[start : start + BATCH]
            seen = await self._around.in_thread(look, some)
            files.others.update(zip(((other.folder_id, other.uid) for other in some), seen, strict=True))

    async def _look_again(self, files: Files, again: Collection[int]) -> Picture:
        """Ledger and index as they are now, and the files of these rows, and of what is new, read once more."""
        for entry_id in again:
            files.forget(entry_id)
        files.others.clear()
        picture = await self._around.in_thread(self._audit.picture)
        files.keep({row.entry.id for row in picture.rows if is_here(row)})
        await self._read_here(picture, files)
        return picture

    def _under_way(self, rows: Sequence[Audited]) -> None:
        """Is a move, or was one interrupted? What was compared is as of its last barrier."""
        if not any(row.entry.outcome is Outcome.LISTED for row in rows):
            return
        last = max((row.entry.updated for row in rows if row.entry.outcome is Outcome.STORED), default=0)
        barrier = spelled(last) if last else "none yet"
        how = "a move is under way" if self._around.daemon else "a move was interrupted"
        self._outcome.under_way = f"{how}; compared as of its last barrier ({barrier})"
