"""What is in quarantine, in words for the administrator: how many messages, which, why, and what helps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mailstore.entries import Quarantined

NAMED: Final = 3  # causes that are told, and messages of each
_REMEDY: Final = "asked for again by a move an hour later, or at once by mailferry retry"


def in_words(rows: Sequence[Quarantined]) -> str:
    """One line. "" where there are none."""
    if not rows:
        return ""
    by_cause: dict[str, list[Quarantined]] = {}
    for row in rows:
        by_cause.setdefault(row.reason, []).append(row)
    causes = sorted(by_cause.items(), key=lambda item: -len(item[1]))
    told = [f"{_which(few)}: {cause}" for cause, few in causes[:NAMED]]
    if len(causes) > NAMED:
        told.append(f"{sum(len(few) for _, few in causes[NAMED:])} more for other reasons")
    one = len(rows) == 1
    count = (
        "1 message could not be carried over and is"
        if one
        else f"{len(rows)} messages could not be carried over and are"
    )
    return f"{count} in quarantine ({'; '.join(told)}); {_REMEDY}"


def _which(rows: Sequence[Quarantined]) -> str:
    """By the numbers that the legacy server gave them when they were listed first."""
    numbers = ", ".join(str(row.position) for row in rows[:NAMED])
    more = f" and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
    return f"number {numbers}{more}"
