"""Fetching many messages: RETRs run ahead of the answers, so that the line is never idle for a round trip.

How far they run is the window, in messages and in octets by LIST's sizes (see `pace`). It is topped up when half of it
is free, in one write: a write for each message would cost more than the message. LIST's sizes are only weights
here; what arrives is what counts. Messages that somebody waits for are asked for next (`hurry`).

Used by `connection.Connection.retrieve`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
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
        "_first",
        "_hurried",
        "_next",
        "_numbers",
        "_octets",
        "_pace",
        "_result",
        "_seconds",
        "_send",
        "_sent",
        "_sink",
        "_sizes",
        "_unasked",
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
        self._next = 0  # index of the first number that was neither asked for nor passed over
        self._first: deque[int] = deque()  # numbers that somebody waits for
        self._hurried: set[int] = set()  # all that ever were among these
        self._unasked = len(numbers)
        self._asked: deque[tuple[int, int]] = deque()  # numbers and weights on their way
        self._octets = 0  # their weights' sum
        self._sent: deque[tuple[int, float]] = deque()  # for each write, how many were unasked after it, and when
        self._result: Deferred[None] | None = Deferred(lambda result: self._cancelled(give_up))

    def pending(self) -> Deferred[None]:
        """What is to be awaited. To be fetched before `start`."""
        assert self._result is not None
        return self._result

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

    def hurry(self, numbers: Collection[int]) -> None:
        """Ask for these next, before all that were not asked for yet. Others than those are passed over."""
        wanted = set(numbers) - self._hurried
        if not wanted or not self._unasked:
            return
        first = [number for number in self._numbers[self._next :] if number in wanted]
        self._hurried.update(first)
        self._first.extend(first)
        if first and self._result is not None and len(self._asked) < self._most:
            self._top_up()

    @property
    def _most(self) -> int:
        pace = self._pace
        return max(1, min(pace.messages, pace.limits.commands // self._word))

    def _done(self) -> None:
        """The oldest RETR is answered."""
        asked = self._asked
        _, weight = asked.popleft()
        self._octets -= weight
        sent = self._sent
        if len(asked) + self._unasked <= sent[0][0]:
            self._pace.answered(self._seconds() - sent.popleft()[1])
        if self._result is None:
            return
        if self._unasked:
            if not asked or (len(asked) <= self._most // 2 and self._octets * 2 <= self._pace.octets):
                self._top_up()
        elif not asked:
            self._finish()

    def _top_up(self) -> None:
        """Ask for as many more as the window takes, and for one at least when none is on its way."""
        sizes, asked = self._sizes, self._asked
        most, octets, limit = self._most, self._octets, self._pace.octets
        chosen = []
        while self._unasked and len(asked) < most:
            number = self._upcoming()
            weight = sizes.get(number)
            if weight is None:
                weight = UNKNOWN_SIZE
            if octets + weight > limit and asked:
                break
            octets += weight
            asked.append((number, weight))
            chosen.append(number)
            self._take()
        self._octets = octets
        if chosen:
            self._sent.append((self._unasked, self._seconds()))
            self._send(retrievals(chosen), len(chosen))

    def _upcoming(self) -> int:
        """The number to be asked for next. There is one."""
        if self._first:
            return self._first[0]
        while self._numbers[self._next] in self._hurried:
            self._next += 1
        return self._numbers[self._next]

    def _take(self) -> None:
        """It is asked for now."""
        self._unasked -= 1
        if self._first:
            self._first.popleft()
        else:
            self._next += 1

    def _finish(self) -> None:
        result, self._result = self._result, None
        if result is not None:
            result.callback(None)

    def _cancelled(self, give_up: Callable[[], None]) -> None:
        self._result = None
        give_up()
