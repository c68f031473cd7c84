"""A legacy server that gives messages only when the test lets it: for what happens while they are awaited.

    server = HoldingServer(messages, Behaviour(…), held={3})    # stops before its answer to RETR 3
    server.held.clear(); server.go_on()

POP3 answers in order, so whatever was asked behind a held message waits as well.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from tests.legacy.server import Behaviour, LegacyProtocol, LegacyServer


class HoldingServer(LegacyServer):
    """`held` are the numbers of messages that RETR does not give, `held_headers` those that TOP does not."""

    def __init__(
        self,
        messages: Sequence[bytes],
        behaviour: Behaviour,
        *,
        held: Iterable[int] = (),
        held_headers: Iterable[int] = (),
    ) -> None:
        super().__init__(messages, behaviour)
        self.held = set(held)
        self.held_headers = set(held_headers)
        self.asked_for: list[bytes] = []  # every line as it came; `commands` has those that were answered

    def connection(self) -> LegacyProtocol:
        return HoldingProtocol(self)

    def go_on(self) -> None:
        """Give what is no longer held."""
        for connection in list(self.open):
            assert isinstance(connection, HoldingProtocol)
            connection.go_on()

    def release(self) -> None:
        """Hold nothing any more."""
        self.held.clear()
        self.held_headers.clear()
        self.go_on()

    def fetched(self, verb: bytes = b"RETR") -> list[int]:
        """The messages of all RETRs, or of all TOPs, so far, in order."""
        return [int(line.split()[1]) for line in self.asked_for if line.startswith(verb + b" ")]


class HoldingProtocol(LegacyProtocol):
    """One connection."""

    server: HoldingServer

    def __init__(self, server: HoldingServer) -> None:
        super().__init__(server)
        self._owed: deque[bytes] = deque()

    def _line(self, line: bytes) -> None:
        self.server.asked_for.append(line)
        self._owed.append(line)
        if len(self._owed) == 1:
            self.go_on()

    def go_on(self) -> None:
        while self._owed:
            verb, _, rest = self._owed[0].partition(b" ")
            held = {b"RETR": self.server.held, b"TOP": self.server.held_headers}.get(verb)
            if held and int(rest.split()[0]) in held:
                return
            super()._line(self._owed.popleft())
