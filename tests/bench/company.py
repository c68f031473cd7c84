"""What a company costs whose accounts wait for their moves: `tests/bench/run company [ACCOUNTS…]`.

A host has as many connections as it may have, none of which ends, and so many accounts are due behind it. Printed are
the time of the daemon's first look, the processor time of an hour of waiting, the memory that the waiting takes, and
the time in which the next account is found when a place becomes free.
"""

from __future__ import annotations

import sys
import time
import tracemalloc

from tests.bench.ground import ground
from tests.proxy.login.simulated import Company

USUAL = (100, 10_000, 100_000)
HOUR = 3_600


def measure(accounts: int) -> str:
    with ground() as place:
        company = Company(place.fresh("company"), {"a.example": "pop.old"}, seconds=1e9)
        company.hire("a.example", accounts)
        tracemalloc.start()
        began = time.process_time()
        company.begin()
        company.pass_time(5)
        first = time.process_time() - began
        tracemalloc.reset_peak()
        held = tracemalloc.get_traced_memory()[0]
        company.pass_time(60)
        growth = tracemalloc.get_traced_memory()[1] - held
        tracemalloc.stop()
        began = time.process_time()
        company.pass_time(HOUR)
        waiting = time.process_time() - began
        began = time.process_time()
        for _ in range(100):
            company.queue.outlook(["a.example"])
            company.queue.take(["a.example"], 1)
        found = (time.process_time() - began) / 100
        company.end()
    return f"{accounts:>9,} {first:>12.3f} {waiting:>18.3f} {growth / 1024:>14.1f} {1000 * found:>16.2f}"


def main() -> None:
    counts = [int(word) for word in sys.argv[1:]] or USUAL
    print(f"{'accounts':>9} {'first look':>12} {'an hour of waiting':>18} {'memory':>14} {'the next one':>16}")
    print(f"{'':>9} {'s':>12} {'s of processor':>18} {'KiB more':>14} {'ms':>16}")
    for count in counts:
        print(measure(count), flush=True)


if __name__ == "__main__":
    main()
