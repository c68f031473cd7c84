"""First logins measured against the bound and against mailferry's peers, side by side in one run.

    tests/bench/run [--box small] [--rtt 0 20 100] [--rounds 3] [--peers mpop doveadm fetchmail getmail]
    tests/bench/run first_login --database postgresql [--box small] [--rtt 0 20 100] [--rounds 3]

Each round pulls the same mailbox from the same Dovecot: with `bound.py`, which does nothing but make messages durable,
with each peer into a Maildir, and with mailferry, from a client's LOGIN to its OK. Ratios are medians of the rounds'.
A peer that needs more than `--patience` seconds is ended and its time estimated (≈). Nothing is deleted before the end:
ext4 is slow for minutes after a mass delete. With `--database postgresql` it is measured against itself upon SQLite:
see `first_upon`.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.bench import corpus, first_upon, pulls
from tests.bench.ferry import served
from tests.bench.ground import Ground, legacy_ground
from tests.bench.hop import away
from tests.legacy.dovecot import Dovecot

AGREED = ("small", "tiny", "large", "huge")


@dataclass(frozen=True)
class Round:
    """Seconds, and MiB of the processes that have a hand in moves: before, and at its peak."""

    bound: float
    mailferry: float
    peers: Mapping[str, pulls.Pulled]
    idle: int
    peak: int


def one_round(ground: Ground, legacy: Dovecot, box: str, port: int, peers: Sequence[str], patience: float) -> Round:
    def task(name: str) -> pulls.Task:
        return pulls.Task(legacy, ground.fresh(name), box, port, corpus.BOXES[box].count)

    bound = pulls.pull(pulls.bound, task("bound")).seconds
    with served(ground.fresh("mailferry"), port) as ferry:
        idle, took = ferry.idle(), ferry.login(box)
        peak = ferry.memory("VmHWM")
    others = {name: pulls.pull(pulls.PEERS[name], task(name), patience) for name in peers if shutil.which(name)}
    return Round(bound, took, others, idle, peak)


def header(peers: Sequence[str]) -> str:
    return "box    round trip  mailferry    bound  to bound  peak memory" + "".join(f"{name:>22}" for name in peers)


def row(box: str, rtt: float, rounds: Sequence[Round], peers: Sequence[str]) -> str:
    took, bound = (statistics.median(v) for v in ([r.mailferry for r in rounds], [r.bound for r in rounds]))
    ratio = statistics.median(r.mailferry / r.bound for r in rounds)
    grown = max(r.peak - r.idle for r in rounds)
    cells = [f"{box:<6} {rtt:5.0f} ms   {took:7.2f} s {bound:6.2f} s   {ratio:6.2f}×  {grown:+7} MiB"]
    for name in peers:
        found = [(r.peers[name], r.peers[name].seconds / r.mailferry) for r in rounds if name in r.peers]
        if not found:
            cells.append(f"{'not here':>22}")
            continue
        middle = sorted(found, key=lambda item: item[0].seconds)[len(found) // 2][0]
        cells.append(f"{f'{middle} s, {statistics.median(share for _, share in found):.1f}×':>22}")
    return "".join(cells)


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests/bench/run", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--box", nargs="+", default=["small"], choices=sorted(corpus.BOXES), metavar="BOX")
    parser.add_argument("--rtt", nargs="+", type=float, default=[0.0, 20.0, 100.0], metavar="MILLISECONDS")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", nargs="*", default=["mpop"], choices=sorted(pulls.PEERS), metavar="PEER")
    parser.add_argument("--patience", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument("--database", choices=["postgresql"], help="upon it, beside mailferry upon SQLite")
    options = parser.parse_args()
    if options.database is not None:
        for box in options.box:
            for rtt in options.rtt:
                first_upon.measure(box, rtt, options.rounds)
        return
    with legacy_ground(corpus.boxes(options.box)) as (ground, legacy):
        print(header(options.peers))
        for box in options.box:
            for rtt in options.rtt:
                with away(legacy.pop3, rtt) as port:
                    rounds = range(options.rounds)
                    found = [one_round(ground, legacy, box, port, options.peers, options.patience) for _ in rounds]
                print(row(box, rtt, found, options.peers), flush=True)


if __name__ == "__main__":
    main()
