"""Text in columns: what a terminal, a printer and a file drawer can hold."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from unicodedata import combining, east_asian_width

COLUMNS: Final = 100
MARGIN: Final = 17  # of what stands behind labels

_WORD = re.compile(r" *[^ ]+| +$")


def fold(text: str, *, first: int = 0, hanging: int = 0, columns: int = COLUMNS) -> Iterator[str]:
    """Lines of at most so many columns, the first indented by `first`, the others by `hanging`; broken between words
    where that can be."""
    line, used, begun = " " * first, first, False
    for found in _WORD.findall(printable(text)):
        word = found
        if begun and used + width(word) > columns:
            yield line
            line, used, word = " " * hanging, hanging, word.lstrip()
        while used + width(word) > columns:
            cut = _fitting(word, columns - used)
            yield line + word[:cut]
            line, used, word = " " * hanging, hanging, word[cut:]
        line, used, begun = line + word, used + width(word), True
    yield line


def labelled(label: str, text: str) -> Iterator[str]:
    """A report's line with its label, or several."""
    return fold(f"{label:{MARGIN}}{text}", hanging=MARGIN)


def printable(text: str) -> str:
    """A UIDL may be any octets: none of them is to move a cursor."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def width(text: str) -> int:
    """In columns: Chinese letters take two each."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def _fitting(word: str, columns: int) -> int:
    """How many letters of it fit; one at least."""
    at = used = 0
    while at < len(word) and (used := used + width(word[at])) <= columns:
        at += 1
    return max(at, 1)
