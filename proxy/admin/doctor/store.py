"""The accounts database: is it sound, and what does it add up to?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mailstore.schema import HEAD
from proxy.admin.doctor.databases import integrity, looked_into, revision, tables
from proxy.admin.doctor.hiding import Hiding
from proxy.admin.remedies import kinds_of

STATES = "SELECT domain, state, count(*) FROM accounts GROUP BY domain, state"
DUE = """SELECT domain, count(*), count(asked), min(due), sum(paused) FROM accounts
    WHERE due IS NOT NULL OR paused = 1 GROUP BY domain"""
PASSWORDS = "SELECT password_state, count(*) FROM accounts WHERE sealed_password IS NOT NULL GROUP BY password_state"
REASONS = "SELECT domain, state, reason, count(*) FROM accounts WHERE reason != '' GROUP BY domain, state, reason"


def store(file: Path, hiding: Hiding) -> dict[str, Any]:
    """Raises OSError, sqlite3.Error. `troubles`: by domain, state and kind, how many accounts have it; `reasons`: what
    is said most often."""
    found: dict[str, Any] = {"octets": file.stat().st_size, "mode": oct(file.stat().st_mode & 0o7777)}
    with looked_into(file) as connection:
        found |= {"schema": revision(connection), "schema of this version": HEAD}
        found["integrity"] = integrity(connection)
        found["rows"] = tables(connection)
        states: dict[str, dict[str, int]] = {}
        for domain, state, count in connection.execute(STATES):
            states.setdefault(domain, {})[state] = count
        found["accounts"] = states
        found["sealed passwords"] = dict(connection.execute(PASSWORDS))
        found["queue"] = {
            domain: {"due or paused": count, "asked": asked, "first due": due, "paused": paused}
            for domain, count, asked, due, paused in connection.execute(DUE)
        }
        found |= troubles(connection.execute(REASONS), hiding)
    return found


def troubles(rows: Iterable[Any], hiding: Hiding) -> dict[str, Any]:
    """Of the rows of REASONS."""
    kinds: Counter[str] = Counter()
    said: Counter[str] = Counter()
    for domain, state, reason, count in rows:
        for kind in kinds_of(reason):
            kinds[f"{domain} {state} {kind.value}"] += count
        said[hiding.text(reason)] += count
    return {"troubles": dict(kinds.most_common()), "reasons": dict(said.most_common(20))}
