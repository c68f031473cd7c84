"""A header block and its fields (RFC 5322 2.2), and the encoded words in them (RFC 2047).

Field values stay as they came, folding included, until a function says otherwise. Lines that are no field (an
mbox "From " line, a line without a colon) are passed over. Nothing here raises, and all of it is linear in
the length of the header.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Sequence

from mailstore.message import charsets
from mailstore.message.transfer import base64_octets

# field = field-name *WSP ":" *( text / CRLF WSP ) (RFC 5322 2.2, and 4.5.3 for the space before the colon)
_FIELD = re.compile(rb"^([^\s:]++)[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*)", re.MULTILINE)

# comment = "(" *( ctext / quoted-pair / comment ) ")" (RFC 5322 3.2.2), taken apart without recursion
_COMMENT_PIECE = re.compile(rb"[^()\\]++|\\.?|[()]", re.DOTALL)
_BACKSLASH = 0x5C

# encoded-word = "=?" charset ["*" language] "?" encoding "?" encoded-text "?=" (RFC 2047 2, RFC 2231 5).
# A "?" in the text is against the grammar and yet seen; it is allowed a few times, which bounds the search.
_ENCODED_WORD = re.compile(rb"=\?([^?\s*]{1,64})(?:\*[^?\s]{0,64})?\?([bBqQ])\?([^?]*+(?:\?(?!=)[^?]*+){0,16})\?=")


def fields(header: bytes) -> list[tuple[bytes, bytes]]:
    """Name, as it is written, and raw value of each field in order.

    A value keeps its folding and its leading white space; its last line end is left off.
    """
    return [(name, value[:-1] if value.endswith(b"\r") else value) for name, value in _FIELD.findall(header)]


def unfold(value: bytes) -> bytes:
    """A value on one line, trimmed: line ends of the folding go (RFC 5322 2.2.3).

    The result has no CR, LF or NUL, so that it can be an IMAP string: a stray CR or LF becomes a space, NUL
    becomes "?".
    """
    if b"\n" in value:
        value = re.sub(rb"\r?\n(?=[ \t])", b"", value)
    if b"\r" in value or b"\n" in value or b"\0" in value:
        value = value.replace(b"\r", b" ").replace(b"\n", b" ").replace(b"\0", b"?")
    return value.strip(b" \t")


def first(header: bytes, name: bytes) -> bytes | None:
    """The raw value, folding included, of the first field of that name; None when there is none."""
    return first_in(header, header.lower(), name.lower())


def first_in(header: bytes, lowered: bytes, name: bytes) -> bytes | None:
    """As `first`, for a caller that asks for several names: `lowered` is `header.lower()`, `name` is in lower case."""
    at = 0
    while (at := lowered.find(name, at)) >= 0:
        colon = at + len(name)
        if at == 0 or lowered[at - 1] == 0x0A:
            while lowered[colon : colon + 1] in (b" ", b"\t"):
                colon += 1
            if lowered[colon : colon + 1] == b":":
                return _value(header, colon + 1)
        at = max(colon, at + 1)
    return None


def _value(header: bytes, start: int) -> bytes:
    """The raw value that starts at `start`, up to the end of its last continuation line."""
    end = header.find(b"\n", start)
    while end >= 0 and header[end + 1 : end + 2] in (b" ", b"\t"):
        end = header.find(b"\n", end + 1)
    value = header[start:] if end < 0 else header[start:end]
    return value[:-1] if value.endswith(b"\r") else value


def comment(value: bytes, start: int) -> tuple[bytes, int]:
    """Text and end of the comment whose parenthesis opens at `start`. One that never closes goes to the end."""
    depth = 0
    text: list[bytes] = []
    end = len(value)
    for piece in _COMMENT_PIECE.finditer(value, start):
        octets = piece[0]
        if octets == b")":
            depth -= 1
            if depth == 0:
                end = piece.end()
                break
        if octets == b"(":
            depth += 1
            if depth == 1:
                continue
        text.append(octets[1:] if octets[0] == _BACKSLASH else octets)
    return b"".join(text).strip(b" \t\r\n"), end


def without_comments(value: bytes) -> bytes:
    """A value that has no quoted strings, with a space for each comment."""
    kept = []
    position = 0
    while (opened := value.find(b"(", position)) >= 0:
        kept.append(value[position:opened])
        _, position = comment(value, opened)
    kept.append(value[position:])
    return b" ".join(kept)


def decode_words(value: bytes, fallback: Sequence[str] = charsets.FALLBACK) -> str:
    """A value, folded or not, as text: encoded words decoded wherever they stand, the rest by `fallback`.

    White space between encoded words goes (RFC 2047 6.2). Neighbouring words of one charset are decoded as
    one: many programs cut a character in two between them. Words inside quoted strings are decoded too,
    against RFC 2047 5 and as all mail programs do.
    """
    value = unfold(value)
    if b"=?" not in value:
        return charsets.guess(value, fallback)
    texts: list[str] = []
    run: list[bytes] = []  # octets of neighbouring words of one charset
    charset = b""
    position = 0
    for word in _ENCODED_WORD.finditer(value):
        between = value[position : word.start()]
        joined = bool(run) and not between.strip(b" \t")
        if run and not (joined and word[1].lower() == charset):
            texts.append(charsets.decode(b"".join(run), charset, fallback))
            run = []
        if not joined:
            texts.append(charsets.guess(between, fallback))
        charset = word[1].lower()
        run.append(_word_octets(word[2], word[3]))
        position = word.end()
    texts.append(charsets.decode(b"".join(run), charset, fallback))
    texts.append(charsets.guess(value[position:], fallback))
    return "".join(texts)


def _word_octets(encoding: bytes, text: bytes) -> bytes:
    if encoding in b"qQ":
        return binascii.a2b_qp(text, header=True)
    return base64_octets(text)
