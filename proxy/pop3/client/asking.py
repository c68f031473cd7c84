"""Expectations that somebody awaits: a status line, or a block that is taken in and then evaluated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred

from proxy.legacy.errors import LegacyProtocolError
from proxy.legacy.words import readable
from proxy.pop3.client.protocol import Expectation
from proxy.pop3.client.replies import Reply

T = TypeVar("T")


class Asked(Expectation, Generic[T]):
    """An expectation with a Deferred. Cancelling it calls `give_up`: its answer cannot be told from others'."""

    __slots__ = ("_give_up", "_name", "_result")

    def __init__(self, name: str, give_up: Callable[[], None]) -> None:
        self._name = name
        self._give_up = give_up
        self._result: Deferred[T] | None = Deferred(self._cancelled)

    def pending(self) -> Deferred[T]:
        """What is to be awaited. To be fetched before the command is sent."""
        assert self._result is not None
        return self._result

    def awaited(self) -> str:
        return f"the answer to {self._name}"

    def failed(self, error: Exception) -> None:
        result, self._result = self._result, None
        if result is not None:
            result.errback(error)

    def _settle(self, value: T) -> None:
        result, self._result = self._result, None
        if result is not None:
            result.callback(value)

    def _cancelled(self, _result: Deferred[T]) -> None:
        self._result = None
        self._give_up()


class Line(Asked[Reply]):
    """A status line, +OK or -ERR: both are results."""

    __slots__ = ("ends_plaintext", "slow")

    def __init__(
        self, name: str, give_up: Callable[[], None], *, slow: bool = False, ends_plaintext: bool = False
    ) -> None:
        super().__init__(name, give_up)
        self.slow = slow
        self.ends_plaintext = ends_plaintext

    def accepted(self, reply: Reply) -> None:
        self._settle(reply)

    def refused(self, reply: Reply) -> None:
        self._settle(reply)


class Greeting(Line):
    """What the server says first. Nobody's mail is near yet, so that it may be quoted."""

    __slots__ = ()

    greets = True

    _OTHERS = ((b"220", "an SMTP or FTP server"), (b"* ", "an IMAP server"), (b"HTTP/", "a web server"))

    def awaited(self) -> str:
        return "its greeting"

    def nonsense(self, line: bytes) -> LegacyProtocolError:
        for start, what in self._OTHERS:
            if line.startswith(start):
                return LegacyProtocolError(f"this is {what}, not a POP3 server; check `port`")
        return LegacyProtocolError(f'this is not a POP3 server; it begins with "{readable(line[:80])}"')


class SaslLine(Line):
    """The answer to AUTH: one challenge is met with `response`, a second one ends the exchange."""

    __slots__ = ("_response", "_send")

    def __init__(self, name: str, give_up: Callable[[], None], send: Callable[[bytes], None], response: bytes) -> None:
        super().__init__(name, give_up, slow=True)
        self._send = send
        self._response = response

    def challenged(self, challenge: bytes) -> None:
        response, self._response = self._response, b""
        if not response:
            raise LegacyProtocolError("the server does not come to an end with AUTH")
        self._send(response)


class Block(Asked[Reply | None]):
    """A block, given to `take` as it comes. The result is None when it is complete, else the -ERR."""

    __slots__ = ("_left", "_take", "slow")

    block = True

    def __init__(
        self,
        name: str,
        give_up: Callable[[], None],
        take: Callable[[bytes], None],
        *,
        limit: int,
        slow: bool = False,
    ) -> None:
        super().__init__(name, give_up)
        self._take = take
        self._left = limit
        self.slow = slow

    def refused(self, reply: Reply) -> None:
        self._settle(reply)

    def piece(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            raise LegacyProtocolError(f"the answer to {self._name} is too long")
        self._take(data)

    def end(self) -> None:
        self._settle(None)
