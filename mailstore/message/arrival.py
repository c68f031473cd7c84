"""INTERNALDATE and flags."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Arrival:
    internal_date: int | None
    flags: frozenset[str]


def arrival(header: bytes) -> Arrival:
    raise NotImplementedError


def header_end(data: bytes) -> int:
    raise NotImplementedError
