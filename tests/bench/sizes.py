"""A large mailbox on mailferry and on Dovecot, with the same files, over a connection to each.

    tests/bench/run sizes [--messages 100000]

The first LOGIN and SELECT, in which a server reads what it does not know, and from then on the best of three.
"""

from __future__ import annotations

import argparse
import os
import socket
import time
from functools import partial

from tests.bench import corpus, ferry, idle
from tests.bench.ground import legacy_ground

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


def seen(n: int, _data: bytes) -> str:
    """Every third is unseen."""
    return f":2,{'S' if n % 3 else ''}"


def measure(messages: int) -> tuple[list[float], list[float]]:
    """mailferry's figures, and Dovecot's."""
    box = corpus.Box(messages, 400, 400)
    with legacy_ground({"big": partial(corpus.fill, box=box, seed=1, suffix=seen)}) as (ground, dovecot):
        root = ground.fresh("mailferry")
        idle.prepare(root, 1, messages=0)
        for path in (dovecot.maildir("big") / "cur").iterdir():
            os.link(path, ferry.maildir(root, "user0") / "cur" / path.name)
        with ferry.served(root, ferry.NOWHERE) as daemon:
            ours = figures(daemon.imap, f"user0@{ferry.DOMAIN}")
        return ours, figures(dovecot.imap, "big")


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests/bench/run sizes")
    parser.add_argument("--messages", type=int, default=100_000)
    options = parser.parse_args()
    ours, theirs = measure(options.messages)
    names = ["LOGIN and SELECT INBOX, the first time", *(command.decode() for command in COMMANDS)]
    print(f"{options.messages} messages {'':22} mailferry    Dovecot")
    for name, here, there in zip(names, ours, theirs, strict=True):
        print(f"{name:40} {here:8.3f} s {there:8.3f} s", flush=True)


if __name__ == "__main__":
    main()
