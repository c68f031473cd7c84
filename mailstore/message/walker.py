"""Where everything in a message is."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import dataclass

Params = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class ContentType:
    type: bytes
    subtype: bytes
    params: Params


@dataclass(frozen=True, slots=True)
class Part:
    start: int
    body: int
    end: int
    header: bytes
    content_type: ContentType
    parts: tuple[Part, ...]
    message: Part | None
    lines: int
    boundary: bytes | None


def walk(data: bytes | mmap.mmap) -> Part:
    raise NotImplementedError


def find(part: Part, path: Sequence[int]) -> Part | None:
    raise NotImplementedError
