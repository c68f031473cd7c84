"""What was last known of the world outside: DNS at the last look, and the old servers that are proven."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from proxy.admin.dns.remembered import in_memory, last_look
from proxy.admin.doctor.databases import looked_into
from proxy.admin.doctor.hiding import Hiding
from proxy.config import Domain


def dns(state: Path, domains: Iterable[Domain]) -> dict[str, Any]:
    """By domain: what records were, which is public, and what the last look made of it. Raises OSError, ValueError."""
    found: dict[str, Any] = {}
    for domain in domains:
        file = in_memory(state, domain.ascii_name)
        if file.exists():
            look = last_look(file)
            found[domain.name] = {
                "records": json.loads(file.read_bytes()),
                "look": None if look is None else asdict(look),
            }
    return found


def proven(file: Path, hiding: Hiding) -> dict[str, Any]:
    """By domain, when an account's move was verified, and whose. Raises OSError, sqlite3.Error."""
    with looked_into(file) as connection:
        rows = connection.execute("SELECT domain, account, proven FROM proofs ORDER BY domain").fetchall()
    return {domain: {"account": hiding.account(account), "proven": at} for domain, account, at in rows}
