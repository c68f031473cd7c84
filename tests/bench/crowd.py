"""Fifty first logins at once, over a line with a delay: against one pull after the other without any delay.

    tests/bench/run crowd [--logins 50] [--rtt 20] [--rounds 3] [--connections 50]

The bound is the sum of `bound.py` for each mailbox, one at a time, with nothing in between. Printed are how long it
took until the last login was answered, that time to the bound's, and the slowest login to the median login.
"""

from __future__ import annotations

import argparse
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.bench import corpus, pulls
from tests.bench.ferry import served
from tests.bench.ground import legacy_ground
from tests.bench.hop import away
from tests.legacy.dovecot import Dovecot


def one_after_the_other(legacy: Dovecot, root: Path, users: list[str]) -> float:
    return sum(
        pulls.pull(pulls.bound, pulls.Task(legacy, root / user, user, legacy.pop3, corpus.BOXES[user].count)).seconds
        for user in users
    )


def at_once(root: Path, port: int, users: list[str], connections: int) -> tuple[float, list[float]]:
    """Until the last was in, and how long each took."""
    with served(root, port, old=f"connections = {connections}") as ferry, ThreadPoolExecutor(len(users)) as clients:
        begun = time.perf_counter()
        each = list(clients.map(ferry.login, users))
        return time.perf_counter() - begun, each


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests/bench/run crowd")
    parser.add_argument("--logins", type=int, default=50, choices=range(1, 51), metavar="1-50")
    parser.add_argument("--rtt", type=float, default=20.0, metavar="MILLISECONDS")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=50)
    options = parser.parse_args()
    users = [f"crowd{n}" for n in range(options.logins)]
    with legacy_ground(corpus.boxes(users)) as (ground, legacy):
        print("logins  round trip  all in   one by one  to that   median  slowest  slowest to median")
        for _ in range(options.rounds):
            alone = one_after_the_other(legacy, ground.fresh("bound"), users)
            with away(legacy.pop3, options.rtt) as port:
                took, each = at_once(ground.fresh("mailferry"), port, users, options.connections)
            median, slowest = statistics.median(each), max(each)
            print(
                f"{options.logins:6} {options.rtt:8.0f} ms {took:6.2f} s {alone:10.2f} s {took / alone:7.2f}× "
                f"{median:7.2f} s {slowest:6.2f} s {slowest / median:17.2f}×",
                flush=True,
            )


if __name__ == "__main__":
    main()
