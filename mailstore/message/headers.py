"""Header fields."""

from __future__ import annotations

from collections.abc import Sequence


def fields(header: bytes) -> list[tuple[bytes, bytes]]:
    raise NotImplementedError


def unfold(value: bytes) -> bytes:
    raise NotImplementedError


def first(header: bytes, name: bytes) -> bytes | None:
    raise NotImplementedError


def decode_words(value: bytes, fallback: Sequence[str] = ("utf-8", "gb18030", "latin-1")) -> str:
    raise NotImplementedError
