"""A first login that waits for nothing (`login = "serve"`), at a large mailbox far away.

    tests/bench/run serve [--messages 50000] [--rtt 100] [--whole]

A client logs in for the first time and asks for what mail programs show first: LOGIN, SELECT, the newest 50 messages
(FLAGS, INTERNALDATE, RFC822.SIZE, ENVELOPE), the newest message's body, and one out of the middle that nobody has
fetched yet. Seconds since the connection was made. `--whole`: then wait until all mail is here.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from tests.bench import corpus
from tests.bench.ferry import served
from tests.legacy.dovecot import Dovecot, free_port, program

HERE = Path(__file__).parent
SCREEN = 50

_CONFIGURATION = """
hostname = "localhost"
state = "{state}"
[listen]
imap = ["tcp:{imap}:interface=127.0.0.1"]
[migration]
login = "serve"
[domain."bench.example".legacy]
host = "127.0.0.1"
port = {legacy}
tls = "none"
"""


def fill(maildir: Path, count: int) -> None:
    """A mailbox as a Maildir that Dovecot knows the sizes of, as one that has been in use for long has."""
    random_ = Random("serve")
    for n in range(count):
        data = corpus.message(random_, n, random_.randint(1_000, 5_000))
        sizes = f"S={len(data)},W={len(data) + data.count(10)}"
        (maildir / "cur" / f"{1230768000 + n * 3600}.M{n}P1.bench,{sizes}:2,").write_bytes(data)


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
    client.ask("LOGIN far@bench.example pass")
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
        if figures["domains"]["bench.example"]["moved"]:
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
    if program() is None:
        sys.exit("install dovecot-pop3d and dovecot-imapd first")
    root = Path(tempfile.mkdtemp(prefix="bench.", dir="/tmp"))
    legacy = Dovecot(root)
    try:
        fill(legacy.maildir("far"), options.messages)
        legacy.own()
        with socket.create_connection(("127.0.0.1", legacy.pop3), timeout=600) as old, old.makefile("rb") as lines:
            for command in (
                b"",
                b"USER far\r\n",
                b"PASS pass\r\n",
                b"STAT\r\n",
                b"QUIT\r\n",
            ):  # it has its index by now
                old.sendall(command)
                lines.readline()
        hop = subprocess.Popen(
            [sys.executable, str(HERE / "delay.py"), str(legacy.pop3), str(options.rtt)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert hop.stdout is not None
        far, imap = int(hop.stdout.readline()), free_port()
        ferry = root / "ferry"
        ferry.mkdir()
        print(f"{options.messages:,} messages, {options.rtt:g} ms round trip", flush=True)
        with served(ferry, _CONFIGURATION.format(state=ferry / "state", imap=imap, legacy=far), imap):
            first_screen(imap, options.messages)
            if options.whole:
                until_moved(ferry / "mailferry.toml")
        hop.communicate("")
        sys.stdout.write(
            "".join(f"  {line}\n" for line in (ferry / "log").read_text().splitlines() if '"warning"' in line)
        )
    finally:
        legacy.stop()
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
