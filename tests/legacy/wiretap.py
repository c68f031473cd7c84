"""A relay in front of a legacy server that keeps what the client says: what was asked of the server, and how often."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self


@dataclass
class Heard:
    """One connection: what the client has sent, and whether it is over."""

    said: bytearray = field(default_factory=bytearray)
    over: bool = False

    @property
    def verbs(self) -> list[bytes]:
        """The first word of each line, in capitals."""
        return [line.split(b" ")[0].upper() for line in bytes(self.said).split(b"\r\n") if line]


class Wiretap:
    """Passes connections on to the port `target` on 127.0.0.1, a thread each. Close it.

    `hidden` is left out of what the server says, where it comes in one piece.
    """

    def __init__(self, target: int, hidden: bytes = b"") -> None:
        self.hidden = hidden
        self.sessions: list[Heard] = []
        self.target = target
        self._news = threading.Condition()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()
        with self._news:
            for end in self._open:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def asked(self, verb: bytes, since: int = 0) -> int:
        """How often a command was sent, in the sessions from number `since` on."""
        with self._news:
            return sum(session.verbs.count(verb) for session in self.sessions[since:])

    def wait(self, condition: Callable[[list[Heard]], bool], seconds: float = 30.0) -> None:
        """Until what was heard is as it should be. Raises AssertionError when that takes too long."""
        with self._news:
            came = self._news.wait_for(lambda: condition(self.sessions), seconds)
            assert came, [session.verbs for session in self.sessions]

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            heard = Heard()
            thread = threading.Thread(target=self._pass_on, args=(client, heard), daemon=True)
            with self._news:
                self.sessions.append(heard)
            self._threads.append(thread)
            thread.start()

    def _pass_on(self, client: socket.socket, heard: Heard) -> None:
        try:
            with client, socket.create_connection(("127.0.0.1", self.target)) as server:
                ends = {client, server}
                with self._news:
                    self._open |= ends
                try:
                    self._relay(client, server, heard)
                finally:
                    with self._news:
                        self._open -= ends
        except OSError:
            pass  # one end has gone, or the server was not there
        finally:
            with self._news:
                heard.over = True
                self._news.notify_all()

    def _relay(self, client: socket.socket, server: socket.socket, heard: Heard) -> None:
        with selectors.DefaultSelector() as ready:
            ready.register(client, selectors.EVENT_READ, server)
            ready.register(server, selectors.EVENT_READ, client)
            while True:
                for key, _ in ready.select():
                    end, other = key.fileobj, key.data
                    assert isinstance(end, socket.socket)
                    data = end.recv(65_536)
                    if not data:
                        return
                    if end is server and self.hidden:
                        data = data.replace(self.hidden, b"")
                    elif end is client:
                        with self._news:
                            heard.said += data
                            self._news.notify_all()
                    other.sendall(data)
