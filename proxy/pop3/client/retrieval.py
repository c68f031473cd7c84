"""Fetching many messages: RETRs run ahead of the answers, so that the line is never idle for a round trip.

How far they run is the window, in messages and in octets by LIST's sizes (see `pace`). It is topped up when half of it
is free, in one write: a write for each message would cost more than the message. LIST's sizes are only weights
here; what arrives is what counts.

Used by `connection.Connection.retrieve`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from twisted.internet.defer import Deferred

from proxy.legacy.errors import LegacyError
from proxy.pop3.client.commands import retrievals
from proxy.pop3.client.pace import Pace
from proxy.pop3.client.protocol import Expectation
from proxy.pop3.client.replies import Reply

UNKNOWN_SIZE = 32 * 1024  # what a message weighs in the window when LIST does not say


class Sink(Protocol):
    """Where messages go. Called in the order asked for, in the reactor's thread; each call holds the reactor up.

    An exception from it ends the connection, and is what `retrieve` raises. When the connection ends between
    `begin` and `end`, no `end` comes.
    """

    def message(self, number: int, data: bytes) -> None:
        """A whole message (up to about 192 KiB)."""

    def begin(self, number: int) -> None:
        """A larger message begins."""

    def piece(self, data: bytes) -> None:
        """Some of it: never empty, at most about 192 KiB."""

    def end(self) -> None:
        """It is complete."""

    def missing(self, number: int, text: str) -> None:
        """The server has no such message any more, or does not give it: -ERR, in the server's words."""


class Retrieval(Expectation):
    """All the RETRs of one call. `send(command, times)` sends, and puts `self` in the queue for each answer."""

    __slots__ = (
        "_asked",
        "_few",
        "_next",
        "_numbers",
        "_octets",
        "_pace",
        "_pending",
        "_result",
        "_seconds",
        "_send",
        "_sent",
        "_sink",
        "_sizes",
        "_word",
    )

    block = True

    def __init__(
        self,
        numbers: Sequence[int],
        sizes: Mapping[int, int | None],
        sink: Sink,
        pace: Pace,
        *,
        send: Callable[[bytes, int], None],
        give_up: Callable[[], None],
        seconds: Callable[[], float],
    ) -> None:
        self._numbers = numbers
        self._sizes = sizes
        self._sink = sink
        self._pace = pace
        self._send = send
        self._seconds = seconds
        self._word = len(retrievals([max(numbers, default=1)]))  # the longest command
        self._next = 0  # index of the first number not asked for
        self._few = 0  # on their way: then more are asked for
        self._asked: deque[tuple[int, int]] = deque()  # numbers and weights on their way
        self._octets = 0  # their weights' sum
        self._sent: deque[tuple[int, float]] = deque()  # for each write, how many were unasked after it, and when
        self._pending: Deferred[None] = Deferred(lambda result: self._cancelled(give_up))
        self._result: Deferred[None] | None = self._pending

    def pending(self) -> Deferred[None]:
        """What is to be awaited."""
        return self._pending

    def taken(self) -> None:
        """Nothing was read so far, and is from now on: the server is not to be judged by when it was asked."""
        now = self._seconds()
        self._sent = deque((unasked, now) for unasked, _ in self._sent)

    def start(self) -> None:
        if self._numbers:
            self._top_up()
        else:
            self._finish()

    def awaited(self) -> str:
        return f"message {self._asked[0][0]}" if self._asked else "a message"

    def whole(self, data: bytes) -> None:
        self._sink.message(self._asked[0][0], data)
        self._done()

    def begin(self) -> None:
        self._sink.begin(self._asked[0][0])

    def piece(self, data: bytes) -> None:
        self._sink.piece(data)

    def end(self) -> None:
        self._sink.end()
        self._done()

    def refused(self, reply: Reply) -> None:
        self._sink.missing(self._asked[0][0], reply.text)
        self._done()

    def failed(self, error: Exception) -> None:
        result, self._result = self._result, None
        if result is not None:
            if isinstance(error, LegacyError) and self._asked:
                error.message = self._asked[0][0]
            result.errback(error)

    @property
    def _most(self) -> int:
        pace = self._pace
        return max(1, min(pace.messages, pace.limits.commands // self._word))

    def _done(self) -> None:
        """The oldest RETR is answered."""
        asked = self._asked
        _, weight = asked.popleft()
        self._octets -= weight
        sent, unasked = self._sent, len(self._numbers) - self._next
        if len(asked) + unasked <= sent[0][0]:
            self._pace.answered(self._seconds() - sent.popleft()[1])
            self._few = self._most // 2
        if self._result is None:
            return
        if unasked:
            if len(asked) <= self._few and (not asked or self._octets * 2 <= self._pace.octets):
                self._top_up()
        elif not asked:
            self._finish()

    def _top_up(self) -> None:
        """Ask for as many more as the window takes, and for one at least when none is on its way."""
        numbers, sizes, asked = self._numbers, self._sizes, self._asked
        first = at = self._next
        window = self._most
        self._few = window // 2
        most = min(len(numbers), first + window - len(asked))
        octets, limit = self._octets, self._pace.octets
        while at < most:
            number = numbers[at]
            weight = sizes.get(number)
            if weight is None:
                weight = UNKNOWN_SIZE
            if octets + weight > limit and asked:
                break
            octets += weight
            asked.append((number, weight))
            at += 1
        self._octets = octets
        self._next = at
        if at > first:
            self._sent.append((len(numbers) - at, self._seconds()))
            self._send(retrievals(numbers[first:at]), at - first)

    def _finish(self) -> None:
        result, self._result = self._result, None
        if result is not None:
            result.callback(None)

    def _cancelled(self, give_up: Callable[[], None]) -> None:
        self._result = None
        give_up()
