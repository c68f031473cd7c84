"""The forms of a verification that is kept (`proxy.admin.reports`): text to be read, JSON, and a row an account."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence

from mailstore.proofs import Proof
from proxy.admin.sheet import BOM
from proxy.admin.verify.exported import Cell, accounts_table, as_json
from proxy.admin.verify.outcome import Verification
from proxy.admin.verify.text import report


def forms(found: Verification, proven: Sequence[Proof]) -> Mapping[str, Iterable[str]]:
    """For each form the pieces of its text."""
    return {
        ".txt": (f"{line}\n" for line in report(found)),
        ".csv": _sheet(accounts_table(found)),
        ".json": as_json(found, proven),
    }


def _sheet(rows: Iterable[Sequence[Cell]]) -> Iterator[str]:
    yield BOM
    for row in rows:
        line = io.StringIO()
        csv.writer(line).writerow(row)
        yield line.getvalue()
