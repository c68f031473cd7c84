"""Flags as the index keeps them: one text, sorted, apart by a space."""

from __future__ import annotations

from collections.abc import Iterable

from mailstore.index.rows import NO_FLAGS, Flags, shared_flags

_parsed: dict[str, Flags] = {"": NO_FLAGS}


def to_text(flags: Iterable[str]) -> str:
    return " ".join(sorted(flags)) if flags else ""


def from_text(text: str) -> Flags:
    """The shared set for a text: few differ, so each is split once."""
    flags = _parsed.get(text)
    if flags is None:
        if len(_parsed) > 10_000:
            _parsed.clear()
        flags = _parsed[text] = shared_flags(text.split())
    return flags
