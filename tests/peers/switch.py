"""A host name that moves: one port that leads to the old server first, and to mailferry later.

Clients that keep their state by server, port and user see what they see when DNS moves: nothing but the address
behind the name is another one.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from types import TracebackType
from typing import Self


class Switch:
    """Passes connections on to `target` on 127.0.0.1, a thread each. Close it."""

    def __init__(self, target: int) -> None:
        self.target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass_on, args=(client, self.target), daemon=True).start()

    @staticmethod
    def _pass_on(client: socket.socket, target: int) -> None:
        with client, socket.create_connection(("127.0.0.1", target)) as server, selectors.DefaultSelector() as ready:
            ready.register(client, selectors.EVENT_READ, server)
            ready.register(server, selectors.EVENT_READ, client)
            while True:
                for key, _ in ready.select():
                    end, other = key.fileobj, key.data
                    assert isinstance(end, socket.socket)
                    try:
                        data = end.recv(65_536)
                        other.sendall(data)
                    except OSError:
                        return
                    if not data:
                        return
