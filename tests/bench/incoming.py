"""Mail handed in over LMTP, at mailferry and at Dovecot, side by side in one run.

    tests/bench/run incoming [--connections 20] [--messages 2000] [--users 200] [--octets 5000] [--rounds 3]

As Postfix does it: connections that stay, each with one message after another, its commands in one piece. The messages
are spread over the users' inboxes. The servers take turns, a round each. The figures are of messages that are answered
in a second, and of processor time for each, which is the better one where the machine has other things to do: Dovecot's
processes get more of it than mailferry's one. The last line is the median of the rounds' ratios. `waiting` is
mailferry's for users who have not logged in yet. Dovecot keeps Maildirs with `mail_fsync = optimized`, its default:
what it has answered is on stable storage, its index need not be. mailferry's is.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from pathlib import Path

from mailstore.accounts import Accounts
from mailstore.database import AccountsDatabase
from tests.bench.ground import ground
from tests.bench.processor import processor_seconds
from tests.legacy.dovecot import Dovecot, free_port, program
from tests.peers.daemon import Daemon

LINE = b"It was not the last line that anybody would have to read of this, or so they said.\r\n"


class Receiving(Dovecot):
    """A Dovecot with LMTP at `lmtp`."""

    def __init__(self, root: Path) -> None:
        self.lmtp = free_port()
        super().__init__(root)

    def _configuration(self) -> str:
        found = super()._configuration().replace("protocols = pop3 imap", "protocols = pop3 imap lmtp")
        listener = f"  inet_listener lmtp {{\n    address = 127.0.0.1\n    port = {self.lmtp}\n  }}\n"
        return f"{found}service lmtp {{\n{listener}}}\nauth_username_format = %n\n"


async def _connection(port: int, users: list[str], messages: int, data: bytes, first: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await _reply(reader)
    writer.write(b"LHLO bench\r\n")
    await _reply(reader)
    for number in range(messages):
        user = users[(first + number) % len(users)].encode()
        writer.write(b"MAIL FROM:<a@example.com>\r\nRCPT TO:<" + user + b"@123.com>\r\nDATA\r\n")
        for wanted in (b"250", b"250", b"354"):
            assert (said := await _reply(reader)).startswith(wanted), said
        writer.write(data)
        assert (said := await _reply(reader)).startswith(b"250"), said
    writer.close()


async def _reply(reader: asyncio.StreamReader) -> bytes:
    while (line := await reader.readline())[3:4] == b"-":
        pass
    return line


async def _all(port: int, connections: int, messages: int, users: list[str], data: bytes) -> float:
    each = messages // connections
    began = time.monotonic()
    await asyncio.gather(*(_connection(port, users, each, data, n * 7919) for n in range(connections)))
    return each * connections / (time.monotonic() - began)


def _round(server: int, port: int, options: argparse.Namespace, users: list[str]) -> tuple[float, float]:
    """Messages a second, handed in by another process; and what each costs the server, in milliseconds."""
    before = processor_seconds(server)
    command = [sys.executable, "-m", "tests.bench.incoming", "--client", str(port), ",".join(users)]
    command += [f"--{name}={getattr(options, name)}" for name in ("connections", "messages", "octets")]
    rate = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    messages = options.messages // options.connections * options.connections
    return rate, (processor_seconds(server) - before) / messages * 1000


def _compare(options: argparse.Namespace) -> None:
    moved = [f"user{n}" for n in range(options.users)]
    waiting = [f"waiting{n}" for n in range(options.users)]
    with ground() as place:
        legacy = Receiving(place.fresh("dovecot"))
        for user in moved:
            legacy.maildir(user)
        legacy.own()
        port = free_port()
        root = place.fresh("ferry")
        listen = f'lmtp = ["tcp:{port}:interface=127.0.0.1"]'
        ports = {"imap": free_port()}
        daemon = Daemon(root, f'port = {legacy.pop3}\ntls = "none"', ports=ports, listen=listen, encrypted=False)
        database = AccountsDatabase(root / "state" / "accounts.db")
        accounts = Accounts(database)
        for user in (*moved, *waiting):
            account = accounts.add(user, "123.com")
            if user in moved:
                accounts.moved(account.id)
        database.close()
        try:
            daemon.start()
            assert daemon.process is not None
            ratios = []
            for _ in range(options.rounds):
                theirs = _round(legacy.process.pid, legacy.lmtp, options, moved)
                ours = _round(daemon.process.pid, port, options, moved)
                later = _round(daemon.process.pid, port, options, waiting)
                ratios.append((ours[0] / theirs[0], theirs[1] / ours[1]))
                said = zip(("Dovecot", "mailferry", "waiting"), (theirs, ours, later), strict=True)
                print("  ".join(f"{who} {rate:.0f}/s {cost:.2f} ms" for who, (rate, cost) in said))
            rates, costs = zip(*ratios, strict=True)
            print(f"median ratio {statistics.median(rates):.2f}, of processor time {statistics.median(costs):.2f}")
        finally:
            daemon.stop()
            legacy.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--client", nargs=2, help=argparse.SUPPRESS)
    for name, usual in (("connections", 20), ("messages", 2000), ("users", 200), ("octets", 5000), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    options = parser.parse_args()
    if options.client:
        port, users = options.client
        data = b"Subject: bench\r\n\r\n" + LINE * max(1, options.octets // len(LINE)) + b".\r\n"
        print(asyncio.run(_all(int(port), options.connections, options.messages, users.split(","), data)))
        return
    if program() is None or not Path("/usr/lib/dovecot/lmtp").exists():
        sys.exit("install dovecot-pop3d, dovecot-imapd and dovecot-lmtpd first")
    _compare(options)


if __name__ == "__main__":
    main()
