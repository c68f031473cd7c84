"""Sections."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from mailstore.message.walker import Part


@dataclass(frozen=True, slots=True)
class Span:
    offset: int
    length: int


def locate(root: Part, path: tuple[int, ...], what: str) -> Span | None:
    raise NotImplementedError


def header_fields(header: bytes, names: Collection[bytes], *, exclude: bool) -> bytes:
    raise NotImplementedError
