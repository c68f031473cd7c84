"""The old mailbox over IMAP: a connection of `proxy.imap.client` as a `Source`.

All folders are one listing, the INBOX first, each folder's messages by UID. A message is known again by its folder,
UIDVALIDITY and UID; flags and date are those that the server says while it is fetched, and are not asked for again
later: from then on they are the user's, here.

A folder that the server lists and does not open is listed as one message without octets, which is then refused: so it
is tried again, and quarantined in the end with its reason, like any message, while everything else moves on
(invariant 6). The INBOX is not: without it there is no mailbox.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Final, TypeAlias, TypeVar

from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.python.failure import Failure

from mailstore.entries import Entry, Listed, Marks
from mailstore.old_folders import INBOX, OldFolder
from proxy.imap.client.commands import MESSAGE_ID
from proxy.imap.client.connection import Connection, Survey
from proxy.imap.client.replies import Folder, message_id
from proxy.imap.client.retrieval import UidsRenewed
from proxy.imap.client.wanted import ONE_BY_ONE, Place, Reach, Wanted
from proxy.legacy.errors import CommandRefused, LegacyError, LegacyProtocolError, LegacyTimeout
from proxy.migration import folder_names, uidls
from proxy.migration.pop3_source import Manners, source_error
from proxy.migration.source import Receiver, SourceError, SourceLost
from proxy.migration.uidls import Dropped, Maildrops, OpenMaildrop
from proxy.migration.weighing import Exactness

END_OF_TIME: Final = 4_102_444_800  # 2100-01-01: dates from here on, and those before 1970, are made up
HEADERS_AT_ONCE: Final = 1_000  # that are held in memory
FOLDERS_AT_ONCE: Final = 16  # that are listed without waiting for one another
UNOPENED: Final = "unopened"  # the identity of what stands for a folder that the server does not open
AFTER_ANSWERS: Final = Reach(messages=256)  # for a server that gets one command at a time

T = TypeVar("T")
Note = Callable[..., Any]
"""note(event, **figures): for the log; no names, no bytes of mail."""

Surveys: TypeAlias = list[Survey]
Names: TypeAlias = list[str]


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """A folder's part of the listing; its first message has position `first`."""

    first: int
    folder: OldFolder
    survey: Survey
    chosen: Sequence[int]  # indexes of its messages that are listed

    def marks(self, index: int) -> Marks:
        messages = self.survey.messages
        date = messages.dates[index]
        return Marks(messages.flags[index], date if 0 < date < END_OF_TIME else None)


class ImapManners(Manners):
    """And what of a server with IMAP besides."""

    renews_uids = False
    """Does it give a folder another UIDVALIDITY whenever it is opened? Courier does, for a folder that was never opened
    for writing: it has no place to remember what it said."""


class _Sink:
    """Gives what the client takes off the wire to the receiver, by ledger entry instead of by position."""

    def __init__(self, source: ImapSource, entries: dict[int, Entry], receiver: Receiver) -> None:
        self._source = source
        self._entries = entries
        self._receiver = receiver

    def message(self, number: int, data: bytes) -> None:
        self._receiver.message(self._source.marked(number, self._entries[number]), data)

    def begin(self, number: int) -> None:
        self._receiver.begin(self._source.marked(number, self._entries[number]))

    def piece(self, data: bytes) -> None:
        self._receiver.piece(data)

    def end(self) -> None:
        self._receiver.end()

    def missing(self, number: int, text: str) -> None:
        self._receiver.refused(self._entries[number], text)


class ImapSource:
    """A logged-in IMAP connection. `left` is called once when the connection is given up."""

    def __init__(
        self,
        connection: Connection,
        manners: ImapManners,
        left: Callable[[], None],
        *,
        maildrops: Maildrops,
        open_maildrop: OpenMaildrop,
        note: Note,
    ) -> None:
        """`open_maildrop` logs in over POP3 as the same user; `maildrops` is what is known of the server's POP3."""
        self._connection = connection
        self._manners = manners
        self._left = left
        self._maildrops = maildrops
        self._open_maildrop = open_maildrop
        self._note = note
        self._parts: list[_Part] = []
        self._firsts: list[int] = []

    @property
    def exactness(self) -> Exactness:
        """Whatever RFC822.SIZE says: a literal brings its length with it, and answers say what they answer."""
        return Exactness(approximate=True)

    @property
    def remarks(self) -> Sequence[str]:
        return ()  # all folders are listed, each whole

    @property
    def folders(self) -> Sequence[OldFolder]:
        return [part.folder for part in self._parts]

    # Listing

    def begin(self, *, whole: bool = False) -> None:
        """What comes first is not known before the folders are."""

    async def list(self) -> Sequence[Listed]:
        """All folders' messages. Raises SourceError."""
        try:
            if self._manners.one_at_a_time:
                self._connection.one_at_a_time()
            # POP3 before the INBOX is open, since some servers lock it.
            asked: Sequence[Deferred[Any]] = [
                Deferred.fromCoroutine(each) for each in (self._maildrop(), self._connection.folders())
            ]
            dropped, found = await _together(asked)
            await self._survey(_own(found))
            return await self._listing(dropped)
        except LegacyError as error:
            self._learn(error)
            raise _source_error(error) from error

    async def _survey(self, found: Sequence[Folder]) -> None:
        old = folder_names.old_folders(found)
        surveys: Surveys = []
        for at in range(0, len(found), FOLDERS_AT_ONCE):
            surveys += await self._survey_some(found[at : at + FOLDERS_AT_ONCE])
        self._parts, self._firsts = [], []
        first, seen = 1, set[int | None]([None])  # Gmail's names of messages; None: it says none
        for folder, survey in zip(old, surveys, strict=True):
            if survey.refused is not None:
                chosen: Sequence[int] = range(1)
                self._unopened(folder, survey)
            else:
                messages = survey.messages
                chosen = range(len(messages.uids))
                if survey.folder.attributes & folder_names.ALL:
                    chosen = [i for i in chosen if messages.gmail.get(messages.uids[i]) not in seen]
                    if not chosen:
                        continue
                seen.update(messages.gmail.values())
            self._parts.append(_Part(first, folder, survey, chosen))
            self._firsts.append(first)
            first += len(chosen)

    async def _survey_some(self, found: Sequence[Folder]) -> Surveys:
        return await _together([Deferred.fromCoroutine(self._connection.survey(folder)) for folder in found])

    def _unopened(self, folder: OldFolder, survey: Survey) -> None:
        self._note("legacy folder cannot be opened", reason=survey.refused)
        if folder.name == INBOX or survey.for_now:
            raise SourceLost(f"the legacy server does not open a folder: {survey.refused}")

    async def _listing(self, dropped: Sequence[Dropped]) -> Sequence[Listed]:
        listed = []
        for part in self._parts:
            names = await self._uidls(part, dropped) if part.folder.name == INBOX and dropped else None
            name, messages = part.folder.name, part.survey.messages
            if part.survey.refused is not None:
                listed.append(Listed(part.first, "", 0, folder=name, legacy_id=UNOPENED))
                continue
            prefix = f"{part.survey.place.uidvalidity}."
            for n, index in enumerate(part.chosen):
                uidl = names[index] if names is not None else ""
                identity = prefix + str(messages.uids[index])
                octets = messages.octets[index]
                listed.append(Listed(part.first + n, uidl, octets, folder=name, legacy_id=identity))
        return listed

    # UIDLs

    async def _maildrop(self) -> Sequence[Dropped]:
        """What POP3 lists, if it is open. Raises SourceLost where it is to be waited for."""
        if self._maildrops.left_alone:
            return ()
        try:
            connection = await self._open_maildrop()
            try:
                dropped = await uidls.list_maildrop(connection)
            finally:
                _quit(connection)
        except LegacyError as error:
            if self._maildrops.failed(error):
                raise SourceLost(f"for the UIDLs the maildrop is needed: {error.advice}") from error
            self._note("no UIDLs from the legacy server", reason=error.text)
            return ()
        self._maildrops.worked()
        return dropped

    async def _uidls(self, part: _Part, dropped: Sequence[Dropped]) -> Sequence[str]:
        """Of the INBOX's messages, "" for those that POP3 does not have. Raises LegacyError of the IMAP side."""
        messages = part.survey.messages
        names = uidls.by_order(messages.octets, dropped)
        if names is None:
            names = await self._uidls_by_content(part, dropped)
            matched = len(names) - names.count("")
            self._note("UIDLs matched by content", messages=len(names), listed=len(dropped), matched=matched)
        return names

    async def _uidls_by_content(self, part: _Part, dropped: Sequence[Dropped]) -> Names:
        messages = part.survey.messages
        found = await self._connection.headers(part.survey.place, messages.uids, MESSAGE_ID)
        theirs: dict[int, bytes] = {}
        try:
            connection = await self._open_maildrop()
            try:
                theirs = await uidls.maildrop_ids(connection, [each.number for each in dropped])
            finally:
                _quit(connection)
        except LegacyError as error:
            self._note("UIDLs matched by octets alone", reason=error.text)
        ours = [message_id(found.get(uid, b"")) for uid in messages.uids]
        return uidls.by_content(messages.octets, ours, dropped, theirs)

    # Fetching

    async def fetch(self, wanted: Sequence[tuple[int, Entry]], receiver: Receiver, *, one_by_one: bool = False) -> None:
        entries = dict(wanted)
        reach = ONE_BY_ONE if one_by_one else AFTER_ANSWERS if self._manners.one_at_a_time else Reach()
        sink = _Sink(self, entries, receiver)
        asked = [item for position, _ in wanted if (item := self._wanted(position)) is not None]
        try:
            if self._manners.renews_uids:
                for place, some in groupby(asked, lambda item: item.place):
                    await self._retrieve_afresh(place, list(some), sink, reach)
            else:
                await self._connection.retrieve(asked, sink, reach)
        except LegacyError as error:
            self._learn(error)
            under_way = None if error.message is None else entries.get(error.message)
            raise _source_error(error, under_way) from error
        for position, entry in wanted:
            part = self._part(position)
            if part.survey.refused is not None:
                receiver.refused(entry, f"its folder cannot be opened: {part.survey.refused}")

    async def _retrieve_afresh(self, place: Place, asked: Sequence[Wanted], sink: _Sink, reach: Reach) -> None:
        """Fetch from a folder whose UIDs are new with each opening: it is listed once more, and has to be the same."""
        part = self._part(asked[0].number)
        now = await self._connection.survey(part.survey.folder)
        then, messages = part.survey.messages, now.messages
        same = (then.uids, then.octets, then.dates) == (messages.uids, messages.octets, messages.dates)
        if now.refused is not None or not same:
            raise SourceLost("a folder has changed while it was carried over")
        await self._connection.retrieve([replace(item, place=now.place) for item in asked], sink, reach)

    def _part(self, position: int) -> _Part:
        return self._parts[bisect_right(self._firsts, position) - 1]

    def _wanted(self, position: int) -> Wanted | None:
        """What to ask the server for; None for what stands for a folder."""
        part = self._part(position)
        if part.survey.refused is not None:
            return None
        messages = part.survey.messages
        return Wanted(
            position, part.survey.place, self._uid(part, position), messages.octets[part.chosen[position - part.first]]
        )

    def _uid(self, part: _Part, position: int) -> int:
        return part.survey.messages.uids[part.chosen[position - part.first]]

    def marked(self, position: int, entry: Entry) -> Entry:
        """The entry with what the server says of the message beside its bytes."""
        part = self._part(position)
        return entry._replace(marks=part.marks(part.chosen[position - part.first]))

    async def headers(self, positions: Sequence[int], take: Callable[[int, bytes], None]) -> None:
        """By BODY.PEEK[HEADER], a folder at a time."""
        try:
            for part, chosen in groupby(positions, self._part):
                if part.survey.refused is None:
                    await self._headers(part, {self._uid(part, position): position for position in chosen}, take)
        except LegacyError as error:
            self._learn(error)
            raise _source_error(error) from error

    async def _headers(self, part: _Part, asked: dict[int, int], take: Callable[[int, bytes], None]) -> None:
        uids = sorted(asked)
        for at in range(0, len(uids), HEADERS_AT_ONCE):
            found = await self._connection.headers(part.survey.place, uids[at : at + HEADERS_AT_ONCE])
            for uid in sorted(found.keys() & asked.keys()):
                take(asked[uid], found[uid])

    def _learn(self, error: LegacyError) -> None:
        if isinstance(error, UidsRenewed):
            self._manners.renews_uids = True
        elif isinstance(error, (LegacyTimeout, LegacyProtocolError)):
            self._manners.broke_off()

    async def prove(self) -> None:
        """Every answer of IMAP's has its question's tag."""

    def pause(self) -> None:
        self._connection.pause()

    def resume(self) -> None:
        self._connection.resume()

    async def close(self) -> None:
        """LOGOUT, without waiting for its answer: a user who waits need not wait for good manners."""
        leaving = Deferred.fromCoroutine(self._connection.logout())
        leaving.addErrback(self._logout_failed)
        leaving.addBoth(lambda _result: self._left())

    def _logout_failed(self, failure: Failure) -> None:
        failure.trap(LegacyError)  # type: ignore[no-untyped-call]
        self._connection.abort()

    def abort(self) -> None:
        self._connection.abort()
        self._left()


async def _together(asked: Sequence[Deferred[T]]) -> list[T]:
    """Raises what the first of them to fail raises."""
    try:
        return await gatherResults(asked, consumeErrors=True)
    except FirstError as error:
        assert error.subFailure.value is not None
        raise error.subFailure.value from error


def _own(found: Sequence[Folder]) -> list[Folder]:
    """Those with mail of their own, the INBOX among them also where the server does not list it. What shows other
    folders' mail is left out; of Gmail, all mail comes last."""
    chosen = [f for f in found if f.selectable and not f.attributes & folder_names.VIRTUAL]
    if not any(folder.levels == (INBOX,) for folder in chosen):
        chosen.insert(0, Folder(b"INBOX", (INBOX,), frozenset(), subscribed=True))
    return [*chosen, *(f for f in found if f.selectable and f.attributes & folder_names.ALL)]


def _quit(connection: Any) -> None:
    """Say good-bye without waiting for the answer, and without caring for it."""
    Deferred.fromCoroutine(connection.quit())


def _source_error(error: LegacyError, entry: Entry | None = None) -> SourceError:
    if isinstance(error, CommandRefused):
        return SourceLost(error.advice, entry)  # most are for the moment, and EXAMINE says what is not
    return source_error(error, entry)
