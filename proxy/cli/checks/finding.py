"""What a check finds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from proxy.admin.sealing import STORE

Result = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `mailferry check`."""

    check: str  # configuration | certificate | directory | storage | database | key | port | limits | notices
    result: Result
    subject: str  # the file, the endpoint or the key looked at
    text: str
    remedy: str = ""


def unseen(check: str, path: Path) -> Finding:
    """A file that systemd hands to the service alone."""
    remedy = f"it is made of {STORE}/mailferry.{path.name}; run check as root while the service runs"
    return Finding(check, "warn", str(path), "a credential of the service, which cannot be looked at from here", remedy)
