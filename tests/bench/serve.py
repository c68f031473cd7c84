"""A first login that waits for nothing (`login = "serve"`), at a large mailbox far away.

    tests/bench/run serve [--messages 50000] [--rtt 100] [--whole]

A client logs in for the first time and asks for what mail programs show first: LOGIN, SELECT, the newest 50 messages
(FLAGS, INTERNALDATE, RFC822.SIZE, ENVELOPE), the newest message's body, and one out of the middle that nobody has
fetched yet. Seconds since the connection was made. `--whole`: then wait until all mail is here.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from tests.bench import corpus
from tests.bench.ferry import DOMAIN, served
from tests.bench.ground import legacy_ground
from tests.bench.hop import away
from tests.legacy.dovecot import PASSWORD

USER = "far"
SCREEN = 50

_SETTINGS = """
[migration]
login = "serve"
"""


def sizes(_n: int, data: bytes) -> str:
    """What Dovecot knows of a message's octets by its name, where a mailbox has been in use for long."""
    return f",S={len(data)},W={len(data) + data.count(10)}:2,"


class Client:
    """Says a line and reads up to its tagged answer."""

    def __init__(self, port: int) -> None:
        self._begun = time.perf_counter()
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=600)
        self._lines = self._socket.makefile("rb")
        self._lines.readline()
        self._tags = 0

    @property
    def elapsed(self) -> float:
        return time.perf_counter() - self._begun

    def ask(self, command: str) -> bytes:
        self._tags += 1
        tag = b"t%d " % self._tags
        self._socket.sendall(tag + command.encode() + b"\r\n")
        said = b""
        while True:
            line = self._lines.readline()
            assert line, "the connection was closed"
            said += line
            if line.startswith(tag):
                assert line.startswith(tag + b"OK"), line
                return said

    def close(self) -> None:
        self._lines.close()
        self._socket.close()


def first_screen(port: int, count: int) -> None:
    client = Client(port)
    client.ask(f"LOGIN {USER}@{DOMAIN} {PASSWORD}")
    print(f"{'login':<28}{client.elapsed:6.2f} s", flush=True)
    client.ask("SELECT INBOX")
    print(f"{'mailbox selected':<28}{client.elapsed:6.2f} s", flush=True)
    said = client.ask(f"FETCH {max(1, count - SCREEN + 1)}:{count} (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)")
    assert said.count(b" FETCH (") == min(SCREEN, count), said[-200:]
    print(f"{'first screen':<28}{client.elapsed:6.2f} s", flush=True)
    client.ask(f"FETCH {count} BODY[]")
    print(f"{'body of the newest':<28}{client.elapsed:6.2f} s", flush=True)
    before = client.elapsed
    client.ask(f"FETCH {max(1, count // 3)} BODY[]")
    print(f"{'one out of the middle, after':<28}{client.elapsed - before:6.2f} s", flush=True)
    before = client.elapsed
    client.ask(f"FETCH 1:{min(SCREEN, count)} (INTERNALDATE ENVELOPE)")
    print(f"{'the oldest screen, after':<28}{client.elapsed - before:6.2f} s", flush=True)
    client.close()


def until_moved(config: Path) -> None:
    begun = time.perf_counter()
    command = [sys.executable, "-m", "proxy.cli.main", "status", "--json", "--config", str(config)]
    while True:
        figures = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        if figures["domains"][DOMAIN]["moved"]:
            break
        time.sleep(1)
    print(f"{'all mail is here, after':<28}{time.perf_counter() - begun:6.2f} s more")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="tests/bench/run serve", description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument("--messages", type=int, default=50_000)
    parser.add_argument("--rtt", type=float, default=100.0, metavar="MILLISECONDS")
    parser.add_argument("--whole", action="store_true")
    options = parser.parse_args()
    mailboxes = {USER: partial(corpus.fill, box=corpus.Box(options.messages, 1_000, 5_000), seed="serve", suffix=sizes)}
    with legacy_ground(mailboxes) as (ground, legacy):
        with socket.create_connection(("127.0.0.1", legacy.pop3), timeout=600) as old, old.makefile("rb") as lines:
            for command in ("", f"USER {USER}\r\n", f"PASS {PASSWORD}\r\n", "STAT\r\n", "QUIT\r\n"):
                old.sendall(command.encode())  # it has its index by now
                lines.readline()
        print(f"{options.messages:,} messages, {options.rtt:g} ms round trip", flush=True)
        with away(legacy.pop3, options.rtt) as far, served(ground.fresh("mailferry"), far, tables=_SETTINGS) as ferry:
            first_screen(ferry.imap, options.messages)
            if options.whole:
                until_moved(ferry.config)
        sys.stdout.write("".join(f"  {line}\n" for line in ferry.log.read_text().splitlines() if '"warning"' in line))


if __name__ == "__main__":
    main()
