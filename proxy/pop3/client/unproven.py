"""Messages whose end has not been proved to be their end.

A message ends with a line that is a dot, and a dot at the beginning of a line of its own is sent twice (RFC 1939 3).
A server that does not do the latter ends a message too early, at such a line, and goes on with the rest of it where
the answer to the next RETR should be. Where that is noticed, the message has been handed on as complete already.

So a message of just the octets that LIST announced is handed on at once, as nearly all are; one of another size is
kept back until the answer behind it begins, which proves that it had ended. It is given up when nonsense comes
instead. Where the connection ends otherwise it counts: of a complete answer nothing is missing.

The other way round, a last line that lacks its LF (Cyrus, its issue 4717) or stands behind a bare LF is no end: the
messages behind it would be taken for more of this one, and each after that for the one before it. Such a line with the
beginning of an answer behind it is looked for in what is more than announced.

Stands between `connection.Connection.retrieve` and its sink: `settle` when it returns, `given_up` when it raises.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping

from proxy.legacy.errors import BareLineEnds, LegacyError, LegacyProtocolError
from proxy.pop3.client.errands import HeaderSink
from proxy.pop3.client.retrieval import Sink

ENDLESS = 256 * 1024 * 1024  # octets after which a message that was announced with less than half has no end
_RUN_TOGETHER = re.compile(rb"\r\n\.\r(?:\+OK|-ERR)|(?<!\r)\n\.\r\n(?:\+OK|-ERR)")
_LONGEST = len(b"\r\n.\r\n-ERR")  # of what that finds


class Unproven:
    """A `Sink` before another one."""

    __slots__ = ("_before", "_data", "_kept_back", "_number", "_octets", "_sink", "_sizes")

    def __init__(self, sink: Sink, sizes: Mapping[int, int | None]) -> None:
        """`sizes` is LIST's."""
        self._kept_back: int | None = None
        self._sink = sink
        self._sizes = sizes
        self._data: bytes | None = None  # all of it; None: it came in pieces, of which only the end is kept back
        self._number = 0  # the message that comes in pieces
        self._octets = 0  # of it so far
        self._before = b""  # the end of the piece before

    def message(self, number: int, data: bytes) -> None:
        if self._kept_back is not None:
            self._prove()
        if len(data) == self._sizes.get(number):
            self._sink.message(number, data)
        else:
            self._look_for_an_end(number, data)
            self._kept_back, self._data = number, data

    def begin(self, number: int) -> None:
        self._prove()
        self._number, self._octets, self._before = number, 0, b""
        self._sink.begin(number)

    def piece(self, data: bytes) -> None:
        self._octets += len(data)
        announced = self._sizes.get(self._number)
        if self._octets > max(ENDLESS, 2 * (announced or 0)):
            raise LegacyProtocolError(
                f"message {self._number}, of {announced or 'unknown'} octets, does not end after {self._octets}",
                message=self._number,
                remedy="it is fetched again by itself, and quarantined in the end; look at it on the legacy server",
            )
        if announced is None or self._octets > announced:
            self._look_for_an_end(self._number, self._before + data)
        self._before = (self._before + data[-_LONGEST:])[-_LONGEST:]
        self._sink.piece(data)

    def end(self) -> None:
        if self._octets == self._sizes.get(self._number):
            self._sink.end()
        else:
            self._kept_back = self._number

    def missing(self, number: int, text: str) -> None:
        self._prove()
        self._sink.missing(number, text)

    def _look_for_an_end(self, number: int, data: bytes) -> None:
        found = _RUN_TOGETHER.search(data)
        if found is None:
            return
        if found[0].startswith(b"\n"):
            raise BareLineEnds(f"the last lines of message {number} end in a bare line feed", message=number)
        raise LegacyProtocolError(f"the last line of message {number} lacks its line end", message=number)

    async def settle(self, ask: Callable[[], Awaitable[None]]) -> None:
        """All that was asked for has come: hand on the last, too. `ask` has the server say something, anything, where
        there is no answer behind it. Raises LegacyProtocolError when it says nonsense, or whatever the sink raises."""
        if self._kept_back is not None:
            try:
                await ask()
            except LegacyProtocolError:
                raise
            except LegacyError:
                pass  # it is gone, or says no: nothing is missing of what it said before
            self._prove()

    def given_up(self, error: LegacyError) -> LegacyError:
        """The connection has ended. Gives back what is to be said of that: `error` as it came, or where nonsense came
        behind a message that is kept back, what that means to it."""
        if isinstance(error, BareLineEnds):
            return error
        number = self._kept_back
        if number is None or not isinstance(error, LegacyProtocolError):
            self._prove()
            return error
        early = f"message {number} seems to have ended before its end, at a line that is a dot"
        why = "a server that does not double such dots (RFC 1939 3) cannot hand it over"
        return LegacyProtocolError(f"{error.text}; {early}: {why}", message=number, remedy="")

    def _prove(self) -> None:
        """The answer behind it has begun."""
        number, data, self._kept_back, self._data = self._kept_back, self._data, None, None
        if number is None:
            return
        if data is None:
            self._sink.end()
        else:
            self._sink.message(number, data)


class UnprovenErrands(Unproven):
    """The same before a `HeaderSink`: `connection.Connection.run_errands`."""

    __slots__ = ("_headers",)

    def __init__(self, sink: HeaderSink, sizes: Mapping[int, int | None]) -> None:
        super().__init__(sink, sizes)
        self._headers = sink

    def header(self, number: int, data: bytes) -> None:
        self._prove()
        self._headers.header(number, data)

    def no_header(self, number: int, text: str) -> None:
        self._prove()
        self._headers.no_header(number, text)
