"""A legacy server in threads, for daemons that are processes of their own: it counts what it is asked for, and can be
told to break off, or to be gone for a while."""

from __future__ import annotations

import select
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from tests.legacy.server import stuffed, unique_id
from tests.legacy.threaded import ThreadedServer, reset

PASSWORD: Final = "secret"
MOMENT: Final = 0.01  # seconds
_CAPABILITIES: Final = b"+OK\r\nUSER\r\nUIDL\r\nPIPELINING\r\nRESP-CODES\r\n.\r\n"


class StandingServer(ThreadedServer):
    """Any user logs in with `PASSWORD` and finds the same mailbox."""

    def __init__(self, messages: Sequence[bytes]) -> None:
        self.messages = list(messages)
        self.retrievals: Counter[int] = Counter()  # by message number
        self.sessions = 0  # that logged in
        self.refused = 0  # logins with another password
        self.most = 0  # connections at the same time
        self._now = 0
        self.deletions = 0
        self.cut_after: int | None = None  # messages after which each connection is reset; None: never
        self.at: dict[int, Callable[[], None]] = {}  # what happens when so many messages were asked for, in all
        self.bursts: int | None = None  # messages that come at once, before the line is busy for a moment
        self._uidls = [unique_id(message) for message in self.messages]
        self._blocks = [b"+OK\r\n" + stuffed(message) for message in self.messages]
        super().__init__()

    @property
    def fetched(self) -> int:
        return sum(self.retrievals.values())

    def settled(self) -> int:
        """How many messages were asked for, when nobody is served any more: some may still be answered to a client that
        has died."""
        with self._changed:
            assert self._changed.wait_for(lambda: not self._open, 30)
        return self.fetched

    def serve(self, client: socket.socket) -> None:
        with self._changed:
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            client.sendall(b"+OK ready\r\n")
            with client.makefile("rb") as lines:
                self._answer(client, lines)
        finally:
            with self._changed:
                self._now -= 1

    def _answer(self, connection: socket.socket, lines: Iterable[bytes]) -> None:
        given = 0
        for line in lines:
            verb, *arguments = line.split()
            if verb == b"RETR":
                if self.cut_after is not None and given >= self.cut_after:
                    block = self._blocks[int(arguments[0]) - 1]
                    connection.sendall(block[: len(block) // 2])
                    reset(connection)
                    return
                given += 1
                if self.bursts is not None and given % self.bursts == 0:
                    select.select([], [], [], MOMENT)
                self.retrievals[int(arguments[0])] += 1
                self.at.pop(self.fetched, _nothing)()
                connection.sendall(self._blocks[int(arguments[0]) - 1])
                continue
            if verb == b"PASS" and arguments != [PASSWORD.encode()]:
                self.refused += 1
                connection.sendall(b"-ERR [AUTH] no\r\n")
                continue
            self.deletions += verb == b"DELE"
            self.sessions += verb == b"PASS"
            connection.sendall(self._said(verb))
            if verb == b"QUIT":
                return

    def _said(self, verb: bytes) -> bytes:
        if verb == b"CAPA":
            return _CAPABILITIES
        if verb == b"STAT":
            return b"+OK %d %d\r\n" % (len(self.messages), sum(map(len, self.messages)))
        if verb == b"LIST":
            return _listing(b"%d" % len(message) for message in self.messages)
        if verb == b"UIDL":
            return _listing(self._uidls)
        return b"+OK\r\n"


def _nothing() -> None: ...


def _listing(words: Iterable[bytes]) -> bytes:
    lines = [b"%d %s\r\n" % item for item in enumerate(words, 1)]
    return b"".join([b"+OK\r\n", *lines, b".\r\n"])
