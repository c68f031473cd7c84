"""A large mailbox on mailferry and on Dovecot, with the same files, over a connection to each.

    tests/bench/run sizes [--messages 100000]

The first LOGIN and SELECT, in which a server reads what it does not know, and from then on the best of three.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import socket
import sys
import tempfile
import time
from pathlib import Path

from tests.bench import corpus, idle
from tests.bench.ferry import served
from tests.legacy.dovecot import Dovecot, free_port, program

COMMANDS = (b"SELECT INBOX", b"FETCH 1:* (FLAGS UID)", b"FETCH 1:5000 (ENVELOPE)", b"UID SEARCH UNSEEN")


class Client:
    def __init__(self, port: int, user: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._file = self._socket.makefile("rb", buffering=1 << 20)
        self._file.readline()
        self.login = self.ask(f"LOGIN {user} pass".encode())

    def ask(self, command: bytes) -> float:
        """Seconds until it is completed."""
        begun = time.perf_counter()
        self._socket.sendall(b"Zq " + command + b"\r\n")
        while not (line := self._file.readline()).startswith(b"Zq "):
            if not line:
                raise SystemExit("closed by the server")
        if not line.startswith(b"Zq OK"):
            raise SystemExit(f"unexpected: {line!r}")
        return time.perf_counter() - begun

    def close(self) -> None:
        self._socket.close()


def figures(port: int, user: str) -> list[float]:
    first = Client(port, user)
    found = [first.login + first.ask(COMMANDS[0])]
    for command in COMMANDS:
        first.ask(command)  # what is kept from then on
        found.append(min(first.ask(command) for _ in range(3)))
    first.close()
    return found


def measure(root: Path, messages: int) -> None:
    dovecot = Dovecot(root)
    random_, maildir = random.Random(1), dovecot.maildir("big")
    for n in range(messages):
        path = maildir / "cur" / f"{1230768000 + n}.M{n}P1.bench:2,{'S' if n % 3 else ''}"
        path.write_bytes(corpus.message(random_, n, 400))
    idle.prepare(root / "ferry", 1)
    ours = root / "ferry" / "mail" / idle.DOMAIN / "user0" / "Maildir"
    shutil.rmtree(ours / "new")
    (ours / "new").mkdir()
    for path in (maildir / "cur").iterdir():
        os.link(path, ours / "cur" / path.name)
    dovecot.own()
    port = free_port()
    settings = idle._CONFIGURATION.format(state=root / "ferry", imap=port, domain=idle.DOMAIN, workers=1, tls="")
    try:
        with served(root, settings, port):
            mailferry = figures(port, f"user0@{idle.DOMAIN}")
        beside = figures(dovecot.imap, "big")
    finally:
        dovecot.stop()
    names = ["LOGIN and SELECT INBOX, the first time", *(command.decode() for command in COMMANDS)]
    print(f"{messages} messages {'':22} mailferry    Dovecot")
    for name, here, there in zip(names, mailferry, beside, strict=True):
        print(f"{name:40} {here:8.3f} s {there:8.3f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests/bench/run sizes")
    parser.add_argument("--messages", type=int, default=100_000)
    options = parser.parse_args()
    if program() is None:
        sys.exit("install dovecot-pop3d and dovecot-imapd first")
    root = Path(tempfile.mkdtemp(prefix="sizes.", dir="/tmp"))
    try:
        measure(root, options.messages)
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
