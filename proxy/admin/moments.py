"""How moments are written, in reports and for programs."""

from __future__ import annotations

from datetime import UTC, datetime


def iso(seconds: float) -> str:
    """ISO 8601, UTC, of seconds since 1970."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def iso_or_none(seconds: float | None) -> str | None:
    """The same of what may not have been yet."""
    return None if seconds is None else iso(seconds)


def spelled(seconds: float) -> str:
    """For people, to the second: "2026-11-26 16:05:00 UTC"."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
