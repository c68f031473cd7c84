"""A mixed load for a while: do memory and descriptors stay flat?

    tests/bench/run soak [--minutes 2] [--clients 12]

Clients log in over TLS and without, fetch, flag, store, idle, take messages away over POP3, log in for the first time,
guess, and hang up in the midst of a command or of an answer; then again from the beginning, as others. Memory and
descriptors of the daemon and its workers are looked at every second. Printed are their curve, and their slopes for
1,000 sessions over the second half. Status 1 where they grow by more than the bound, or where somebody was served
wrongly.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.ground import ground
from tests.faults.stage import Helper, Stage, Taken
from tests.faults.storms import numbered
from tests.legacy.dovecot import select_nothing

ACCOUNTS = 40
EVERY = 1.0  # seconds between two looks
MEMORY_MOST = 4.0  # MiB for 1,000 sessions
DESCRIPTORS_MOST = 4.0
BARS = " ▁▂▃▄▅▆▇█"
WIDTH = 72


def curve(values: Sequence[float]) -> str:
    """A line of bars from nothing up to the highest."""
    most = max(values)
    picked = [values[number * len(values) // WIDTH] for number in range(min(WIDTH, len(values)))]
    if len(values) < WIDTH:
        picked = list(values)
    return "".join(BARS[round(value / most * (len(BARS) - 1))] for value in picked)


def slope(sessions: Sequence[float], values: Sequence[float]) -> float:
    """By which the values grow with 1,000 sessions: the line through them that is nearest to all."""
    mean_x, mean_y = sum(sessions) / len(sessions), sum(values) / len(values)
    spread = sum((x - mean_x) ** 2 for x in sessions)
    return 1_000 * sum((x - mean_x) * (y - mean_y) for x, y in zip(sessions, values, strict=True)) / spread


def soaked(root: Path, seconds: float, clients: int) -> tuple[list[Taken], list[float], dict[str, int]]:
    """The looks, how many sessions there had been at each, and what came of all that the clients did."""
    looks: list[Taken] = []
    sessions: list[float] = []
    users = numbered("user", ACCOUNTS)
    with Stage(root, finals=users) as stage:
        ports = stage.daemon.ports
        helper = Helper(
            "tests.bench.soak_clients", *map(str, ports.values()), str(stage.daemon.ca), str(clients), ",".join(users)
        )
        try:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                select_nothing(EVERY)
                helper.say("")
                sessions.append(helper.hear()["sessions"])
                looks.append(stage.taken())
            came = helper.end()
        finally:
            helper.kill()
        stage.legacy.drop()
        if stage.daemon.stop() or stage.warnings()["unexpected"]:
            came["wrong"] += 1
    return looks, sessions, came


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/bench/run soak")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--clients", type=int, default=12)
    options = parser.parse_args()
    with ground() as place:
        looks, sessions, came = soaked(place.fresh("soak"), 60 * options.minutes, options.clients)
    half = len(looks) // 2
    good = not came["wrong"]
    print(
        f"{sessions[-1]:,.0f} sessions in {options.minutes:g} min: {', '.join(f'{n:,} {w}' for w, n in came.items())}"
    )
    for name, unit, most in (("memory", " MiB", MEMORY_MOST), ("descriptors", "", DESCRIPTORS_MOST)):
        values = [float(getattr(look, name)) for look in looks]
        grows = slope(sessions[half:], values[half:])
        good &= grows < most
        print(f"{name:<12}{curve(values)}  {values[0]:.0f} → {values[half]:.0f} → {values[-1]:.0f}{unit}")
        print(f"{'':<12}{grows:+.2f}{unit} for 1,000 sessions in the second half; less than {most:g} is wanted")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
