"""The old mailbox over POP3: a connection of `proxy.pop3.client` as a `Source`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.python.failure import Failure

from mailstore.ledger import Entry, Listed
from proxy.migration.agenda import Agenda
from proxy.migration.source import HeaderReceiver, Receiver, SourceError, SourceLost, SourceUnusable
from proxy.pop3.client.connection import Connection, Pipelining
from proxy.pop3.client.errors import (
    CommandRefused,
    LegacyError,
    LegacyProtocolError,
    LegacyTimeout,
    LoginNotPossible,
    LoginRejected,
)
from proxy.pop3.client.settings import ONE_AT_A_TIME, Window

Listings = tuple[dict[int, int | None], list[tuple[int, bytes]] | None]  # by number: octets; unique-ids, if any

UIDL_LIMIT = 255  # octets of a UIDL that is kept; RFC 1939 7 allows 70, and some servers do not keep to it
DISTRUST = 600.0  # seconds for which a server that broke off while many RETRs were on their way gets one at a time


class Manners:
    """What was learnt of a legacy server that the next connection to it should know."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._unable = False
        self._distrusted_until = float("-inf")

    @property
    def one_at_a_time(self) -> bool:
        """Are several commands on their way at once to be avoided?"""
        return self._unable or self._clock() < self._distrusted_until

    def unable(self) -> None:
        """It was tried, and does not work."""
        self._unable = True

    def broke_off(self) -> None:
        """The server may be to blame, or the network for a moment: it is asked again after a while."""
        self._distrusted_until = self._clock() + DISTRUST


class _Sink:
    """Gives what the client takes off the wire to the receiver, by ledger entry instead of by number."""

    def __init__(self, wanted: Sequence[tuple[int, Entry]], receiver: Receiver) -> None:
        self._entries = dict(wanted)
        self._receiver = receiver

    def message(self, number: int, data: bytes) -> None:
        self._receiver.message(self._entries[number], data)

    def begin(self, number: int) -> None:
        self._receiver.begin(self._entries[number])

    def piece(self, data: bytes) -> None:
        self._receiver.piece(data)

    def end(self) -> None:
        self._receiver.end()

    def missing(self, number: int, text: str) -> None:
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


class Pop3Source:
    """A logged-in POP3 connection. `left` is called once when the connection is given up."""

    def __init__(self, connection: Connection, manners: Manners, left: Callable[[], None]) -> None:
        self._connection = connection
        self._manners = manners
        self._left = left

    async def list(self) -> Sequence[Listed]:
        """UIDL and LIST. A server without UIDL gives names of ""; a size it does not tell is 0."""
        try:
            sizes, uidls = await (self._listings() if self._manners.one_at_a_time else self._listings_at_once())
        except LegacyError as error:
            raise source_error(error) from error
        names = dict(uidls or ())
        return [Listed(number, _uidl(names.get(number)), sizes[number] or 0) for number in sorted(sizes)]

    async def _listings(self) -> Listings:
        return await self._connection.list_sizes(), await self._connection.uidl()

    async def _listings_at_once(self) -> Listings:
        """Both on their way together where the server says that it takes that, which saves a round trip."""
        connection = self._connection
        asked: list[Deferred[Any]] = [Deferred.fromCoroutine(c) for c in (connection.list_sizes(), connection.uidl())]
        try:
            sizes, uidls = await gatherResults(asked, consumeErrors=True)
        except FirstError as error:
            cause = cast(Exception, error.subFailure.value)
            if isinstance(cause, LegacyTimeout) and error.index == 1:  # LIST was answered, UIDL was lost
                self._manners.broke_off()
            raise cause from error
        return sizes, uidls

    async def fetch(self, wanted: Sequence[tuple[int, Entry]], receiver: Receiver, *, one_by_one: bool = False) -> None:
        if not wanted:
            return
        entries = dict(wanted)
        window = ONE_AT_A_TIME if one_by_one or len(wanted) == 1 else await self._window()
        sizes = {number: entry.octets or None for number, entry in wanted}
        try:
            await self._connection.retrieve(list(entries), sizes, _Sink(wanted, receiver), window)
        except LegacyError as error:
            raise self._broken(error, entries, many=window is not ONE_AT_A_TIME) from error

    def _broken(self, error: LegacyError, entries: Mapping[int, Entry], *, many: bool) -> SourceError:
        """`many`: several commands were under way."""
        if many and isinstance(error, (LegacyTimeout, LegacyProtocolError)):
            self._manners.broke_off()  # whatever it announced
        return source_error(error, None if error.message is None else entries.get(error.message))

    async def many_at_once(self) -> bool:
        """See `ErrandSource`."""
        return await self._window() is not ONE_AT_A_TIME

    async def errands(self, agenda: Agenda, wanted: Sequence[tuple[int, Entry]], receiver: HeaderReceiver) -> None:
        """See `ErrandSource`."""
        many = not self._manners.one_at_a_time
        try:
            await self._connection.run_errands(agenda, _HeaderSink(wanted, receiver))
        except LegacyError as error:
            raise self._broken(error, dict(wanted), many=many) from error

    async def _window(self) -> Window:
        """How many RETRs may be on their way: many where the server announces PIPELINING or proves able."""
        if self._manners.one_at_a_time:
            return ONE_AT_A_TIME
        try:
            able = await self._connection.prove_pipelining()
        except LegacyError as error:
            raise source_error(error) from error
        if able is Pipelining.ABLE:
            return Window()
        self._manners.unable()
        if able is Pipelining.UNABLE_REOPEN:
            raise SourceLost("the server lost a command that was sent with another: from now on one at a time")
        return ONE_AT_A_TIME

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


def _uidl(name: bytes | str | None) -> str:
    """A UIDL as the ledger keeps it. Bytes that are no text are kept one to one."""
    if name is None:
        return ""
    text = name if isinstance(name, str) else name.decode("latin-1")
    return text[:UIDL_LIMIT]


def source_error(error: LegacyError, entry: Entry | None = None) -> SourceError:
    """What a failure of the client means to a move: would another connection do better?"""
    if isinstance(error, (LoginRejected, LoginNotPossible, CommandRefused)):
        return SourceUnusable(error.text)
    return SourceLost(error.text, entry)
