"""What a check finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Result = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `mailferry check`."""

    check: str  # configuration | certificate | directory | database | key | port
    result: Result
    subject: str  # the file, the endpoint or the key looked at
    text: str
    remedy: str = ""
