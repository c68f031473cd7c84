"""A relay in front of a legacy server that keeps what the client says: what was asked of the server, and how often."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.legacy.threaded import Relay


@dataclass
class Heard:
    """One connection: what the client has sent, and whether it is over."""

    said: bytearray = field(default_factory=bytearray)
    over: bool = False

    @property
    def verbs(self) -> list[bytes]:
        """The first word of each line, in capitals."""
        return [line.split(b" ")[0].upper() for line in bytes(self.said).split(b"\r\n") if line]


class Wiretap(Relay):
    """`hidden` is left out of what the server says, where it comes in one piece."""

    def __init__(self, target: int, hidden: bytes = b"") -> None:
        self.hidden = hidden
        self.sessions: list[Heard] = []
        super().__init__(target)

    def asked(self, verb: bytes, since: int = 0) -> int:
        """How often a command was sent, in the sessions from number `since` on."""
        with self._changed:
            return sum(session.verbs.count(verb) for session in self.sessions[since:])

    def wait(self, condition: Callable[[list[Heard]], bool], seconds: float = 30.0) -> None:
        """Until what was heard is as it should be. Raises AssertionError when that takes too long."""
        with self._changed:
            came = self._changed.wait_for(lambda: condition(self.sessions), seconds)
            assert came, [session.verbs for session in self.sessions]

    def serve(self, client: socket.socket) -> None:
        heard = Heard()

        def up(data: bytes) -> bytes:
            with self._changed:
                heard.said += data
                self._changed.notify_all()
            return data

        with self._changed:
            self.sessions.append(heard)
        try:
            with self._held(self.reached()) as server:
                self.pass_on(client, server, up=up, down=self._down)
        finally:
            with self._changed:
                heard.over = True
                self._changed.notify_all()

    def _down(self, data: bytes) -> bytes:
        return data.replace(self.hidden, b"") if self.hidden else data
