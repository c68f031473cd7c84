"""Every fault that an installation meets, played against a daemon while bystanders want their mail.

    tests/bench/run faults [FAULT…] [--small]

The bystanders are two users who stay logged in over IMAP, and others who come over POP3 one after the other; all are
there over TLS and have nothing to do with the fault. A row is of one fault: how much of it there was; the median and
the slowest of their answers before, during and after it; how many of their commands were refused, or not answered,
during it; how many of the messages that they stored were lost or there twice; memory and descriptors of all processes;
and whether the daemon was well again by itself. Status 1 if anything that has to hold did not.
"""

from __future__ import annotations

import argparse
import sys

from rich.console import Console

from tests.bench.ground import ground
from tests.faults.crowds import CROWDS
from tests.faults.places import PLACES
from tests.faults.storms import Fault, Row, play, progress

FAULTS: dict[str, Fault] = {fault.name: fault for fault in (*CROWDS, *PLACES)}


def row(found: Row) -> str:
    stood = found.stood
    times = "  ".join(
        f"{when} {1000 * stood.median(when):.1f} ms ({1000 * stood.slowest(when):.0f})"
        for when in ("before", "during", "after")
    )
    commands = stood.outcomes("during")
    not_ok = ", ".join(f"{often} {what}" for what, often in sorted(commands.items()) if what != "ok") or "none refused"
    return (
        f"{found.name}: {found.many}\n"
        f"    bystanders: {times}; {commands.total():,} commands during it, {not_ok}\n"
        f"    {len(stood.stored):,} stored, {found.lost} lost, {found.doubled} doubled; "
        f"memory {found.before.memory} → {found.peak.memory} → {found.after.memory} MiB; "
        f"descriptors {found.before.descriptors} → {found.peak.descriptors} → {found.after.descriptors}; "
        f"recovered by itself: {'yes' if found.recovered else 'NO'}"
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tests/bench/run faults")
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=f"of these: {', '.join(FAULTS)}")
    parser.add_argument("--small", action="store_true", help="the sizes that the tests play")
    options = parser.parse_args(arguments)
    if unknown := set(options.faults) - FAULTS.keys():
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    console, wrong = Console(soft_wrap=True, highlight=False), 0
    for name in options.faults or FAULTS:
        progress(f"{name} …")
        with ground() as place:
            found = play(FAULTS[name], place.fresh("fault"), small=options.small)
        console.print(row(found), markup=False)
        for words in found.wrong:
            console.print(f"    DOES NOT HOLD: {words}", markup=False)
        if found.wrong:
            console.print(f"    the log: {dict(found.warnings)}", markup=False)
        wrong += bool(found.wrong)
    if wrong:
        console.print(f"{wrong} faults did more than they may")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
