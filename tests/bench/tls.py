"""Large bodies over TLS against the same without it, and against what the TLS library can do on this machine.

    tests/bench/run tls [--rounds 5] [--mib 1000]

A message of 1 MiB is fetched again and again over one connection, by IMAP's FETCH and POP3's RETR, by a client that
throws away what it reads. The library's own part is that of a program of a few lines that sends as many octets in
pieces as large, with Twisted and the same settings, over TLS and without it (`tls_bare.py`). Each round measures all
of it, one after the other; the figures are medians. What a MiB costs the server is processor time, which other
programs on the machine and the client, who has to decrypt, change little; wanted is that TLS serves at least 0.8 times
as much for the same, or as much as it would if it cost no more than the library takes.
"""

from __future__ import annotations

import argparse
import socket
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from tests.bench.ground import ground
from tests.faults.stage import Stage

MIB = 1024 * 1024
WANTED = 0.8
TOLERANCE = 0.9  # of what is measured
MESSAGE = b"Subject: large\r\n\r\n" + (b"0123456789" * 7 + b"abcdef\r\n") * (MIB // 78)


class Client:
    """Takes in what comes, and throws it away."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._room = bytearray(256 * 1024)
        self.heard(b"")

    def ask(self, line: bytes, last: bytes) -> None:
        self._end.sendall(line)
        self.heard(last)

    def heard(self, last: bytes) -> None:
        """Up to a line that begins so."""
        tail = b""
        while True:
            came = self._end.recv_into(self._room)
            assert came, "the connection was closed"
            tail = (tail + self._room[max(0, came - 1000) : came])[-1000:]
            if tail.endswith(b"\r\n") and b"\r\n" + last in b"\r\n" + tail:
                return


def connected(port: int, trust: ssl.SSLContext | None) -> socket.socket:
    end = socket.create_connection(("127.0.0.1", port), 60)
    return end if trust is None else trust.wrap_socket(end, server_hostname="localhost")


def imap(client: Client) -> Callable[[], None]:
    client.ask(b"a LOGIN user0 pass\r\n", b"a OK")
    client.ask(b"a SELECT INBOX\r\n", b"a OK")
    return lambda: client.ask(b"d FETCH 1 BODY.PEEK[]\r\n", b"d OK")


def pop3(client: Client) -> Callable[[], None]:
    client.ask(b"USER user1\r\n", b"+OK")
    client.ask(b"PASS pass\r\n", b"+OK")
    return lambda: client.ask(b"RETR 1\r\n", b".\r\n")


def served(stage: Stage, service: str, trust: ssl.SSLContext | None, mib: int) -> tuple[float, float]:
    """MiB a second, and milliseconds of processor time for one."""
    with connected(stage.daemon.ports[service], trust) as end:
        fetch = (imap if service.startswith("imap") else pop3)(Client(end))
        fetch()
        before, begun = stage.taken().processor, time.perf_counter()
        for _ in range(mib):
            fetch()
        return mib / (time.perf_counter() - begun), 1000 * (stage.taken().processor - before) / mib


def bare(stage: Stage, trust: ssl.SSLContext | None, mib: int) -> tuple[float, float]:
    """The same of the library alone."""
    files = [] if trust is None else [str(stage.root / "server.pem"), str(stage.root / "server.key")]
    command = [sys.executable, "-m", "tests.bench.tls_bare", str(mib), *files]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        with connected(int(server.stdout.readline()), trust) as end:
            room, octets = bytearray(256 * 1024), 0
            begun = time.perf_counter()
            end.sendall(b"go")
            while octets < mib * MIB:
                octets += end.recv_into(room)
            took = time.perf_counter() - begun
            work = float(server.stdout.readline())
    return mib / took, work


def one_round(stage: Stage, mib: int) -> dict[str, tuple[float, float]]:
    found = {}
    for how, trust in (("plain", None), ("TLS", stage.daemon.trust())):
        found[f"FETCH {how}"] = served(stage, "imaps" if trust else "imap", trust, mib)
        found[f"RETR {how}"] = served(stage, "pop3s" if trust else "pop3", trust, mib)
        found[f"bare {how}"] = bare(stage, trust, mib)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/bench/run tls")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mib", type=int, default=1000)
    options = parser.parse_args()
    with ground() as place:
        with Stage(place.fresh("tls"), finals=("user0", "user1"), messages=[MESSAGE]) as stage:
            one_round(stage, 10)
            rounds = [one_round(stage, options.mib) for _ in range(options.rounds)]
            stage.legacy.drop()
    pace, work = ({name: statistics.median(r[name][at] for r in rounds) for name in rounds[0]} for at in (0, 1))
    more = work["bare TLS"] - work["bare plain"]
    print(
        f"the library: {pace['bare plain']:.0f} MiB/s, TLS {pace['bare TLS']:.0f} MiB/s; TLS takes {more:.2f} ms a MiB"
    )
    good = True
    for name in ("FETCH", "RETR"):
        plain, tls = work[f"{name} plain"], work[f"{name} TLS"]
        most = plain / (plain + more)
        good &= plain / tls >= TOLERANCE * min(WANTED, most)
        print(
            f"{name} of 1 MiB: {pace[f'{name} plain']:.0f} MiB/s, TLS {pace[f'{name} TLS']:.0f} MiB/s; "
            f"{plain:.2f} ms of processor time, TLS {tls:.2f} ms: {plain / tls:.2f}×, the library leaves {most:.2f}×"
        )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
