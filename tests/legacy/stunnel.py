"""TLS in front of a server that has none, as stunnel was put before popa3d: by the standard library's OpenSSL, which is
another one than mailferry's."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.legacy.certificates import Identity


class Stunnel:
    """Implicit TLS on `port`, passed on to the plain port `target`. `context` is to be changed before it is used."""

    def __init__(self, target: int, identity: Identity, folder: Path) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*identity.write(folder, "stunnel"))
        self._target = target
        self._ends: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for end in [self._listener, *self._ends]:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _start(self, what: object, *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=what, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()
        return thread

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):  # ssl.SSLError is one
            with self.context.wrap_socket(client, server_side=True) as secure:
                with socket.create_connection(("127.0.0.1", self._target)) as plain:
                    self._ends |= {secure, plain}
                    back = self._start(_pass_on, plain, secure)
                    _pass_on(secure, plain)
                    back.join()
                    self._ends -= {secure, plain}


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    """Until the end, and then it is the end for both."""
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
