"""A server's words, for a person to read."""

from __future__ import annotations

TEXT_LIMIT = 200  # characters of a server's words that are worth quoting


def readable(words: bytes) -> str:
    """A server's words for a person: decoded, on one line, without control characters, and not long.

    Hosts in China answer in GB18030 as well as in UTF-8; both are told apart because UTF-8 is strict.
    """
    try:
        text = words.decode()
    except UnicodeDecodeError:
        text = words.decode("gb18030", "replace")
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= TEXT_LIMIT else text[: TEXT_LIMIT - 1] + "…"
