"""One mailbox of ever more messages: does a first login grow with them, and with nothing else?

    tests/bench/run growth [--messages 1000 10000 50000 200000]

Printed are seconds, microseconds a message beside the bound's, and the peak of the memory of the process that has the
moves. The messages are small (300 to 600 octets), so that what counts is how many there are.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.bench import corpus, pulls
from tests.bench.mover import Mailferry
from tests.legacy.dovecot import Dovecot, program


def fill(maildir: Path, count: int) -> None:
    random_ = random.Random(count)
    for n in range(count):
        path = maildir / "cur" / f"{1230768000 + n * 60}.M{n}P1.bench:2,"
        path.write_bytes(corpus.message(random_, n, random_.randint(300, 600)))


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests/bench/run growth")
    parser.add_argument("--messages", nargs="+", type=int, default=[1_000, 10_000, 50_000, 200_000], metavar="N")
    options = parser.parse_args()
    if program() is None:
        sys.exit("install dovecot-pop3d and dovecot-imapd first")
    root = Path(tempfile.mkdtemp(prefix="bench.", dir="/tmp"))
    legacy = Dovecot(root)
    try:
        for count in options.messages:
            fill(legacy.maildir(f"n{count}"), count)
        legacy.own()
        print("messages  mailferry  a message     bound  a message  to bound  peak memory")
        for count in options.messages:
            user = f"n{count}"
            task = pulls.Task(legacy, root / f"bound-{count}", user, legacy.pop3, count)
            bound = pulls.pull(pulls.bound, task).seconds
            ferry = Mailferry(root / f"mailferry-{count}", legacy.pop3, above="")
            try:
                idle, took = ferry.memory("VmRSS"), ferry.login(user)
                grown = ferry.memory("VmHWM") - idle
            finally:
                ferry.stop()
            print(
                f"{count:8} {took:8.2f} s {took / count * 1e6:7.0f} µs {bound:7.2f} s {bound / count * 1e6:7.0f} µs "
                f"{took / bound:8.2f}× {grown:+8} MiB",
                flush=True,
            )
    finally:
        legacy.stop()
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
