"""A running daemon as a stage for the programs of `tests.sessions`: real sockets, and notices that take their time."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from mailstore.maildir import folder_directory
from tests.legacy.dovecot import PASSWORD, Dovecot
from tests.peers.daemon import Daemon
from tests.sessions.asking import flag_list
from tests.sessions.hearing import Listed, Tagged, take, understood
from tests.sessions.model import Folder, Model

ANSWERED_WITHIN: Final = 30.0  # seconds; no answer takes so long but on a machine that stands still


class SocketWire:
    """A `tests.sessions.stage.Wire` over TCP."""

    def __init__(self, address: tuple[str, int], *, bytewise: bool = False) -> None:
        self._socket = socket.create_connection(address, timeout=ANSWERED_WITHIN)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._bytewise = bytewise
        self._received = bytearray()

    def send(self, data: bytes) -> None:
        for piece in [data[at : at + 1] for at in range(len(data))] if self._bytewise else [data]:
            self._socket.sendall(piece)

    def response(self) -> bytes:
        found = self.pending(ANSWERED_WITHIN)
        assert found is not None, f"no answer; there is {bytes(self._received)!r}"
        return found

    def pending(self, patience: float = 0) -> bytes | None:
        end = time.monotonic() + patience
        while (found := take(self._received)) is None and self._more(max(0, end - time.monotonic())):
            pass
        return found

    def line(self) -> bytes:
        while (end := self._received.find(b"\r\n")) < 0:
            assert self._more(ANSWERED_WITHIN), "no answer"
        line = bytes(self._received[:end])
        del self._received[: end + 2]
        return line

    def _more(self, patience: float) -> bool:
        """Wait for more to arrive. False when nothing did, or nothing will."""
        if not select.select([self._socket], [], [], patience)[0]:
            return False
        data = self._socket.recv(65_536)
        self._received += data
        return bool(data)

    def hang_up(self) -> None:
        self._socket.close()


class DaemonStage:
    """One user of a daemon, with an old mailbox that is empty."""

    prompt = False

    def __init__(self, daemon: Daemon, legacy: Dovecot, user: str) -> None:
        legacy.maildir(user)
        legacy.own()
        self._daemon = daemon
        self._user = user
        self._own: SocketWire | None = None

    def model(self) -> Model:
        """The account as it is after its first login: no mail, and folders for special uses."""
        model = Model()
        for line in self._ask(b'LIST "" *'):
            heard = understood(line)
            if isinstance(heard, Listed):
                model.folders.setdefault(heard.name.decode(), Folder(heard.name.decode()))
        return model

    def connect(self, protocol: str, *, bytewise: bool = False) -> SocketWire:
        return SocketWire(self._daemon.imap if protocol == "imap" else self._daemon.pop3, bytewise=bytewise)

    def credentials(self) -> tuple[bytes, bytes]:
        return f"{self._user}@123.com".encode(), PASSWORD.encode()

    def directory(self, folder: str) -> Path:
        name = folder_directory(folder)
        maildir = self._daemon.maildir(self._user)
        return maildir / name if name else maildir

    def deliver(self, folder: str, body: bytes, flags: Iterable[str]) -> None:
        self._ask(b"APPEND %b %b {%d+}\r\n%b" % (folder.encode(), flag_list(flags), len(body), body))

    def look(self, folder: str) -> None:
        self._ask(b"STATUS %b (MESSAGES)" % folder.encode())

    def restart(self) -> None:
        self.close()
        assert self._daemon.stop() == 0
        self._daemon.start()

    def close(self) -> None:
        if self._own is not None:
            with suppress(OSError):
                self._own.hang_up()
            self._own = None

    def _ask(self, command: bytes) -> list[bytes]:
        """A command of a session that has no mailbox selected; what came before its OK."""
        if self._own is None:
            self._own = SocketWire(self._daemon.imap)
            self._own.response()
            self._ask(b"LOGIN %b %b" % self.credentials())
        self._own.send(b"o " + command + b"\r\n")
        said: list[bytes] = []
        while True:
            response = self._own.response()
            heard = understood(response)
            if isinstance(heard, Tagged) and heard.tag == b"o":
                assert heard.status == b"OK", response
                return said
            said.append(response)
