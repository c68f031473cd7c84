"""The old mailbox over POP3: a connection of `proxy.pop3.client` as a `Source`."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, cast

from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.python.failure import Failure

from mailstore.entries import Entry, Listed
from mailstore.old_folders import OldFolder
from proxy.legacy.errors import (
    BareLineEnds,
    CommandRefused,
    LegacyBusy,
    LegacyError,
    LegacyProtocolError,
    LegacyTimeout,
    LoginNotPossible,
    LoginRejected,
    MaildropInUse,
)
from proxy.legacy.settings import CAREFUL, FURTHEST, ONE_AT_A_TIME, PROMISED, TRIED
from proxy.migration import listing
from proxy.migration.agenda import Agenda
from proxy.migration.source import (
    HeaderReceiver,
    PasswordChanged,
    Receiver,
    SourceBusy,
    SourceError,
    SourceLost,
    SourceUnusable,
)
from proxy.migration.weighing import Exactness
from proxy.pop3.client.connection import Connection, Pipelining
from proxy.pop3.client.pace import Pace
from proxy.pop3.client.unproven import Unproven, UnprovenErrands

Sizes = dict[int, int | None]  # octets by number
Uidls = list[tuple[int, bytes]] | None  # numbers and unique-ids; None where there are none
Listings = tuple[Sizes, Uidls, int | None]  # and STAT's count

HEADERS_AT_ONCE = 64  # TOPs that are on their way
UNSHOWN = 2  # messages in a row, the first ones, whose headers are refused by a server that has no TOP
CHANGED = "the password was changed there, and the move goes on when the user logs in with the new one"
DISTRUST = 600.0  # seconds for which a server that broke off while many RETRs were on their way gets few, or one


class Manners:
    """What was learnt of a legacy server that the next connection to it should know."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._unable = False
        self._distrusted_until = float("-inf")
        self._broke_off = 0  # times within the present distrust
        self._pace: Pace | None = None
        self.exactness = Exactness()
        self.bare_line_ends = False  # does it end the lines of messages so, and was found out?

    @property
    def one_at_a_time(self) -> bool:
        """Are several commands on their way at once to be avoided?"""
        return self._unable or (self._distrusted and self._broke_off > 1)

    @property
    def _distrusted(self) -> bool:
        return self._clock() < self._distrusted_until

    def unable(self) -> None:
        """It was tried, and does not work."""
        self._unable = True

    def broke_off(self) -> None:
        """The server may be to blame, or the network for a moment: it gets few commands at once for a while, and one
        at a time if that does not help either."""
        self._broke_off = self._broke_off + 1 if self._distrusted else 1
        self._distrusted_until = self._clock() + DISTRUST
        self._pace = None

    def lost_the_second(self) -> None:
        """Of two commands that were sent together it answered one: few would be too many as well."""
        self.broke_off()
        self._broke_off = 2

    def pace(self, *, announced: bool) -> Pace:
        """How far RETRs run ahead, shared by all connections; `announced`: the server says that it can pipeline."""
        limits = CAREFUL if self._distrusted else FURTHEST
        if self._pace is None or self._pace.limits != limits:
            self._pace = Pace(limits, PROMISED if announced else TRIED)
        return self._pace


class _Sink:
    """Gives what the client takes off the wire to the receiver, by ledger entry instead of by number."""

    _entries: Mapping[int, Entry]
    _receiver: Receiver

    def __init__(self, wanted: Sequence[tuple[int, Entry]] = (), receiver: Receiver | None = None) -> None:
        self.answered = False  # has anything come?
        if receiver is not None:
            self.take(wanted, receiver)

    def take(self, wanted: Sequence[tuple[int, Entry]], receiver: Receiver) -> None:
        """To be called before anything comes."""
        self._entries = dict(wanted)
        self._receiver = receiver

    def message(self, number: int, data: bytes) -> None:
        self.answered = True
        self._receiver.message(self._entries[number], data)

    def begin(self, number: int) -> None:
        self._receiver.begin(self._entries[number])

    def piece(self, data: bytes) -> None:
        self._receiver.piece(data)

    def end(self) -> None:
        self.answered = True
        self._receiver.end()

    def missing(self, number: int, text: str) -> None:
        self.answered = True
        self._receiver.refused(self._entries[number], text)


class _HeaderSink(_Sink):
    """The same with headers."""

    def __init__(self, wanted: Sequence[tuple[int, Entry]], receiver: HeaderReceiver) -> None:
        super().__init__(wanted, receiver)
        self._header_receiver = receiver

    def header(self, number: int, data: bytes) -> None:
        self._header_receiver.header(self._entries[number], data)

    def no_header(self, number: int, text: str) -> None:
        self._header_receiver.no_header(self._entries[number], text)


class _Fetching:
    """RETRs that are under way, and where their answers go."""

    def __init__(self, connection: Connection, sizes: Mapping[int, int | None], sink: _Sink, pace: Pace) -> None:
        self.numbers = list(sizes)
        self.sink = sink
        self.unproven = Unproven(sink, sizes)
        self._retrieval = connection.begin_retrieving(self.numbers, sizes, self.unproven, pace)
        self._failure: Failure | None = None
        self._done = self._retrieval.pending().addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        self._failure = failure  # who waits for it may come later, or never

    def take(self, wanted: Sequence[tuple[int, Entry]], receiver: Receiver) -> None:
        """What was asked for ahead goes there."""
        self.sink.take(wanted, receiver)
        self._retrieval.taken()

    async def done(self) -> None:
        """Raises as `Connection.retrieve` does."""
        await self._done
        if self._failure is not None:
            self._failure.raiseException()


class Pop3Source:
    """A logged-in POP3 connection. `left` is called once when the connection is given up."""

    def __init__(self, connection: Connection, manners: Manners, left: Callable[[], None]) -> None:
        self._connection = connection
        self._manners = manners
        self._left = left
        self.remarks: list[str] = []
        self._listed: Deferred[Sequence[Listed] | SourceError] | None = None  # what `list` gives, once it is begun
        self._ahead: _Fetching | None = None  # asked for before anybody takes it; nothing is read meanwhile

    @property
    def exactness(self) -> Exactness:
        return self._manners.exactness

    @property
    def folders(self) -> Sequence[OldFolder]:
        return ()

    def begin(self, *, whole: bool = False) -> None:
        if self._listed is None:
            self._listed = Deferred.fromCoroutine(self._begin(whole=whole))

    async def _begin(self, *, whole: bool) -> Sequence[Listed] | SourceError:
        try:
            listed = await self._list()
        except SourceError as error:  # nobody may be there yet to hear of it
            return error
        if whole and listed and not self._manners.one_at_a_time and "PIPELINING" in self._connection.capabilities:
            self._ask_ahead(listed)
        return listed

    def _ask_ahead(self, listed: Sequence[Listed]) -> None:
        """Have the server send what comes first while the listing is written down here. It waits in the sockets."""
        sizes = {message.position: message.octets or None for message in listed}
        if self._manners.bare_line_ends:
            self._connection.take_bare_line_ends()
        self._ahead = _Fetching(self._connection, sizes, _Sink(), self._manners.pace(announced=True))
        self._connection.pause(self)

    def _give_up_ahead(self) -> None:
        """Something else is to be asked: what is on its way cannot be taken back. Raises SourceLost, in that case."""
        if self._ahead is not None:
            self._connection.abort()
            raise SourceLost("the legacy server was asked for other messages than are wanted")

    async def list(self) -> Sequence[Listed]:
        """LIST, UIDL and STAT, put together by `migration.listing`."""
        self.begin()
        assert self._listed is not None
        begun, self._listed = self._listed, None
        listed = await begun
        if isinstance(listed, SourceError):
            raise listed
        return listed

    async def _list(self) -> Sequence[Listed]:
        connection = self._connection
        try:
            heard = await (self._listings() if self._manners.one_at_a_time else self._listings_at_once())
            if listing.odd(*heard) and await self._listings() != heard:
                raise LegacyProtocolError("the server answers LIST or UIDL otherwise each time it is asked")
        except LegacyError as error:
            raise source_error(error) from error
        listed, remarks = listing.together(*heard)
        self.remarks = [*remarks, *listing.known(connection.greeting, connection.capabilities)]
        if connection.expires:
            self.remarks.append(listing.EXPIRES)
        return listed

    async def _listings(self) -> Listings:
        connection = self._connection
        return await connection.list_sizes(), await connection.uidl(), await connection.count()

    async def _listings_at_once(self) -> Listings:
        """All on their way together where the server says that it takes that, which saves round trips."""
        connection = self._connection
        asking: tuple[Coroutine[Any, Any, Any], ...] = (connection.list_sizes(), connection.uidl(), connection.count())
        asked: list[Deferred[Any]] = [Deferred.fromCoroutine(each) for each in asking]
        try:
            sizes, uidls, count = await gatherResults(asked, consumeErrors=True)
        except FirstError as error:
            cause = cast(Exception, error.subFailure.value)
            if isinstance(cause, LegacyTimeout) and error.index > 0:  # LIST was answered, what came behind it was lost
                self._manners.lost_the_second()
            raise cause from error
        return sizes, uidls, count

    async def fetch(self, wanted: Sequence[tuple[int, Entry]], receiver: Receiver, *, one_by_one: bool = False) -> None:
        if not wanted:
            return
        fetching, many = await self._fetching(wanted, receiver, one_by_one=one_by_one)
        try:
            await fetching.done()
            await fetching.unproven.settle(self._connection.noop)
        except LegacyError as failure:
            error = fetching.unproven.given_up(failure)
            raise self._broken(error, dict(wanted), many=many, answered=fetching.sink.answered) from failure

    async def _fetching(
        self, wanted: Sequence[tuple[int, Entry]], receiver: Receiver, *, one_by_one: bool
    ) -> tuple[_Fetching, bool]:
        """Under way, many messages at once or not."""
        ahead = self._ahead
        if ahead is not None and not one_by_one and ahead.numbers == [number for number, _ in wanted]:
            self._ahead = None
            ahead.take(wanted, receiver)
            self._connection.resume(self)
            return ahead, True
        self._give_up_ahead()
        pace = Pace(ONE_AT_A_TIME) if one_by_one or len(wanted) == 1 else await self._pace()
        if self._manners.bare_line_ends:
            self._connection.take_bare_line_ends()
        sizes = {number: entry.octets or None for number, entry in wanted}
        return _Fetching(self._connection, sizes, _Sink(wanted, receiver), pace), pace.limits is not ONE_AT_A_TIME

    async def many_at_once(self) -> bool:
        """See `ErrandSource`."""
        return (await self._pace()).limits is not ONE_AT_A_TIME

    async def errands(self, agenda: Agenda, wanted: Sequence[tuple[int, Entry]], receiver: HeaderReceiver) -> None:
        """See `ErrandSource`."""
        self._give_up_ahead()
        many = not self._manners.one_at_a_time
        if self._manners.bare_line_ends:
            self._connection.take_bare_line_ends()
        sink = _HeaderSink(wanted, receiver)
        unproven = UnprovenErrands(sink, {number: entry.octets or None for number, entry in wanted})
        try:
            await self._connection.run_errands(agenda, unproven)
            await unproven.settle(self._connection.noop)
        except LegacyError as failure:
            error = unproven.given_up(failure)
            raise self._broken(error, dict(wanted), many=many, answered=sink.answered) from failure

    def _broken(self, error: LegacyError, entries: Mapping[int, Entry], *, many: bool, answered: bool) -> SourceError:
        """`many`: several commands were under way."""
        if isinstance(error, BareLineEnds) and not self._manners.bare_line_ends:
            self._manners.bare_line_ends = True
            return SourceLost(error.advice)  # no message's fault
        if many and (isinstance(error, (LegacyTimeout, LegacyProtocolError)) or not answered):
            self._manners.broke_off()  # whatever it announced
        return source_error(error, None if error.message is None else entries.get(error.message))

    async def headers(self, positions: Sequence[int], take: Callable[[int, bytes], None]) -> None:
        """By TOP. Where the first few are refused nothing more is asked."""
        if not positions:
            return
        self._give_up_ahead()
        at_once = 1 if (await self._pace()).limits is ONE_AT_A_TIME else HEADERS_AT_ONCE
        shown = at = 0
        while at < len(positions) and (shown or at < UNSHOWN):
            batch = positions[at : at + at_once] if shown else positions[at : at + 1]
            shown += await self._headers(batch, take)
            at += len(batch)

    async def _headers(self, batch: Sequence[int], take: Callable[[int, bytes], None]) -> int:
        """Gives back how many came."""
        try:
            headers = await gatherResults([Deferred.fromCoroutine(self._header(n)) for n in batch], consumeErrors=True)
        except FirstError as error:
            cause = cast(Exception, error.subFailure.value)
            if isinstance(cause, LegacyError):
                raise source_error(cause) from error
            raise cause from error
        for number, header in zip(batch, headers, strict=True):
            if header is not None:
                take(number, header)
        return sum(header is not None for header in headers)

    async def _header(self, number: int) -> bytes | None:
        try:
            return await self._connection.top(number, 0)
        except CommandRefused:
            return None

    async def _pace(self) -> Pace:
        """How many RETRs may be on their way: many where the server announces PIPELINING or proves able."""
        self._give_up_ahead()
        if self._manners.one_at_a_time:
            return Pace(ONE_AT_A_TIME)
        try:
            able = await self._connection.prove_pipelining()
        except LegacyError as error:
            raise source_error(error) from error
        if able is Pipelining.ABLE:
            return self._manners.pace(announced="PIPELINING" in self._connection.capabilities)
        self._manners.unable()
        if able is Pipelining.UNABLE_REOPEN:
            raise SourceLost("the server lost a command that was sent with another: from now on one at a time")
        return Pace(ONE_AT_A_TIME)

    async def prove(self) -> None:
        """By STAT: POP3 has no tags, and a line that a server said twice would have been taken for its +OK to PASS.
        What answers STAT looks like nothing else."""
        self._give_up_ahead()
        try:
            await self._connection.stat()
        except LegacyError as error:
            raise source_error(error) from error

    def pause(self) -> None:
        self._connection.pause()

    def resume(self) -> None:
        self._connection.resume()

    async def close(self) -> None:
        """QUIT, without waiting for its answer: a user who waits need not wait for good manners."""
        quitting = Deferred.fromCoroutine(self._connection.quit())
        quitting.addErrback(self._quit_failed)
        quitting.addBoth(lambda _result: self._left())

    def _quit_failed(self, failure: Failure) -> None:
        failure.trap(LegacyError)  # type: ignore[no-untyped-call]
        self._connection.abort()

    def abort(self) -> None:
        self._connection.abort()
        self._left()


def source_error(error: LegacyError, entry: Entry | None = None) -> SourceError:
    """What a failure of the client means to a move: would another connection do better?"""
    if isinstance(error, LoginRejected):  # it was taken before, or there would be no move
        return PasswordChanged(f"{error.text}; it was right before: {CHANGED}")
    if isinstance(error, (LoginNotPossible, CommandRefused)):
        return SourceUnusable(error.advice)
    if isinstance(error, (LegacyBusy, MaildropInUse)):
        return SourceBusy(error.advice)
    return SourceLost(error.advice, entry)
