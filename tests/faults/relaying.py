"""A network between a daemon and a real legacy server, which counts what is asked for, and has its accidents."""

from __future__ import annotations

import re
import socket
from collections import Counter
from collections.abc import Callable
from typing import Final

from tests.legacy.threaded import Relay, reset

_RETR: Final = re.compile(rb"^RETR (\d+)\r$", re.MULTILINE)
_ROOM: Final = 8 * 1024  # octets
_SEGMENT: Final = 1460  # octets, as on a network


class Network(Relay):
    """Cuts no line of a command in two: clients send them whole."""

    def __init__(self, target: int) -> None:
        self.asked: Counter[int] = Counter()  # RETRs by message number
        self.connections = 0
        self.octets = 0  # that came from the server
        self.cut_every: int | None = None  # octets from the server after which a connection is reset
        self.at: dict[int, Callable[[], None]] = {}  # what happens when so many octets have come, in all
        super().__init__(target)

    def serve(self, client: socket.socket) -> None:
        with self._changed:
            self.connections += 1
        try:
            server = self.reached()
        except OSError:  # nobody listens there
            reset(client)
            return
        come = 0

        def down(data: bytes) -> bytes:
            nonlocal come
            come += len(data)
            self.octets += len(data)
            for octets in [octets for octets in self.at if octets <= self.octets]:
                self.at.pop(octets)()
            if self.cut_every is not None and come > self.cut_every:
                raise ConnectionResetError
            return data

        with self._held(server):
            self.pass_on(client, server, up=self._up, down=down, piece=4096)

    def reached(self) -> socket.socket:
        """With little room for what the server has sent and nobody has taken: else it would soon be done. The room at
        its own end grows with the size of a segment, which on loopback is 64 KB."""
        server = socket.socket()
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SEGMENT)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _ROOM)
        try:
            server.connect(("127.0.0.1", self.target))
        except OSError:
            server.close()
            raise
        return server

    def hang_up(self, end: socket.socket) -> None:
        reset(end)

    def _up(self, data: bytes) -> bytes:
        self.asked.update(int(number) for number in _RETR.findall(data))
        return data
