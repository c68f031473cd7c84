"""Fetching headers and messages in an order that is decided late: what is asked for next is what somebody waits for.

Like `retrieval`, RETRs and TOPs run ahead of the answers, as far as a window allows. But what comes next is asked of an
agenda each time there is room, so that a message that a user has just opened is behind nothing but what is on its way
already. The window decides between the two: a wide one fills the line, a narrow one answers sooner.

Used by `connection.Connection.run_errands`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from twisted.internet.defer import Deferred

from proxy.legacy.errors import LegacyError
from proxy.legacy.settings import Window
from proxy.pop3.client.commands import Verb, command
from proxy.pop3.client.protocol import Expectation
from proxy.pop3.client.replies import Reply
from proxy.pop3.client.retrieval import Sink

HEAD_LIMIT: Final = 128 * 1024  # octets of a TOP that are kept; the rest of a longer one is not worth it
LONGEST: Final = 16  # octets of "TOP 9999999 0" with its CRLF


@dataclass(frozen=True, slots=True)
class Errand:
    """A message to be fetched, or its header alone (TOP n 0). `weight` is what it takes up in the window."""

    number: int
    header: bool
    weight: int


class Agenda(Protocol):
    """Says what is to be fetched."""

    def next(self) -> Errand | None:
        """What comes next; None when all has been asked for."""

    @property
    def urgent(self) -> bool:
        """Does somebody wait for what comes next?"""

    def window(self) -> Window:
        """How far to run ahead now."""


class HeaderSink(Sink, Protocol):
    """Where headers go as well."""

    def header(self, number: int, data: bytes) -> None:
        """A header with its blank line, as TOP gives it; the beginning of it where it is longer than HEAD_LIMIT."""

    def no_header(self, number: int, text: str) -> None:
        """The server gives no header of this message, or knows no TOP: -ERR, in the server's words."""


class Errands(Expectation):
    """All of one call. `send(commands, times)` sends, and puts `self` in the queue for each answer."""

    __slots__ = ("_agenda", "_asked", "_head", "_held", "_octets", "_result", "_send", "_sink")

    block = True

    def __init__(
        self,
        agenda: Agenda,
        sink: HeaderSink,
        send: Callable[[bytes, int], None],
        give_up: Callable[[], None],
    ) -> None:
        self._agenda = agenda
        self._sink = sink
        self._send = send
        self._asked: deque[Errand] = deque()
        self._held: Errand | None = None  # next, when there is room for it
        self._octets = 0  # the weights of those asked
        self._head = bytearray()  # of a long header on its way
        self._result: Deferred[None] | None = Deferred(lambda _result: self._cancelled(give_up))

    def pending(self) -> Deferred[None]:
        """What is to be awaited. To be fetched before `start`."""
        assert self._result is not None
        return self._result

    def start(self) -> None:
        self._top_up()

    def awaited(self) -> str:
        if not self._asked:
            return "a message"
        errand = self._asked[0]
        return f"the header of message {errand.number}" if errand.header else f"message {errand.number}"

    def whole(self, data: bytes) -> None:
        errand = self._asked[0]
        if errand.header:
            self._sink.header(errand.number, data)
        else:
            self._sink.message(errand.number, data)
        self._done()

    def begin(self) -> None:
        errand = self._asked[0]
        if errand.header:
            self._head.clear()
        else:
            self._sink.begin(errand.number)

    def piece(self, data: bytes) -> None:
        if self._asked[0].header:
            self._head += data[: HEAD_LIMIT - len(self._head)]
        else:
            self._sink.piece(data)

    def end(self) -> None:
        errand = self._asked[0]
        if errand.header:
            self._sink.header(errand.number, bytes(self._head))
        else:
            self._sink.end()
        self._done()

    def refused(self, reply: Reply) -> None:
        errand = self._asked[0]
        if errand.header:
            self._sink.no_header(errand.number, reply.text)
        else:
            self._sink.missing(errand.number, reply.text)
        self._done()

    def failed(self, error: Exception) -> None:
        result, self._result = self._result, None
        if result is not None:
            if isinstance(error, LegacyError) and self._asked:
                error.message = self._asked[0].number
            result.errback(error)

    def _done(self) -> None:
        """The oldest is answered."""
        self._octets -= self._asked.popleft().weight
        if self._result is not None:
            self._top_up()

    def _top_up(self) -> None:
        """Ask for as much as the window takes, in one write, once half of it is free or somebody waits."""
        window, asked = self._agenda.window(), self._asked
        most = max(1, min(window.messages, window.commands // LONGEST))
        half_free = len(asked) <= most // 2 and 2 * self._octets <= window.octets
        if asked and not half_free and not self._agenda.urgent:
            return
        commands: list[bytes] = []
        while len(asked) < most:
            errand = self._held or self._agenda.next()
            self._held = None
            if errand is None:
                break
            if asked and self._octets + errand.weight > window.octets:
                self._held = errand
                break
            self._octets += errand.weight
            asked.append(errand)
            commands.append(_spelled(errand))
        if commands:
            self._send(b"".join(commands), len(commands))
        elif not asked:
            result, self._result = self._result, None
            if result is not None:
                result.callback(None)

    def _cancelled(self, give_up: Callable[[], None]) -> None:
        self._result = None
        give_up()


def _spelled(errand: Errand) -> bytes:
    return command(Verb.TOP, errand.number, 0) if errand.header else command(Verb.RETR, errand.number)
