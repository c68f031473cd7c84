"""`python -m tests.faults [--more]`: plays the fault matrix and prints what came of it, a row a step.

cases: combinations of fault, octet and length; whole: of these, where the mailbox ended whole, byte for byte; refused:
first logins that were told "later"; connections and RETRs: how many there were, and how many without any fault."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from tests.faults.matrix import BOX, Case, cases, run
from tests.faults.rig import Ground


@dataclass(slots=True)
class Row:
    cases: int = 0
    whole: int = 0
    refused: int = 0
    connections: int = 0
    retrievals: int = 0
    warnings: int = 0


def play(tried: list[Case]) -> tuple[dict[str, Row], list[str]]:
    rows: defaultdict[str, Row] = defaultdict(Row)
    wrong: list[str] = []
    ground = Ground()
    try:
        for case in tried:
            both = (rows[f"{case.manner.name}: {case.fault.step}"], rows[case.fault.kind.value], rows["all"])
            for row in both:
                row.cases += 1
            try:
                found = run(case, ground)
            except AssertionError as error:
                wrong.append(f"{case}: {error}")
                continue
            for row in both:
                row.whole += 1
                row.refused += found.refused is not None
                row.connections += found.connections
                row.retrievals += found.retrievals
                row.warnings += found.warnings
    finally:
        ground.close()
    return rows, wrong


def main() -> int:
    began = time.process_time()
    rows, wrong = play(list(cases(more="--more" in sys.argv)))
    table = Table("step or fault", *(name for name in Row.__slots__))
    for name, row in sorted(rows.items(), key=lambda item: item[0] == "all"):
        table.add_row(name, *(f"{getattr(row, field):,}" for field in Row.__slots__))
    console = Console(width=100)
    console.print(table)
    console.print(f"{len(BOX)} messages a mailbox; {time.process_time() - began:.0f} s of processor time")
    for line in wrong:
        console.print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
