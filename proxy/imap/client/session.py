"""What is known of one connection, and the order in which commands go out over it.

Commands may be awaited side by side: IMAP takes them one behind the other without waiting (RFC 3501 5.5). Only one
that goes out in chunks has the connection to itself until all of it is sent, and so does every one where `pipelining`
was switched off, for a server that has proved unable.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from proxy.imap.client.asking import Asked, _ignored
from proxy.imap.client.commands import Name, Raw, Verb, command
from proxy.imap.client.protocol import Expectation
from proxy.imap.client.responses import Reply, Untagged
from proxy.legacy.wire import Wire

Capabilities = frozenset[str]
NO_CAPABILITIES: Capabilities = frozenset()


class Session:
    """One connection, from its greeting on."""

    def __init__(self, wire: Wire[Expectation]) -> None:
        self.wire = wire
        wire.idle = self._next
        self.greeting = ""  # the server's words, readable
        self.capabilities: Capabilities = NO_CAPABILITIES
        self.pipelining = True
        self._number = 0
        self._backlog: deque[tuple[bytes, Expectation]] = deque()
        self._alone: Asked | None = None  # one that goes out in chunks

    def next_tag(self) -> bytes:
        self._number += 1
        return b"f%d" % self._number

    async def run(
        self,
        verb: Verb,
        *arguments: bytes | Raw | Name,
        take: Callable[[Untagged], None] = _ignored,
        chunks: Iterable[bytes] = (),
        slow: bool = False,
        ends_plaintext: bool = False,
        ends_session: bool = False,
    ) -> Reply:
        """Send a command when its turn has come, and await its answer, whichever it is; `chunks` follow when the
        server asks for them. Raises LegacyError."""
        tag = self.next_tag()
        first, *rest = command(tag, verb, *arguments, capabilities=self.capabilities)
        asked = Asked(
            verb.name,
            tag,
            self.wire.abort,
            take=take,
            chunks=[*rest, *chunks],
            send=self.wire.answer,
            slow=slow,
            ends_plaintext=ends_plaintext,
            ends_session=ends_session,
        )
        result = asked.pending()
        self.send(first, asked)
        return await result

    def send(self, line: bytes, expectation: Expectation) -> None:
        """Send a command, or keep it until those before it let it out."""
        if self._backlog or not self._free(expectation):
            self._backlog.append((line, expectation))
        else:
            self._out(line, expectation)

    def _out(self, line: bytes, expectation: Expectation) -> None:
        in_chunks = isinstance(expectation, Asked) and expectation.in_chunks
        self._alone = expectation if in_chunks and isinstance(expectation, Asked) else None
        self.wire.ask(line, expectation)

    def _free(self, expectation: Expectation) -> bool:
        """May this one go out now?"""
        if not self.wire.outstanding or self.wire.over is not None:
            return True
        in_chunks = isinstance(expectation, Asked) and expectation.in_chunks
        return self.pipelining and not in_chunks and (self._alone is None or not self._alone.in_chunks)

    def _next(self) -> None:
        """Nothing is owed: send what had to wait for that. After the end of the connection, let it fail."""
        while self._backlog and self._free(self._backlog[0][1]):
            self._out(*self._backlog.popleft())
