"""A mixed load on mailferry and on Dovecot, side by side in one run, with the same messages.

    tests/bench/run load [--clients 20] [--seconds 5] [--rounds 3] [--shared] [--database postgresql]

Each client logs in, asks for LIST and STATUS, selects INBOX, fetches headers and bodies, changes flags, appends a
message, deletes one, expunges and logs out; then again from the beginning. Every client has an account of its own;
with `--shared` two have one. The servers take turns, a round each, so that what else the machine does meets both.
The figure is of commands completed in a second; the last line is the median of the rounds' ratios. Beside it is what a
command cost in processor time, which is the better figure where the machine has other things to do.

With `--database postgresql` it is mailferry upon SQLite and upon PostgreSQL instead, and the figure beside the clock's
is what a command cost mailferry and what it cost the database's server. Where that is on a machine of its own, as it
is for several nodes, the latter takes nothing of a node.

Dovecot keeps Maildirs with `mail_fsync = optimized`, its default: APPEND's message is on stable storage when it is
answered, flags and expunges need not be. mailferry's are all. Dovecot compares a password in plain text; mailferry
hashes it at the first login and remembers for some minutes that it was right.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from tests.bench import corpus
from tests.bench.ferry import DOMAIN, Ferry, served
from tests.bench.ground import Ground, legacy_ground
from tests.bench.processor import processor_seconds
from tests.bench.stores import STORES, Work, in_turn, postgresql, storage
from tests.legacy.dovecot import Dovecot

Counted = dict[str, float]

WANTED = 0.6  # of SQLite's pace, upon PostgreSQL
MESSAGES = 100  # in each account at the beginning; each cycle adds one and removes one

_SETTINGS = """
[migration]
refresh = "1d"
"""


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


class _Ground(NamedTuple):
    place: Ground
    legacy: Dovecot
    users: list[str]

    @property
    def addresses(self) -> list[str]:
        return [f"{user}@{DOMAIN}" for user in self.users]

    @contextmanager
    def mailferry(self, *, tables: str = "") -> Iterator[Ferry]:
        """With the mail of all users."""
        root, settings = self.place.fresh("mailferry"), _SETTINGS + tables
        with served(root, self.legacy.pop3, tables=settings, old="connections = 60") as ferry:
            _client(ferry.imap, self.addresses, 0, seconds=0.0)  # first logins: the mail comes over
            yield ferry


@contextmanager
def _ground(options: argparse.Namespace) -> Iterator[_Ground]:
    accounts = options.clients // 2 if options.shared else options.clients
    users = [f"load{n}" for n in range(accounts)]
    box = corpus.Box(options.messages, 1_000, 6_000)
    mailboxes = {user: partial(corpus.fill, box=box, seed=user) for user in users}
    with legacy_ground(mailboxes) as (place, dovecot):
        print(f"{options.clients} clients, {accounts} accounts of {options.messages} messages, {os.cpu_count()} cores")
        yield _Ground(place, dovecot, users)


def measure(options: argparse.Namespace) -> float:
    """All rounds; gives back the median ratio."""
    with _ground(options) as ground, ground.mailferry() as ferry:
        ratios = []
        for n in range(options.rounds + 1):  # the first warms both up
            seconds = options.seconds if n else 1.0
            dovecot = ground.legacy
            pace = {
                "mailferry": _round(ferry.process, ferry.imap, ground.addresses, options.clients, seconds),
                "dovecot": _round(dovecot.process, dovecot.imap, ground.users, options.clients, seconds),
            }
            if n:
                ours, theirs = (_say(name, counted) for name, counted in pace.items())
                ratios.append(ours / theirs)
    return statistics.median(ratios)


class Paces(NamedTuple):
    """Of PostgreSQL to SQLite; the more the better."""

    clock: float
    mailferry: float  # by its own processor time
    both: float  # … with the server's


def measure_databases(options: argparse.Namespace) -> Paces:
    """All rounds, with medians of their ratios."""
    found = []
    with _ground(options) as ground, postgresql() as server:
        upon = {"sqlite": None, "postgresql": server}
        with (
            ground.mailferry(tables=storage(None)) as files,
            ground.mailferry(tables=storage(server)) as rows,
        ):
            ferries = dict(zip(STORES, (files, rows), strict=True))
            for n in range(options.rounds + 1):
                pace: dict[str, float] = {}
                work: dict[str, Work] = {}
                for name in in_turn(n):
                    ferry = ferries[name]
                    before = Work.so_far([ferry.process.pid], upon[name])
                    counted = _client(
                        ferry.imap, ground.addresses, options.clients, seconds=options.seconds if n else 2.0
                    )
                    taken = Work.so_far([ferry.process.pid], upon[name]) - before
                    each = work[name] = taken / counted["commands"]
                    pace[name] = counted["commands"] / counted["seconds"]
                    if n:
                        _say(name, counted | {"server": taken.mailferry})
                        if upon[name]:
                            print(f"{'':<33} {1e6 * each.server:5.0f} µs of the database's server", flush=True)
                if n:
                    found.append(
                        Paces(
                            pace["postgresql"] / pace["sqlite"],
                            work["sqlite"].mailferry / work["postgresql"].mailferry,
                            work["sqlite"].both / work["postgresql"].both,
                        )
                    )
    return Paces(*map(statistics.median, zip(*found, strict=True)))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="tests/bench/run load", description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--messages", type=int, default=MESSAGES)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shared", action="store_true", help="two clients to an account")
    parser.add_argument("--database", choices=["postgresql"], help="mailferry upon it, beside mailferry upon SQLite")
    options = parser.parse_args(arguments)
    if options.database is None:
        print(f"mailferry to Dovecot: {measure(options):.2f}×")
        return
    paces = measure_databases(options)
    print(
        f"PostgreSQL to SQLite: {paces.clock:.2f}× by the clock, {paces.mailferry:.2f}× by mailferry's processor time, "
        f"{paces.both:.2f}× with the server's; {WANTED:g} is wanted"
    )


if __name__ == "__main__":
    main()
