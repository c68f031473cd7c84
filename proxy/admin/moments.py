"""How moments are written, in reports and for programs."""

from __future__ import annotations

from datetime import UTC, datetime


def iso(seconds: float) -> str:
    """ISO 8601, UTC, of seconds since 1970."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def iso_or_none(seconds: float | None) -> str | None:
    """The same of what may not have been yet."""
    return None if seconds is None else iso(seconds)
