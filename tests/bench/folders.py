"""First logins over IMAP, beside the same over POP3 and what the line and the legacy server give at most.

    tests/bench/run folders [--box small] [--rtt 0 20 100]

"the wire" is one `UID FETCH 1:* (BODY.PEEK[])` over a plain socket, whose answer is thrown away: no listing, no file,
no barrier, no index.
"""

from __future__ import annotations

import argparse
import socket
import time
from pathlib import Path

from tests.bench import corpus
from tests.bench.ferry import served
from tests.bench.ground import legacy_ground
from tests.bench.hop import away
from tests.legacy.dovecot import PASSWORD


def wire(port: int, user: str) -> float:
    """Seconds from the connection to the last octet."""
    begun = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        commands = (f"a LOGIN {user} {PASSWORD}", "b EXAMINE INBOX", "c UID FETCH 1:* (UID BODY.PEEK[])")
        for command in commands:
            connection.sendall(command.encode() + b"\r\n")
            last = b""
            while f"\r\n{command[0]} OK".encode() not in last:
                data = connection.recv(1 << 18)
                assert data, "the connection was closed"
                last = (last + data)[-4096:] if command[0] == "c" else last + data
    return time.perf_counter() - begun


def login(root: Path, user: str, pop3: int, imap: int | None) -> tuple[float, int]:
    """Seconds, and MiB by which the process grew."""
    source = f'source = "imap"\nimap_port = {imap}' if imap is not None else ""
    with served(root, pop3, old=source) as ferry:
        idle = ferry.memory("VmRSS")
        return ferry.login(user), ferry.memory("VmHWM") - idle


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests/bench/run folders", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--box", nargs="+", default=["small"], choices=sorted(corpus.BOXES), metavar="BOX")
    parser.add_argument("--rtt", nargs="+", type=float, default=[0.0, 20.0, 100.0], metavar="MILLISECONDS")
    chosen = parser.parse_args()
    with legacy_ground(corpus.boxes(chosen.box)) as (ground, legacy):
        print("box    round trip   over IMAP  memory   over POP3    the wire")
        for box in chosen.box:
            wire(legacy.imap, box)  # Dovecot has its index from here on
            for rtt in chosen.rtt:
                with away(legacy.imap, rtt) as imap, away(legacy.pop3, rtt) as pop3:
                    least = wire(imap, box)
                    took, grown = login(ground.fresh("imap"), box, pop3, imap)
                    over_pop3, _ = login(ground.fresh("pop3"), box, pop3, None)
                print(
                    f"{box:<6} {rtt:5.0f} ms   {took:7.2f} s {grown:+4} MiB   {over_pop3:7.2f} s   {least:7.2f} s",
                    flush=True,
                )


if __name__ == "__main__":
    main()
