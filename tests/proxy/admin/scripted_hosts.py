"""Hosts that answer as a test wants them to, whatever they are asked: for `discover`, which meets strangers."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

Play = Callable[[socket.socket], None]  # with a connection


class ScriptedHost:
    """A context: a listener at 127.0.0.1. `context` has it speak TLS from the first byte."""

    def __init__(self, play: Play, context: ssl.SSLContext | None = None) -> None:
        self._play, self._context = play, context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self._over = threading.Event()
        self.connections = 0

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._over.set()
        socket.create_connection(self._listener.getsockname()).close()
        self._thread.join(10)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection:
                if self._over.is_set():
                    return
                self.connections += 1
                connection.settimeout(10)
                try:
                    if self._context is None:
                        self._play(connection)
                        continue
                    with self._context.wrap_socket(connection, server_side=True) as line:
                        self._play(line)
                except OSError:
                    continue


def lines(greeting: bytes, answers: dict[bytes, bytes]) -> Play:
    """A mail server of few words: an answer for each command, and a refusal of any other."""

    def play(connection: socket.socket) -> None:
        connection.sendall(greeting)
        with connection.makefile("rb") as stream:
            for command in stream:
                connection.sendall(answers.get(command.strip(), b"-ERR no\r\n"))

    return play


def page(answer: bytes) -> Play:
    """A web server that has read the request when it answers."""

    def play(connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            while stream.readline().strip():
                pass
        connection.sendall(answer)

    return play


def quiet(connection: socket.socket) -> None:
    """Says nothing until the other one is gone."""
    while connection.recv(4096):
        pass
