"""How many clients can there be? `serve` takes as many descriptors as the system lets it have, its hard limit."""

from __future__ import annotations

import resource
from typing import Final

from proxy.cli.checks.finding import Finding

A_SESSION: Final = 5  # the connection, its mailbox's lock, and database with log and shared memory
FEW: Final = 4_096


def limit_findings() -> list[Finding]:
    """Nothing where the limit is high enough for most."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if most in {-1, resource.RLIM_INFINITY} or most >= FEW:
        return []
    text = f"each process may have {most} at most, enough for some {most // A_SESSION} sessions of as many users"
    remedy = "raise the hard limit: LimitNOFILE= in systemd's unit, or ulimit -Hn"
    return [Finding("limits", "warn", "open files", text, remedy)]
