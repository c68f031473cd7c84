"""First logins upon SQLite and upon PostgreSQL, side by side in one run: `tests/bench/run first_login --database`.

Two daemons, each upon a database of its own kind, are asked in turn for mailboxes that are filled alike, one user a
round; the first round, which warms both up, does not count. Printed are the seconds from LOGIN to its OK, and what they
took of the processor: mailferry's processes, and the database's server. Ratios are medians of the rounds'.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from tests.bench import corpus
from tests.bench.ferry import Ferry, served
from tests.bench.ground import legacy_ground
from tests.bench.hop import away
from tests.bench.stores import STORES, Work, in_turn, postgresql, storage
from tests.postgres.server import PostgresServer

WANTED = 1.3  # times SQLite's


@dataclass(frozen=True)
class Taken:
    seconds: float
    work: Work


def _login(ferry: Ferry, user: str, server: PostgresServer | None) -> Taken:
    before = Work.so_far([ferry.process.pid], server)
    seconds = ferry.login(user)
    return Taken(seconds, Work.so_far([ferry.process.pid], server) - before)


def _row(name: str, taken: Sequence[Taken]) -> str:
    seconds = statistics.median(each.seconds for each in taken)
    mailferry = statistics.median(each.work.mailferry for each in taken)
    server = statistics.median(each.work.server for each in taken)
    return f"  {name:<10} {seconds:6.2f} s   mailferry {mailferry:5.2f} s of processor time, the server {server:5.2f} s"


def measure(box: str, rtt: float, rounds: int) -> float:
    """Prints a table, and gives back how many times as long it takes upon PostgreSQL."""
    users = [f"round{n}" for n in range(rounds + 1)]
    mailboxes = {user: partial(corpus.fill, box=corpus.BOXES[box], seed=user) for user in users}
    with legacy_ground(mailboxes) as (ground, legacy), postgresql() as server, away(legacy.pop3, rtt) as port:
        with (
            served(ground.fresh("sqlite"), port, tables=storage(None)) as files,
            served(ground.fresh("postgresql"), port, tables=storage(server)) as rows,
        ):
            upon = {"sqlite": (files, None), "postgresql": (rows, server)}
            found: dict[str, list[Taken]] = {name: [] for name in STORES}
            for n, user in enumerate(users):
                for name in in_turn(n):
                    ferry, theirs = upon[name]
                    taken = _login(ferry, user, theirs)
                    if n:
                        found[name].append(taken)
    pairs = list(zip(found["postgresql"], found["sqlite"], strict=True))
    clock = statistics.median(new.seconds / old.seconds for new, old in pairs)
    alone = statistics.median(new.work.mailferry / old.work.mailferry for new, old in pairs)
    both = statistics.median(new.work.both / old.work.both for new, old in pairs)
    print(f"{box}, {corpus.BOXES[box].count} messages, {rtt:g} ms away")
    for name in STORES:
        print(_row(name, found[name]))
    print(
        f"  PostgreSQL to SQLite: {clock:.2f}× by the clock, {alone:.2f}× by mailferry's processor time, {both:.2f}× "
        f"with the server's; {WANTED:g} is allowed",
        flush=True,
    )
    return clock
