"""One mailbox of ever more messages: does a first login grow with them, and with nothing else?

    tests/bench/run growth [--messages 1000 10000 50000 200000]

Printed are seconds, microseconds a message beside the bound's, and the peak of the memory of the processes that have a
hand in moves. The messages are small (300 to 600 octets), so that what counts is how many there are.
"""

from __future__ import annotations

import argparse
from functools import partial

from tests.bench import corpus, pulls
from tests.bench.ferry import served
from tests.bench.ground import legacy_ground


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests/bench/run growth")
    parser.add_argument("--messages", nargs="+", type=int, default=[1_000, 10_000, 50_000, 200_000], metavar="N")
    options = parser.parse_args()
    mailboxes = {
        f"n{count}": partial(corpus.fill, box=corpus.Box(count, 300, 600), seed=count) for count in options.messages
    }
    with legacy_ground(mailboxes) as (ground, legacy):
        print("messages  mailferry  a message     bound  a message  to bound  peak memory")
        for count in options.messages:
            user = f"n{count}"
            task = pulls.Task(legacy, ground.fresh("bound"), user, legacy.pop3, count)
            bound = pulls.pull(pulls.bound, task).seconds
            with served(ground.fresh("mailferry"), legacy.pop3) as ferry:
                idle, took = ferry.idle(), ferry.login(user)
                grown = ferry.memory("VmHWM") - idle
            print(
                f"{count:8} {took:8.2f} s {took / count * 1e6:7.0f} µs {bound:7.2f} s {bound / count * 1e6:7.0f} µs "
                f"{took / bound:8.2f}× {grown:+8} MiB",
                flush=True,
            )


if __name__ == "__main__":
    main()
