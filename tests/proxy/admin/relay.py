"""A mail server for tests that takes notices, or refuses them as it is told, in threads of its own."""

from __future__ import annotations

import base64
import socketserver
import ssl
import threading
from collections import defaultdict, deque
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, Self


@dataclass
class Taken:
    """One message that it took."""

    sender: str
    recipient: str
    parameters: str
    octets: bytes
    connection: int
    encrypted: bool

    @property
    def message(self) -> EmailMessage:
        found = message_from_bytes(self.octets, policy=policy.default)
        assert isinstance(found, EmailMessage)
        return found


@dataclass
class Relay:
    """A context. `answers` are by recipient or verb, each used once, in order; "drop" closes the connection, and "hold"
    waits until `go` is set. "." is the end of a message's content."""

    extensions: tuple[str, ...] = ("8BITMIME", "SMTPUTF8")
    answers: dict[str, deque[str]] = field(default_factory=lambda: defaultdict(deque))
    login: tuple[str, str] | None = None
    tls: ssl.SSLContext | None = None
    taken: list[Taken] = field(default_factory=list)
    connections: int = 0
    greeting: str = "220 relay ready"
    injects: str = ""  # said in plaintext, in the same segment as the yes to STARTTLS

    def __enter__(self) -> Self:
        self.go, self.held = threading.Event(), threading.Event()
        relay = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                _Conversation(relay, self).run()

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
        self._server.daemon_threads, self._server.block_on_close = True, False
        self._server.server_bind()
        self._server.server_activate()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    def say(self, what: str, *answers: str) -> None:
        self.answers[what].extend(answers)

    def close(self) -> None:
        self.go.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __exit__(self, *_error: object) -> None:
        if self._thread.is_alive():
            self.close()

    @property
    def recipients(self) -> list[str]:
        return [one.recipient for one in self.taken]


class _Dropped(Exception):
    """The connection is to be closed without a word."""


class _Conversation:
    """One connection."""

    def __init__(self, relay: Relay, handler: Any) -> None:
        relay.connections += 1
        self._relay = relay
        self._number = relay.connections
        self._socket, self._lines = handler.connection, handler.rfile
        self._encrypted = self._in = False
        self._sender = self._recipient = self._parameters = ""

    def run(self) -> None:
        try:
            self._answer(self._relay.greeting)
            while line := self._lines.readline():
                text = line.decode().rstrip("\r\n")
                verb = text.partition(" ")[0].upper()
                if verb == "QUIT":
                    self._answer("221 bye")
                    return
                getattr(self, f"_do_{verb.lower()}", self._unknown)(text)
        except (_Dropped, OSError):
            pass
        finally:
            self._socket.close()

    def _answer(self, text: str) -> None:
        self._socket.sendall(f"{text}\r\n".encode())

    def _scripted(self, what: str, usual: str) -> str:
        said = self._relay.answers[what]
        answer = said.popleft() if said else usual
        if answer == "hold":
            self._relay.held.set()
            self._relay.go.wait()
            raise _Dropped
        if answer == "drop":
            raise _Dropped
        return answer

    def _unknown(self, _text: str) -> None:
        self._answer("500 what?")

    def _do_ehlo(self, _text: str) -> None:
        relay = self._relay
        extensions = [*relay.extensions]
        if relay.tls is not None and not self._encrypted:
            extensions.append("STARTTLS")
        if relay.login is not None:
            extensions.append("AUTH PLAIN")
        lines = ["relay", *extensions]
        self._answer("\r\n".join(f"250{'-' if n < len(lines) else ' '}{line}" for n, line in enumerate(lines, 1)))

    def _do_starttls(self, _text: str) -> None:
        assert self._relay.tls is not None
        self._answer(f"220 go ahead\r\n{self._relay.injects}".removesuffix("\r\n"))
        self._socket = self._relay.tls.wrap_socket(self._socket, server_side=True)
        self._lines, self._encrypted = self._socket.makefile("rb"), True

    def _do_auth(self, text: str) -> None:
        assert self._relay.login is not None
        given = base64.b64decode(text.rpartition(" ")[2]).decode().split("\0")[1:]
        self._in = given == list(self._relay.login)
        self._answer("235 welcome" if self._in else "535 no")

    def _do_mail(self, text: str) -> None:
        self._sender = text.partition("<")[2].partition(">")[0]
        self._parameters = text.partition(">")[2].strip()
        needs = self._relay.login is not None and not self._in
        self._answer(self._scripted("MAIL", "530 log in first" if needs else "250 ok"))

    def _do_rcpt(self, text: str) -> None:
        self._recipient = text.partition("<")[2].partition(">")[0]
        self._answer(self._scripted(self._recipient, "250 ok"))

    def _do_rset(self, _text: str) -> None:
        self._answer("250 ok")

    def _do_data(self, _text: str) -> None:
        answer = self._scripted("DATA", "354 go on")
        self._answer(answer)
        if not answer.startswith("354"):
            return
        lines: list[bytes] = []
        while (line := self._lines.readline()) not in {b".\r\n", b""}:
            lines.append(line.removeprefix(b"."))
        answer = self._scripted(".", "250 taken")
        if answer.startswith("250"):
            whole = b"".join(lines)
            taken = Taken(self._sender, self._recipient, self._parameters, whole, self._number, self._encrypted)
            self._relay.taken.append(taken)
        self._answer(answer)
