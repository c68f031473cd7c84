"""What the legacy server gave, held against what is here. Reads a file only where the two differ."""

from __future__ import annotations

from mailstore.audit import Audit
from mailstore.entries import Outcome
from proxy.admin.verify.contents import Contents, Given
from proxy.admin.verify.kinds import Kind
from proxy.admin.verify.local import Files, about
from proxy.admin.verify.matching import Matching, Pair
from proxy.admin.verify.outcome import AccountOutcome


def judge_given(
    outcome: AccountOutcome, matching: Matching, contents: Contents, files: Files, audit: Audit
) -> dict[int, bool]:
    """Ledger ids whose bytes were compared, and whether they are what they were at the move. Runs in a thread."""
    compared = {}
    for pair in matching.pairs:
        entry, position = pair.row.entry, pair.listed.position
        if entry.outcome is not Outcome.STORED:
            continue
        if position in contents.same:
            compared[entry.id] = True
        elif position in contents.given:
            compared[entry.id] = _compare(outcome, pair, contents.given[position], files, audit)
        elif position in contents.refusals:
            what = f"the legacy server lists it and does not give it now: {contents.refusals[position]}"
            outcome.found(about(Kind.NOT_GIVEN, what, pair.row, pair.listed))
    return compared


def _compare(outcome: AccountOutcome, pair: Pair, given: Given, files: Files, audit: Audit) -> bool:
    row = pair.row
    examined = files.odd.get(row.entry.id)
    here = row.sha256 or (examined.sha256 if examined is not None else None)
    if here is None or here == given.sha256:  # without a digest, and without a file: that is found elsewhere
        return here is not None
    if row.kept is not None and audit.essence(row.kept) == given.essence:
        what = "the legacy server now gives it with other Status fields or the like; all else is the same"
        outcome.found(about(Kind.STATUS_LINES, what, row, pair.listed))
        return True
    size = f"{given.size} octets" + (f", here {row.kept.size}" if row.kept is not None else "")
    what = f"the legacy server gives other bytes than it gave at the move ({size})"
    outcome.found(about(Kind.CONTENT_DIFFERS, what, row, pair.listed))
    return False
