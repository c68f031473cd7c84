"""Mail that arrives here: stored before anybody is told so, and shown at its time (invariant 7).

An account whose old mailbox has not been here as a whole yet has nobody who looks at it. What arrives for it lies in
`new`, as any program may deliver into a Maildir: on stable storage, and unknown to the index. When the first move has
listed all there is to the user, or has ended, `show_arrivals` looks into `new` as it is looked into whenever another
program has been there (`mailstore.reconciling`): what lies there gets UIDs above those that the old mail holds, in the
order in which it arrived. Whatever later moves bring comes above that. From then on a message goes to `cur` and into
the index at once.

The names of what lies in `new` carry no token of a mailbox, but `ARRIVED`: so it is taken in by whoever looks, as
another program's mail is, and yet with its bytes as they came. They grow in the order of arrival, whatever the clock
does.

That the time of lying in `new` is over is noted in the index, for good: a message that was on its way when the move
ended must not be laid where nobody looks any more.

The barrier's order (invariant 2): the message's bytes, its name, the index. A crash before the end leaves a file that
nobody was told of, or nothing.

A part of `mailstore.mailhome`, which alone makes it: one thread at a time.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, bindparam, insert, select

from mailstore import schema
from mailstore.delivery import Place
from mailstore.errors import OutcomeUnknown, OverQuota, TakesLonger
from mailstore.index import awaited, folders, mailbox
from mailstore.index.folders import INBOX_ID, FolderRow
from mailstore.index.rows import NO_FLAGS
from mailstore.index.special import ACCOUNT
from mailstore.intake import GRACE
from mailstore.maildir import ARRIVED, sync_directories
from mailstore.messages import Messages
from mailstore.prepared import Prepared
from mailstore.quota import Usage
from mailstore.reconciling import Reconciler
from mailstore.refusals import storage_errors
from mailstore.spool import Spooled

SHOWN: Final = "arrivals-shown"  # an annotation of the account that no client can name: those begin with "/"
_STEPS: Final = 10_000  # of a second: what names of arrivals differ by, at the least

NOTHING: Final = Usage(0, 0)

_n = schema.metadata.c
_IS_SHOWN = Prepared(
    select(_n.entry).where(_n.account_id == bindparam("a"), _n.folder_id == ACCOUNT, _n.entry == SHOWN)
)

Outcome = OverQuota | None  # None: it is stored


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message for this account. `folder` is the name that the sender gave (`user+folder`); "": INBOX."""

    message: Spooled
    folder: str = ""


@dataclass(slots=True)
class Laid:
    """Messages that have their names."""

    outcomes: list[Outcome]
    places: dict[int, Place] = field(default_factory=dict)  # by the folder's id
    directories: list[Path] = field(default_factory=list)  # to be brought to stable storage
    new: dict[int, list[mailbox.NewMessage]] = field(default_factory=dict)  # by the folder's id
    usage: Usage = NOTHING  # of `new`
    made: float = 0.0  # when


class Incoming(Messages):
    """The part of a `MailHome` that takes in what arrives. From outside, `MailHome` alone is used."""

    _reconciler: Reconciler
    _shows = False  # is it known that `SHOWN` is noted?
    _on_the_way = NOTHING
    _stamp = 0  # of the name of the last arrival in `new`, in steps since 1970

    def deliver(self, arrivals: Sequence[Arrival], *, whole: bool) -> list[Outcome]:
        """Store messages, in their order; they are on stable storage when this returns. `whole`: the account's old
        mailbox has been here, or will never be. Gives back the outcome of each. Raises StorageFailed, and has stored
        none then. The same in steps, each of which may be done for several accounts at once, is: the messages are on
        stable storage; `lay`; the directories are; `show_laid`."""
        with storage_errors():
            for arrival in arrivals:
                arrival.message.stamp(int(self._clock()))
                arrival.message.settle()
            laid = self.lay(arrivals, whole=whole)
            try:
                sync_directories(laid.directories)
            except BaseException:
                self.take_back(laid)
                raise
        self.show_laid(laid)
        return laid.outcomes

    def lay(self, arrivals: Sequence[Arrival], *, whole: bool) -> Laid:
        """Give messages that are on stable storage their names, where they are neither durable nor in the index yet.
        Then comes `show_laid`, or `take_back`. Raises StorageFailed."""
        self._catch_up()
        with storage_errors():
            shows = whole or self._is_over()
            if shows and not self._shows:
                self.show_arrivals()
            with self._database.read() as connection:
                found = {name: self._folder(connection, name) for name in {arrival.folder for arrival in arrivals}}
                laid = Laid(self._room(connection, arrivals), made=self._clock())
            try:
                self._lay(laid, arrivals, found, shows=shows)
                for place in laid.places.values():
                    place.settle_names()
            except BaseException:
                self.take_back(laid)
                raise
        return laid

    def _lay(self, laid: Laid, arrivals: Sequence[Arrival], found: Mapping[str, FolderRow], *, shows: bool) -> None:
        now = self._clock()
        into, token = ("cur", self.token) if shows else ("new", ARRIVED)
        for arrival, refused in zip(arrivals, laid.outcomes, strict=True):
            if refused is not None:
                continue
            folder = found[arrival.folder]
            if folder.id not in laid.places:
                self._maildir.make(folder.directory)
                laid.places[folder.id] = Place(self._maildir, folder.directory, token, now, into)
                laid.directories.append(self._maildir.folder(folder.directory) / into)
            stamp = now if shows else self._next_stamp(now)
            file, size = laid.places[folder.id].spooled(arrival.message, stamp, briefly=self._database.hurried)
            if shows:
                message = mailbox.NewMessage(NO_FLAGS, size, arrival.message.date, file, save_date=int(now))
                laid.new.setdefault(folder.id, []).append(message)
                laid.usage = _sum(laid.usage, Usage(size, 1))
                self._on_the_way = _sum(self._on_the_way, Usage(size, 1))

    def show_laid(self, laid: Laid) -> None:
        """Their names are on stable storage: show those that are not to lie in `new`. Raises NoSuchFolder where one is
        gone by now, and StorageFailed; then none of them is stored."""
        if not laid.new:
            return
        try:
            with self._database.write() as connection:
                late = not 0 <= self._clock() - laid.made < GRACE / 2
                for folder_id, messages in laid.new.items():
                    folder = self._numbered(connection, folder_id)
                    new = self._not_taken_in(connection, messages) if late else messages
                    mailbox.add(connection, self.account_id, folder, new)
                    folders.save(connection, self.account_id, folder)
        except TakesLonger:
            raise
        except OutcomeUnknown:
            self._no_longer_on_the_way(laid)
            raise
        except BaseException:
            self.take_back(laid)
            raise
        self._no_longer_on_the_way(laid)
        for folder_id in laid.new:
            self._announce(folder_id)

    def _not_taken_in(self, connection: Connection, new: Sequence[mailbox.NewMessage]) -> list[mailbox.NewMessage]:
        """Whoever has looked meanwhile may have taken their writer for dead (`mailstore.intake`)."""
        return [message for message in new if not mailbox.was_here(connection, self.account_id, message.file)]

    def take_back(self, laid: Laid) -> None:
        """Take their names away again."""
        for place in laid.places.values():
            place.take_away()
        self._no_longer_on_the_way(laid)

    def _no_longer_on_the_way(self, laid: Laid) -> None:
        octets, messages = laid.usage.octets, laid.usage.messages
        self._on_the_way = _sum(self._on_the_way, Usage(-octets, -messages))
        laid.usage = NOTHING

    def room_for(self, octets: int) -> None:
        """Raises OverQuota where a message of so many would not fit in, and StorageFailed."""
        if self.limits:
            with storage_errors(), self._database.read() as connection:
                self.limits.check(self._usage(connection), Usage(octets, 1))

    def show_arrivals(self) -> None:
        """Whoever looks from now on sees what has arrived, and whatever arrives. Raises StorageFailed."""
        self._catch_up()
        with self._database.read() as connection:
            every = folders.every(connection, self.account_id)
            self._shows = self._is_noted(connection)
        for folder in every:
            if self._laid_aside(folder) or (not self._shows and self._half_taken_in(folder)):
                self._reconciler.folder(folder)
        if not self._shows:
            self._note()

    def _note(self) -> None:
        with self._database.write() as connection:
            if not self._is_noted(connection):
                values = {"account_id": self.account_id, "folder_id": ACCOUNT, "entry": SHOWN, "value": b""}
                connection.execute(insert(schema.metadata), values)
        self._shows = True

    def _is_over(self) -> bool:
        """Does the index say that there is somebody who looks?"""
        if not self._shows:
            with self._database.read() as connection:
                if awaited.is_listed(connection, self.account_id):
                    return True
                self._shows = self._is_noted(connection)
        return self._shows

    def _is_noted(self, connection: Connection) -> bool:
        return _IS_SHOWN.first(connection, {"a": self.account_id}) is not None

    # Within

    def _room(self, connection: Connection, arrivals: Sequence[Arrival]) -> list[Outcome]:
        """Which of them fit in, one after another. Nothing is counted where nothing is limited."""
        outcomes: list[Outcome] = []
        usage = self._usage(connection) if self.limits else NOTHING
        for arrival in arrivals:
            octets = arrival.message.size
            try:
                self.limits.check(usage, Usage(octets, 1))
            except OverQuota as refused:
                outcomes.append(refused)
            else:
                outcomes.append(None)
                usage = Usage(usage.octets + octets, usage.messages + 1)
        return outcomes

    def _usage(self, connection: Connection) -> Usage:
        """With what lies in `new`, and what is on its way into the index."""
        known = _sum(mailbox.usage(connection, self.account_id), self._on_the_way)
        octets, messages = known.octets, known.messages
        for folder in folders.every(connection, self.account_id):
            for name in self._laid_aside(folder):
                messages += 1
                with suppress(FileNotFoundError):
                    octets += (self._maildir.folder(folder.directory) / "new" / name).lstat().st_size
        return Usage(octets, messages)

    def _folder(self, connection: Connection, name: str) -> FolderRow:
        """The folder of that name, in whichever case the sender wrote it; INBOX where there is none."""
        found = folders.by_name(connection, self.account_id, name) if name else None
        if found is None and name:
            every = folders.every(connection, self.account_id)
            alike = [folder for folder in every if folder.name.casefold() == name.casefold()]
            found = alike[0] if len(alike) == 1 else None
        if found is None:
            found = folders.by_id(connection, self.account_id, INBOX_ID)
            assert found is not None
        return found

    def _next_stamp(self, now: float) -> float:
        """The time for an arrival's name: later than that of each before it."""
        if not self._stamp:
            with self._database.read() as connection:
                every = folders.every(connection, self.account_id)
            self._stamp = max((_stamp_of(name) for folder in every for name in self._laid_aside(folder)), default=0)
        self._stamp = max(int(now * _STEPS), self._stamp + 1)
        return self._stamp / _STEPS

    def _laid_aside(self, folder: FolderRow) -> list[str]:
        """Names in its `new`, whoever has put them there."""
        return self._names(folder, "new")

    def _half_taken_in(self, folder: FolderRow) -> bool:
        """Are there any that a crash may have left in `cur`, and in no index?"""
        mark = f"_{ARRIVED}."
        return any(mark in name for name in self._names(folder, "cur"))

    def _names(self, folder: FolderRow, sub: str) -> list[str]:
        try:
            return os.listdir(self._maildir.folder(folder.directory) / sub)  # noqa: PTH208 - names alone
        except FileNotFoundError:
            return []


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(one.octets + other.octets, one.messages + other.messages)


def _stamp_of(name: str) -> int:
    """When an arrival was named, in steps and rounded up; 0 for what is none."""
    seconds, _, rest = name.partition(".")
    digits = rest[1:7]
    if f"_{ARRIVED}." not in rest or not (seconds.isdigit() and digits.isdigit()):
        return 0
    return int(seconds) * _STEPS + int(digits) // (1_000_000 // _STEPS) + 1
