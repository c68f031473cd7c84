"""How soon a change on one node is told on another: APPEND at one, EXISTS in IDLE at the other.

    tests/bench/run told [--times 200]

Two nodes upon one PostgreSQL and one tree of Maildirs. Measured is from the moment when the message is sent until the
session that idles at the other node has its EXISTS; and until the APPEND itself is answered, which waits for the disk.
The nodes take turns, so that each tells the other.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import sys
import time
from contextlib import ExitStack, closing
from functools import partial

from tests.bench import corpus
from tests.bench.ferry import DOMAIN
from tests.bench.ground import legacy_ground
from tests.bench.stores import postgresql
from tests.bench.two_nodes import two_nodes
from tests.legacy.dovecot import PASSWORD

WANTED = 0.05  # seconds, at the median
USER = "told"
_MESSAGE = b"From: a@example.org\r\nSubject: told\r\n\r\nA line.\r\n"


class Session:
    """One connection that waits for one line at a time."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._lines = self._socket.makefile("rb")
        self.until(b"* OK")
        self.ask(f"a LOGIN {USER}@{DOMAIN} {PASSWORD}".encode(), b"a OK")
        self.ask(b"a SELECT INBOX", b"a OK")

    def ask(self, line: bytes, start: bytes) -> None:
        self._socket.sendall(line + b"\r\n")
        self.until(start)

    def until(self, *starts: bytes, end: bytes = b"") -> float:
        """Wait for a line that begins so, and ends so; gives back when it came."""
        while not ((line := self._lines.readline()).startswith(starts) and line.rstrip().endswith(end)):
            if not line or line.startswith((b"a NO", b"a BAD")):
                raise SystemExit(f"unexpected: {line!r}")
        return time.perf_counter()

    def close(self) -> None:
        self._lines.close()
        self._socket.close()


def once(here: Session, there: Session) -> tuple[float, float]:
    """Seconds until it is told there, and until it is answered here."""
    there.ask(b"a IDLE", b"+")
    here.ask(b"a APPEND INBOX {%d}" % len(_MESSAGE), b"+")
    begun = time.perf_counter()
    here._socket.sendall(_MESSAGE + b"\r\n")
    told = there.until(b"* ", end=b"EXISTS") - begun
    answered = here.until(b"a OK") - begun
    there.ask(b"DONE", b"a OK")
    return told, answered


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/bench/run told")
    parser.add_argument("--times", type=int, default=200)
    options = parser.parse_args()
    mailboxes = {USER: partial(corpus.fill, box=corpus.Box(10, 300, 600), seed=USER)}
    with ExitStack() as stack:
        ground, legacy = stack.enter_context(legacy_ground(mailboxes))
        server = stack.enter_context(postgresql())
        nodes = stack.enter_context(two_nodes(ground, legacy.pop3, server))
        sessions = [stack.enter_context(closing(Session(node.imap))) for node in nodes]
        found = [once(sessions[n % 2], sessions[1 - n % 2]) for n in range(options.times)]
    told, answered = (sorted(times) for times in zip(*found, strict=True))
    slow = told[-max(1, len(told) // 20) :]
    median = statistics.median(told)
    print(
        f"told at the other node after {1000 * median:.1f} ms at the median, {1000 * slow[0]:.1f} ms and more in the "
        f"slowest twentieth, {1000 * told[-1]:.1f} ms at most; APPEND answered after "
        f"{1000 * statistics.median(answered):.1f} ms; {1000 * WANTED:g} ms is allowed"
    )
    return 0 if median < WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
