"""A network between a daemon and a real legacy server, which counts what is asked for, and has its accidents."""

from __future__ import annotations

import re
import socket
import threading
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Final

from tests.faults.standing import reset

_RETR: Final = re.compile(rb"^RETR (\d+)\r$", re.MULTILINE)


class Relay:
    """Use as a context. Cuts no line of a command in two: clients send them whole."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.asked: Counter[int] = Counter()  # RETRs by message number
        self.connections = 0
        self.octets = 0  # that came from the server
        self.cut_every: int | None = None  # octets from the server after which a connection is reset
        self.at: dict[int, Callable[[], None]] = {}  # what happens when so many octets have come, in all
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._begin(self._accept)

    def __enter__(self) -> Relay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.drop()
        for thread in list(self._threads):
            thread.join(10)

    def drop(self) -> None:
        """What is still on its way does not come."""
        with self._lock:
            for each in self._open:
                reset(each)

    def _begin(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            try:
                server = self._connected()
            except OSError:  # nobody listens there
                reset(client)
                client.close()
                continue
            with self._lock:
                self._open |= {client, server}
            self._begin(self._up, client, server)
            self._begin(self._down, client, server)

    def _connected(self) -> socket.socket:
        """With little room for what the server has sent and nobody has taken: else it would soon be done. The room at
        its own end grows with the size of a segment, which on loopback is 64 KB: there a network's."""
        server = socket.socket()
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1460)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * 1024)
        try:
            server.connect(("127.0.0.1", self.target))
        except OSError:
            server.close()
            raise
        return server

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        try:
            while data := client.recv(1 << 16):
                self.asked.update(int(number) for number in _RETR.findall(data))
                server.sendall(data)
        except OSError:
            pass
        self._over(client, server)

    def _down(self, client: socket.socket, server: socket.socket) -> None:
        come = 0
        try:
            while data := server.recv(4096):
                come += len(data)
                self.octets += len(data)
                for octets in [octets for octets in self.at if octets <= self.octets]:
                    self.at.pop(octets)()
                if self.cut_every is not None and come > self.cut_every:
                    break
                client.sendall(data)
        except OSError:
            pass
        self._over(client, server)

    def _over(self, *ends: socket.socket) -> None:
        with self._lock:
            for end in ends:
                if end in self._open:
                    reset(end)
                    self._open.discard(end)
                    end.close()
