"""Expectations that somebody awaits: one command each, with what the server says on the way to its answer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred

from proxy.imap.client.protocol import Expectation, Greeted
from proxy.imap.client.responses import Reply, Untagged
from proxy.legacy.errors import LegacyProtocolError
from proxy.legacy.words import readable


def _ignored(_response: Untagged) -> None:
    """Servers may say what nobody asked for (RFC 3501 5.2)."""


class Asked(Expectation):
    """A command with a Deferred of its tagged reply, whichever it is. Cancelling it calls `give_up`: its answer may
    be long, and nobody takes it any more."""

    __slots__ = ("_chunks", "_give_up", "_name", "_result", "_send", "_take", "ends_plaintext", "ends_session", "slow")

    def __init__(
        self,
        name: str,
        tag: bytes,
        give_up: Callable[[], None],
        *,
        take: Callable[[Untagged], None] = _ignored,
        chunks: Sequence[bytes] = (),
        send: Callable[[bytes], None] = lambda _chunk: None,
        slow: bool = False,
        ends_plaintext: bool = False,
        ends_session: bool = False,
    ) -> None:
        """`chunks` are what follows the command's first, each when the server asks for it; they go to `send`."""
        self.tag = tag
        self.slow = slow
        self.ends_plaintext = ends_plaintext
        self.ends_session = ends_session
        self._name = name
        self._give_up = give_up
        self._take = take
        self._chunks = deque(chunks)
        self._send = send
        self._result: Deferred[Reply] | None = Deferred(self._cancelled)

    def pending(self) -> Deferred[Reply]:
        """What is to be awaited. To be fetched before the command is sent."""
        assert self._result is not None
        return self._result

    @property
    def in_chunks(self) -> bool:
        """Has some of the command to wait for the server's word?"""
        return bool(self._chunks)

    def awaited(self) -> str:
        return f"the answer to {self._name}"

    def untagged(self, response: Untagged) -> None:
        self._take(response)

    def continued(self) -> None:
        if not self._chunks:
            raise LegacyProtocolError(f"the server does not come to an end with {self._name}")
        self._send(self._chunks.popleft())

    def done(self, reply: Reply) -> None:
        result, self._result = self._result, None
        if result is not None:
            result.callback(reply)

    def failed(self, error: Exception) -> None:
        result, self._result = self._result, None
        if result is not None:
            result.errback(error)

    def _cancelled(self, _result: Deferred[Reply]) -> None:
        self._result = None
        self._give_up()


class Greeting(Asked, Greeted):
    """What the server says first."""

    __slots__ = ()

    _OTHERS = ((b"220", "an SMTP or FTP server"), (b"+OK", "a POP3 server"), (b"HTTP/", "a web server"))

    def __init__(self, give_up: Callable[[], None]) -> None:
        super().__init__("the connection", b"", give_up)

    def awaited(self) -> str:
        return "its greeting"

    def nonsense(self, line: bytes) -> LegacyProtocolError:
        for start, what in self._OTHERS:
            if line.startswith(start):
                return LegacyProtocolError(f"this is {what}, not an IMAP server; check `imap_port`")
        return LegacyProtocolError(f'this is not an IMAP server; it begins with "{readable(line[:80])}"')
