"""BODYSTRUCTURE."""

from __future__ import annotations

import mmap
from dataclasses import dataclass

from mailstore.message.envelope import Envelope
from mailstore.message.walker import Params, Part


@dataclass(frozen=True, slots=True)
class Disposition:
    type: bytes
    params: Params


@dataclass(frozen=True, slots=True)
class Multipart:
    parts: tuple[Structure, ...]
    subtype: bytes
    params: Params
    disposition: Disposition | None
    language: tuple[bytes, ...]
    location: bytes | None


@dataclass(frozen=True, slots=True)
class Leaf:
    type: bytes
    subtype: bytes
    params: Params
    id: bytes | None
    description: bytes | None
    encoding: bytes
    octets: int
    lines: int | None
    envelope: Envelope | None
    inner: Structure | None
    md5: bytes | None
    disposition: Disposition | None
    language: tuple[bytes, ...]
    location: bytes | None


Structure = Multipart | Leaf


def structure(part: Part, data: bytes | mmap.mmap) -> Structure:
    raise NotImplementedError
