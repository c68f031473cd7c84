"""BINARY: parts of a message with their content transfer encoding taken off (RFC 3516 4.2).

How long a part is decoded, and whether it holds NUL, has to be said before it is sent. So it is decoded once
to know that, keeping no more than may be sent from memory; a larger one is decoded again, piece by piece,
while it is sent. Pure but for the open message; used by `proxy.imap.reading` and FETCH.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from mailstore.content import Content
from mailstore.message.octets import Windows
from mailstore.message.section import Span
from mailstore.message.structure import transfer_encoding, whole_header
from mailstore.message.transfer import decoded
from mailstore.message.walker import Part
from proxy.imap import responses
from proxy.imap.answers import No
from proxy.imap.grammar.syntax import BinarySection

STEP: Final = 64 * 1024  # encoded octets read at a time
PIECE: Final = 256 * 1024  # decoded octets handed out at a time, or a little more

IDENTITY: Final = frozenset({b"7bit", b"8bit", b"binary"})
KNOWN: Final = IDENTITY | {b"base64", b"quoted-printable"}


@dataclass(frozen=True, slots=True)
class Decoded:
    """Octets `first` to before `first + length` of what a span stands for in its transfer encoding."""

    span: Span
    encoding: bytes
    first: int
    length: int

    def pieces(self, content: Content) -> Iterator[bytes]:
        """Exactly `length` octets, none of the pieces empty. Raises MessageLost."""
        waiting: list[bytes] = []
        size = 0
        for piece in _window(content, self.span, self.encoding, self.first, self.length):
            waiting.append(piece)
            size += len(piece)
            if size >= PIECE:
                yield b"".join(waiting)
                waiting, size = [], 0
        if size:
            yield b"".join(waiting)


def plain(item: BinarySection, span: Span, content: Content, inline: int) -> list[bytes | Span | Decoded]:
    """An item of octets that have no transfer encoding."""
    return _item(item, span, b"binary", content, inline)


def pieces_of(
    item: BinarySection, part: Part, data: bytes | Windows, content: Content, inline: int
) -> list[bytes | Span | Decoded]:
    """The FETCH item for a part. A multipart and a message have no encoding (RFC 2045 6.4).

    Raises No ([UNKNOWN-CTE]), MessageLost.
    """
    span = Span(part.body, part.end - part.body)
    if part.parts or part.message is not None:
        return plain(item, span, content, inline)
    encoding = transfer_encoding(whole_header(part, data))
    if encoding not in KNOWN:
        raise No(b"The transfer encoding of a part is not known here.", b"UNKNOWN-CTE")
    return _item(item, span, encoding, content, inline)


def _item(
    item: BinarySection, span: Span, encoding: bytes, content: Content, inline: int
) -> list[bytes | Span | Decoded]:
    if item.size:
        size = span.length if encoding in IDENTITY else sum(map(len, _octets(content, span, encoding)))
        return [b"%b %d" % (item.echo, size)]
    first, most = item.partial or (0, span.length)  # decoded it is never longer
    kept: list[bytes] | None = []
    length = 0
    nul = False
    for piece in _window(content, span, encoding, first, most):
        length += len(piece)
        nul = nul or b"\0" in piece
        if length > inline:
            kept = None
        elif kept is not None:
            kept.append(piece)
    if kept is not None and not nul:
        return [item.echo + b" " + responses.literal(b"".join(kept))]
    start = b"%b %b{%d}\r\n" % (item.echo, b"~" if nul else b"", length)  # literal8 = "~{" number "}" CRLF *OCTET
    return [start, Decoded(span, encoding, first, length)] if kept is None else [start, b"".join(kept)]


def _octets(content: Content, span: Span, encoding: bytes) -> Iterator[bytes]:
    """What a span stands for, in pieces. Raises MessageLost."""
    end = span.offset + span.length
    encoded = (content.read(at, min(STEP, end - at)) for at in range(span.offset, end, STEP))
    return decoded(encoded, encoding)


def _window(content: Content, span: Span, encoding: bytes, first: int, most: int) -> Iterator[bytes]:
    """Octets `first` to before `first + most` of that, as far as they are there, in pieces that are not empty."""
    if encoding in IDENTITY:  # what is not wanted need not be read
        start = min(first, span.length)
        span, first = Span(span.offset + start, min(most, span.length - start)), 0
    at = 0
    for piece in _octets(content, span, encoding):
        if at >= first + most:
            return
        wanted = piece[max(first - at, 0) : first + most - at]
        at += len(piece)
        if wanted:
            yield wanted
