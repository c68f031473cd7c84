"""Addresses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Address:
    name: bytes | None
    route: bytes | None
    mailbox: bytes | None
    host: bytes | None


def addresses(value: bytes) -> tuple[Address, ...]:
    raise NotImplementedError
