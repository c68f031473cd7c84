"""What is wrong in a configuration, in words that say what would be right."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_BARE = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong, or one that is probably not meant. `key` is the path as TOML writes it."""

    key: str
    text: str

    def __str__(self) -> str:
        return f"{self.key}: {self.text}" if self.key else self.text


class Unfit(ValueError):
    """A value that cannot stand. The text says what would be right; the key's path is put in front of it."""


class ConfigErrors(Exception):
    """A configuration that cannot be used, with every mistake in it."""

    def __init__(self, source: str, mistakes: Sequence[Mistake]) -> None:
        super().__init__(source, mistakes)
        self.source = source
        self.mistakes = tuple(mistakes)

    def __str__(self) -> str:
        return "\n".join(f"{self.source}: {mistake}" for mistake in self.mistakes)


def key_path(parts: Iterable[str | int]) -> str:
    """`domain."123.com".legacy.tls`, `listen.imap[0]`."""
    path = ""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += ("." if path else "") + quoted_key(part)
    return path


def quoted_key(key: str) -> str:
    """A key as TOML writes it: bare where that is allowed."""
    if _BARE.fullmatch(key):
        return key
    plain = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in key.replace("\\", "\\\\"))
    return '"' + plain.replace('"', '\\"') + '"'


def meant(given: str, known: Iterable[str]) -> str:
    """`, did you mean "starttls"?`, or nothing where nothing is near."""
    near = difflib.get_close_matches(given.lower()[:80], list(known), n=1, cutoff=0.6)
    return f', did you mean "{near[0]}"?' if near else ""


def printable(text: str) -> str:
    """Fit for one line of a terminal."""
    return "".join(c if c.isprintable() else "�" for c in text)


def shown(value: object) -> str:
    """A value of the file, short enough for one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = printable(value[:60])
        return f'"{text}…"' if len(value) > 60 else f'"{text}"'
    if isinstance(value, (int, float)):
        return str(value)[:40]
    if isinstance(value, list):
        return "a list"
    return "a table" if isinstance(value, dict) else f"a {type(value).__name__}"
