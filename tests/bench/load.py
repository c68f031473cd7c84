"""A mixed load on mailferry and on Dovecot, side by side in one run, with the same messages.

    tests/bench/run load [--clients 20] [--seconds 5] [--rounds 3] [--shared]

Each client logs in, asks for LIST and STATUS, selects INBOX, fetches headers and bodies, changes flags, appends a
message, deletes one, expunges and logs out; then again from the beginning. Every client has an account of its own;
with `--shared` two have one. The servers take turns, a round each, so that what else the machine does meets both.
The figure is of commands completed in a second; the last line is the median of the rounds' ratios. Beside it is what a
command cost in processor time, which is the better figure where the machine has other things to do.

Dovecot keeps Maildirs with `mail_fsync = optimized`, its default: APPEND's message is on stable storage when it is
answered, flags and expunges need not be. mailferry's are all. Dovecot compares a password in plain text; mailferry
hashes it at the first login and remembers for some minutes that it was right.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
from functools import partial
from pathlib import Path

from tests.bench import corpus
from tests.bench.ferry import DOMAIN, served
from tests.bench.ground import legacy_ground

Counted = dict[str, float]

MESSAGES = 100  # in each account at the beginning; each cycle adds one and removes one

_SETTINGS = """
[migration]
refresh = "1d"
"""


def processor_seconds(root: int) -> float:
    """What a process, its children, and those of them that have ended have used."""
    used: dict[int, tuple[int, int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            used[int(path.parent.name)] = int(fields[1]), sum(map(int, fields[11:15]))
    family: set[int] = set()
    found = {root}
    while found:
        family |= found
        found = {pid for pid, (parent, _) in used.items() if parent in family} - family
    return sum(used[pid][1] for pid in family if pid in used) / os.sysconf("SC_CLK_TCK")


def _round(server: subprocess.Popen[bytes], port: int, users: list[str], clients: int, seconds: float) -> Counted:
    before = processor_seconds(server.pid)
    counted = _client(port, users, clients, seconds=seconds)
    return counted | {"server": processor_seconds(server.pid) - before}


def _client(port: int, users: list[str], clients: int, *, seconds: float) -> Counted:
    """The clients as a process of their own: `load_clients`. Gives back what it counted."""
    command = [sys.executable, "-m", "tests.bench.load_clients", str(port), str(clients), str(seconds), *users]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    counted: Counted = json.loads(done.stdout)
    return counted


def _say(name: str, counted: Counted) -> float:
    pace = counted["commands"] / counted["seconds"]
    slow = {key: value for key, value in counted.items() if key.startswith("ms ")}
    most = sorted(slow.items(), key=lambda item: -item[1])[:4]
    times = ", ".join(f"{key.removeprefix('ms ')} {value:.1f} ms" for key, value in most)
    cost = 1e6 * counted["server"] / counted["commands"]
    busy = counted["generator"] / counted["seconds"]
    print(
        f"  {name:<10} {pace:7.0f} commands/s   {cost:5.0f} µs each   generator {busy:4.0%}   slowest: {times}",
        flush=True,
    )
    return pace


def measure(options: argparse.Namespace) -> float:
    """All rounds; gives back the median ratio."""
    accounts = options.clients // 2 if options.shared else options.clients
    users = [f"load{n}" for n in range(accounts)]
    addresses = [f"{user}@{DOMAIN}" for user in users]
    box = corpus.Box(options.messages, 1_000, 6_000)
    mailboxes = {user: partial(corpus.fill, box=box, seed=user) for user in users}
    with legacy_ground(mailboxes) as (ground, dovecot):
        with served(ground.fresh("mailferry"), dovecot.pop3, tables=_SETTINGS, old="connections = 60") as ferry:
            _client(ferry.imap, addresses, 0, seconds=0.0)  # first logins: the mail comes over
            print(
                f"{options.clients} clients, {accounts} accounts of {options.messages} messages, {os.cpu_count()} cores"
            )
            ratios = []
            for n in range(options.rounds + 1):  # the first warms both up
                seconds = options.seconds if n else 1.0
                pace = {
                    "mailferry": _round(ferry.process, ferry.imap, addresses, options.clients, seconds),
                    "dovecot": _round(dovecot.process, dovecot.imap, users, options.clients, seconds),
                }
                if n:
                    ours, theirs = (_say(name, counted) for name, counted in pace.items())
                    ratios.append(ours / theirs)
    return statistics.median(ratios)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="tests/bench/run load", description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--messages", type=int, default=MESSAGES)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shared", action="store_true", help="two clients to an account")
    options = parser.parse_args(arguments)
    print(f"mailferry to Dovecot: {measure(options):.2f}×")


if __name__ == "__main__":
    main()
