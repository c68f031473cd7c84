"""The header fields of a notice, as RFC 5322 and RFC 2047 want them, whatever a name has in it.

A name comes from somebody's list: it may be empty, very long, in any script, and have commas, quotes, brackets or what
looks like an encoded word. It is one display name, of one mailbox, in lines of at most LINE octets where that can be.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Final

LINE: Final = 76  # octets: RFC 2047 2, and RFC 5322 2.1.1 would rather not have more than 78
_PIECE: Final = 39  # octets of an encoded word: with its frame and "Subject: " it fits into a line
_LONGEST_WORD: Final = 60  # characters in a row that are left as they are
_ATEXT: Final = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~\-"
_ATOMS = re.compile(rf"[{_ATEXT}]+(?: [{_ATEXT}]+)*")
_DOT_ATOM = re.compile(rf"[{_ATEXT}\x80-\U0010ffff]+(?:\.[{_ATEXT}\x80-\U0010ffff]+)*")  # RFC 6532 3.2


def address(local: str, domain: str) -> str:
    """A mailbox's address (RFC 5321 4.1.2): what is no dot-atom, such as `a..b`, is quoted."""
    return f"{local if _DOT_ATOM.fullmatch(local) else _quoted(local)}@{domain}"


def mailbox(name: str, spec: str, *, raw: bool = False) -> str:
    """The value of From or To. `name` is one line; `raw`: letters beyond ASCII may stand as they are (RFC 6532)."""
    if not name:
        return spec
    if raw:
        return f"{name if _ATOMS.fullmatch(name) else _quoted(name)} <{spec}>"
    if not _is_plain(name):
        return _folded([*_encoded(name), f"<{spec}>"])
    return _folded([*(name if _ATOMS.fullmatch(name) else _quoted(name)).split(" "), f"<{spec}>"])


def unstructured(text: str) -> str:
    """The value of Subject. `text` is one line."""
    return _folded(text.split(" ") if _is_plain(text) else _encoded(text))


def _is_plain(text: str) -> bool:
    """May it stand as it is, folded between its words? What looks like an encoded word would be taken for one."""
    words = text.split(" ")
    return text.isascii() and "=?" not in text and all(0 < len(word) <= _LONGEST_WORD for word in words)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _encoded(text: str) -> Iterator[str]:
    """Encoded words (RFC 2047): no letter is cut in two, and a reader sees no space between them."""
    piece = b""
    for letter in text:
        octets = letter.encode()
        if len(piece) + len(octets) > _PIECE:
            yield _word(piece)
            piece = b""
        piece += octets
    yield _word(piece)


def _word(octets: bytes) -> str:
    return f"=?utf-8?B?{base64.b64encode(octets).decode()}?="


def _folded(words: Iterator[str] | list[str]) -> str:
    """In lines; the first has room for the field's name."""
    lines, room = [""], LINE - len("Subject: ")
    for word in words:
        if lines[-1] and len(lines[-1]) + 1 + len(word) > room:
            lines.append("")
            room = LINE - 1
        lines[-1] += (" " if lines[-1] else "") + word
    return "\r\n ".join(lines)
