"""The beginning of a message's text, for a list of messages (RFC 8970).

Taken from the first text/plain part that has any text, else from the first text/html part without its tags. White
space is joined. At most LENGTH characters, as RFC 8970 3.2 has it. Raises nothing; takes time linear in what is read.
"""

from __future__ import annotations

import html
import mmap
import re
from collections.abc import Iterator
from typing import Final

from mailstore.message.octets import Windows
from mailstore.message.text import body_texts
from mailstore.message.walker import Part

LENGTH: Final = 200
_READ: Final = 16 * 1024  # characters of a part that are looked at
_PARTS: Final = 20  # parts that are looked at

_HTML = re.compile(r"<!--[^-]*+(?:-(?!->)[^-]*+)*(?:-->)?|<(/?)([A-Za-z][A-Za-z0-9]*)[^<>]*>?|[^<]++|<")
_UNSEEN: Final = {"head", "style", "script", "title", "template"}  # elements whose text is not shown
_INVISIBLE = re.compile("[\u00ad\u034f\u200b-\u200f\u2060\ufeff\\x00-\\x08\\x0e-\\x1f\\x7f]+")


def preview(root: Part, data: bytes | mmap.mmap | Windows) -> str:
    """The preview of the message that `walk` found in `data`; empty when it has no text."""
    texts = [part for _, part in zip(range(_PARTS), _texts(root), strict=False)]
    for subtype in (b"plain", b"html"):
        for part in texts:
            if part.content_type.subtype.lower() == subtype:
                found = _shown(next(body_texts(part, data), "")[:_READ], subtype == b"html")
                if found:
                    return found
    return ""


def _texts(root: Part) -> Iterator[Part]:
    todo = [root]
    while todo:
        at = todo.pop()
        if at.parts:
            todo.extend(reversed(at.parts))
        elif at.message is None and at.content_type.type == b"text":
            yield at


def _shown(text: str, is_html: bool) -> str:
    if is_html:
        text = html.unescape("".join(_without_tags(text)))
    return " ".join(_INVISIBLE.sub("", text).split())[:LENGTH]


def _without_tags(text: str) -> Iterator[str]:
    unseen: str | None = None
    for token in _HTML.finditer(text):
        name = token[2]
        if name is not None:
            name = name.lower()
            if unseen is None and not token[1] and name in _UNSEEN:
                unseen = name
            elif unseen == name and token[1]:
                unseen = None
            yield " "
        elif unseen is None and not token[0].startswith("<"):
            yield token[0]
