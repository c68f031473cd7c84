"""The demo's old server: a POP3 server of RFC 1939 with a few hundred messages in memory.

It shares nothing with mailferry's own servers, so that comparing the two means something. Bytes go out as they
are, dot-stuffed; a message without a last line end gets one, which POP3 cannot do without. It runs in threads of
the demo's process, on the loopback interface.
"""

from __future__ import annotations

import contextlib
import hmac
import socket
import socketserver
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from proxy.cli.demo_mail import Sample


def as_sent(raw: bytes) -> bytes:
    """What a client has after taking the dots away again: the bytes, ended with CRLF (RFC 1939 3)."""
    return raw if raw.endswith(b"\r\n") else raw + b"\r\n"


def stuffed(raw: bytes) -> bytes:
    """A multi-line answer's lines and its end."""
    text = as_sent(raw)
    if text.startswith(b"."):
        text = b"." + text
    return text.replace(b"\r\n.", b"\r\n..") + b".\r\n"


class _Session(socketserver.StreamRequestHandler):
    """One connection."""

    server: _Server

    def handle(self) -> None:
        self.user = b""
        self.inside = False
        self._say(b"+OK old mail server ready")
        while line := self.rfile.readline(1_024):
            word, _, argument = line.strip().partition(b" ")
            command = word.decode("ascii", "replace").lower()
            answer = getattr(self, f"do_{command}", None)
            if answer is None or (not self.inside and command not in {"capa", "user", "pass", "quit"}):
                self._say(b"-ERR not now")
                continue
            answer(argument)
            if command == "quit":
                return

    def finish(self) -> None:
        with contextlib.suppress(OSError):  # the other side may be gone
            super().finish()

    def _say(self, line: bytes) -> None:
        self.wfile.write(line + b"\r\n")

    def _lines(self, first: bytes, lines: Sequence[bytes]) -> None:
        self.wfile.write(b"\r\n".join([first, *lines, b"."]) + b"\r\n")

    def _sizes(self) -> list[int]:
        return [len(as_sent(sample.raw)) for sample in self.server.mailbox]

    def _chosen(self, argument: bytes) -> Sample | None:
        number = int(argument) if argument.isdigit() else 0
        if 1 <= number <= len(self.server.mailbox):
            return self.server.mailbox[number - 1]
        self._say(b"-ERR no such message")
        return None

    def do_capa(self, _argument: bytes) -> None:
        self._lines(b"+OK", [b"USER", b"UIDL", b"TOP", b"PIPELINING"])

    def do_user(self, argument: bytes) -> None:
        self.user = argument
        self._say(b"+OK")

    def do_pass(self, argument: bytes) -> None:
        known_user, password = self.server.account
        self.inside = hmac.compare_digest(argument, password) and self.user == known_user
        self._say(b"+OK %d messages" % len(self.server.mailbox) if self.inside else b"-ERR [AUTH] wrong password")

    def do_stat(self, _argument: bytes) -> None:
        sizes = self._sizes()
        self._say(b"+OK %d %d" % (len(sizes), sum(sizes)))

    def do_list(self, argument: bytes) -> None:
        sizes = self._sizes()
        if not argument:
            self._lines(b"+OK", [b"%d %d" % item for item in enumerate(sizes, 1)])
        elif (sample := self._chosen(argument)) is not None:
            self._say(b"+OK %d %d" % (int(argument), len(as_sent(sample.raw))))

    def do_uidl(self, argument: bytes) -> None:
        if not argument:
            self._lines(b"+OK", [b"%d %s" % (n, s.uidl.encode()) for n, s in enumerate(self.server.mailbox, 1)])
        elif (sample := self._chosen(argument)) is not None:
            self._say(b"+OK %d %s" % (int(argument), sample.uidl.encode()))

    def do_retr(self, argument: bytes) -> None:
        sample = self._chosen(argument)
        if sample is not None:
            time.sleep(self.server.delay)
            self.wfile.write(b"+OK %d octets\r\n" % len(as_sent(sample.raw)) + stuffed(sample.raw))

    def do_top(self, argument: bytes) -> None:
        number, _, count = argument.partition(b" ")
        sample = self._chosen(number)
        if sample is not None:
            header, blank, body = as_sent(sample.raw).partition(b"\r\n\r\n")
            kept = body.split(b"\r\n")[: int(count) if count.isdigit() else 0]
            self.wfile.write(b"+OK\r\n" + stuffed(header + blank + b"\r\n".join(kept)))

    def do_dele(self, _argument: bytes) -> None:
        self.server.deletions += 1
        self._say(b"-ERR this mailbox is only shown")

    def do_noop(self, _argument: bytes) -> None:
        self._say(b"+OK")

    do_rset = do_noop

    def do_quit(self, _argument: bytes) -> None:
        self._say(b"+OK bye")


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int, mailbox: Sequence[Sample], account: tuple[bytes, bytes]) -> None:
        super().__init__(("127.0.0.1", port), _Session)
        self.mailbox = mailbox
        self.account = account
        self.delay = 0.0
        self.deletions = 0
        self.sockets: set[socket.socket] = set()

    def process_request(self, request: object, client_address: object) -> None:
        assert isinstance(request, socket.socket)
        self.sockets.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: object) -> None:
        assert isinstance(request, socket.socket)
        self.sockets.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that leaves is no event here."""


class OldServer:
    """The server, to be started and stopped. It keeps its port from one start to the next."""

    def __init__(self, mailbox: Sequence[Sample], user: str, password: str) -> None:
        self._mailbox = mailbox
        self._account = (user.encode(), password.encode())
        self._server: _Server | None = None
        self.port = 0
        self.deletions = 0

    def start(self) -> None:
        self._server = _Server(self.port, self._mailbox, self._account)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @contextmanager
    def slow(self, seconds: float) -> Iterator[None]:
        """Take so long before each message, as a server across the country would."""
        assert self._server is not None
        self._server.delay = seconds
        try:
            yield
        finally:
            self._server.delay = 0.0

    def stop(self) -> None:
        """Refuse connections and drop those that are open. Idempotent."""
        server, self._server = self._server, None
        if server is None:
            return
        server.shutdown()
        server.server_close()
        self.deletions += server.deletions
        for connection in list(server.sockets):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
