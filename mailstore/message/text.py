"""Texts for SEARCH."""

from __future__ import annotations

import mmap
from collections.abc import Iterator

from mailstore.message.walker import Part


def header_text(header: bytes, name: bytes) -> list[str]:
    raise NotImplementedError


def all_header_text(header: bytes) -> list[str]:
    raise NotImplementedError


def body_texts(part: Part, data: bytes | mmap.mmap) -> Iterator[str]:
    raise NotImplementedError


def fold(text: str) -> str:
    raise NotImplementedError
