"""Servers in threads, for clients that are processes of their own: one that answers by itself, or one in front of
another, which passes on what both sides say."""

from __future__ import annotations

import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self


class ThreadedServer(ABC):
    """A port on 127.0.0.1, and a thread for each connection to it. Use as a context, or `close` it.

    It serves from the end of `__init__` on, which a subclass calls last.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()  # to be held by whoever changes what several threads look at
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._accepting = self._begin(self._accept)

    @abstractmethod
    def serve(self, client: socket.socket) -> None:
        """One connection, which is closed behind it. An OSError is an end as good as any."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()
        self.drop()
        for thread in self._threads:
            thread.join(10)

    def drop(self) -> None:
        """Reset every connection: what is still on its way does not come."""
        with self._changed:
            for end in self._open:
                reset(end)

    @contextmanager
    def _held(self, end: socket.socket) -> Iterator[socket.socket]:
        """A socket that is open for the length of the block, or until `drop`."""
        with self._changed:
            self._open.add(end)
        try:
            yield end
        finally:
            with self._changed:
                self._open.discard(end)
                self._changed.notify_all()
            end.close()

    def _begin(self, work: Callable[..., None], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._changed:
                self._open.add(client)
            self._begin(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), self._held(client):
            self.serve(client)


def unchanged(data: bytes) -> bytes:
    return data


class Relay(ThreadedServer):
    """In front of the port `target` on 127.0.0.1."""

    def __init__(self, target: int) -> None:
        self.target = target
        super().__init__()

    def serve(self, client: socket.socket) -> None:
        with self._held(self.reached()) as server:
            self.pass_on(client, server)

    def reached(self) -> socket.socket:
        """A connection to the target. Raises OSError when nobody is there."""
        return socket.create_connection(("127.0.0.1", self.target))

    def pass_on(
        self,
        client: socket.socket,
        server: socket.socket,
        *,
        up: Callable[[bytes], bytes] = unchanged,
        down: Callable[[bytes], bytes] = unchanged,
        piece: int = 65_536,
    ) -> None:
        """Whatever both say, up to the end of either. `up` and `down` make of what came what goes on; an OSError from
        them ends the connection. At most `piece` octets of the server's come at once."""
        back = self._begin(self._one_way, server, client, down, piece)
        self._one_way(client, server, up, 65_536)
        back.join()

    def _one_way(
        self, source: socket.socket, target: socket.socket, through: Callable[[bytes], bytes], piece: int
    ) -> None:
        with suppress(OSError):
            while data := source.recv(piece):
                target.sendall(through(data))
        for end in (source, target):
            self.hang_up(end)

    def hang_up(self, end: socket.socket) -> None:
        """When the other end has gone."""
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def reset(connection: socket.socket) -> None:
    """RST, as of a machine that crashed."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.shutdown(socket.SHUT_RDWR)
