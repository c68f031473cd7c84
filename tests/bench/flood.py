"""A logged-in user's commands while wrong logins come in as fast as they are answered: how much slower are they?

    tests/bench/run flood [--guesses 1000] [--rounds 3]

The guesses come from as many machines as it takes to be answered at once, up to 2,000 at a time, at accounts whose mail
is here (each costs a password's hash) and at others whose mail is not (asked about at the old server, up to a limit).
Printed is the median answer to two users who stay logged in over TLS, before and during; less than twice as long is
wanted. And how long others, whose password is right and was not used lately, take to come in over POP3, read a message
and leave.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

from tests.bench.ground import ground
from tests.faults.crowds import guesses
from tests.faults.stage import Bystood, Stage
from tests.faults.storms import Play, numbered

WANTED = 2.0
ACCOUNTS = 100
EACH = 3  # of a machine, which are answered at once; with more the flood is a trickle, since they are held back
COMMANDS = ("noop", "fetch", "flag", "search", "store")


def measure(root: Path, count: int) -> tuple[Bystood, str]:
    with Stage(root, finals=numbered("user", ACCOUNTS)) as stage:
        play = Play(stage, {"count": count, "accounts": ACCOUNTS, "each": EACH}, small=False)
        with stage.bystanders() as helper:
            helper.say("warming up")
            play.last(2.0)
            helper.say("before")
            play.last(5.0)
            helper.say("during")
            many = guesses(play)
            helper.say("after")
            stood = Bystood(**helper.end())
        stage.legacy.drop()
    return stood, many


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/bench/run flood")
    parser.add_argument("--guesses", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    ratios = []
    for _ in range(options.rounds):
        with ground() as place:
            stood, many = measure(place.fresh("flood"), options.guesses)
        before, during = (1000 * stood.median(when, *COMMANDS) for when in ("before", "during"))
        logins = [1000 * stood.median(when, "pop3") for when in ("before", "during")]
        ratios.append(during / before)
        print(
            f"a command: {before:.2f} ms before, {during:.2f} ms during, {during / before:.2f}×; "
            f"a login and a message: {logins[0]:.0f} ms, {logins[1]:.0f} ms\n  {many}",
            flush=True,
        )
    ratio = statistics.median(ratios)
    print(f"a logged-in user's commands in a flood of wrong logins: {ratio:.2f}×; less than {WANTED:g} is wanted")
    return 0 if ratio < WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
