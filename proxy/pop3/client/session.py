"""What is known of one connection, and the order in which commands go out over it.

Commands may be awaited side by side: they are sent at once where the server is known to take that
(`pipelining`), and one after the other where not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TypeVar

from proxy.legacy.wire import Wire
from proxy.pop3.client.asking import Asked, Block, Line
from proxy.pop3.client.commands import Verb, command
from proxy.pop3.client.protocol import Expectation
from proxy.pop3.client.replies import NO_CAPABILITIES, Capabilities, Reply

T = TypeVar("T")


class Session:
    """One connection, from its greeting on."""

    def __init__(self, wire: Wire[Expectation]) -> None:
        self.wire = wire
        wire.idle = self._next
        self.greeting = ""  # the server's words, readable
        self.stamp: bytes | None = None  # of the greeting, for APOP
        self.capabilities: Capabilities = NO_CAPABILITIES
        self.pipelining = False
        self._backlog: deque[tuple[bytes, Expectation]] = deque()

    async def ask(self, asked: Asked[T], line: bytes) -> T:
        """Send a command when its turn has come, and await its answer. Raises LegacyError."""
        result = asked.pending()
        if self.wire.outstanding and not self.pipelining:
            self._backlog.append((line, asked))
        else:
            self.wire.ask(line, asked)
        return await result

    async def line(self, verb: Verb, *arguments: bytes | int, slow: bool = False) -> Reply:
        """A command with a status line for an answer."""
        return await self.ask(Line(verb.name, self.wire.abort, slow=slow), command(verb, *arguments))

    async def block(
        self,
        verb: Verb,
        *arguments: bytes | int,
        take: Callable[[bytes], None],
        limit: int,
        slow: bool = False,
    ) -> Reply | None:
        """A command with a block of at most `limit` octets for an answer, handed to `take`. Gives back -ERR."""
        asked = Block(verb.name, self.wire.abort, take, limit=limit, slow=slow)
        return await self.ask(asked, command(verb, *arguments))

    def _next(self) -> None:
        """Nothing is owed: send what had to wait for that. After the end of the connection, let it fail."""
        while self._backlog and (self.pipelining or self.wire.over is not None or not self.wire.outstanding):
            self.wire.ask(*self._backlog.popleft())
