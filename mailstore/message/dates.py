"""Dates in header fields."""

from __future__ import annotations

from datetime import date


def sent_date(header: bytes) -> date | None:
    raise NotImplementedError
