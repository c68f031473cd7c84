"""What an IMAP BODYSTRUCTURE says of a message (RFC 3501 7.4.2), as values.

Every value is fit to be written: each multipart has parts, each message/rfc822 its envelope and structure,
each text its lines. Strings have no CR, LF or NUL; they may have 8-bit octets.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from typing import Final

from mailstore.message.envelope import Envelope, envelope
from mailstore.message.headers import first, first_in, unfold, without_comments
from mailstore.message.octets import Windows
from mailstore.message.parameters import Params, word, word_with_params
from mailstore.message.walker import HEADER_LIMIT, Part


@dataclass(frozen=True, slots=True)
class Disposition:
    """Content-Disposition (RFC 2183)."""

    type: bytes
    params: Params


@dataclass(frozen=True, slots=True)
class Multipart:
    """A multipart with its parts, at least one."""

    parts: tuple[Structure, ...]
    subtype: bytes
    params: Params
    disposition: Disposition | None
    language: tuple[bytes, ...]
    location: bytes | None


@dataclass(frozen=True, slots=True)
class Leaf:
    """Any other part. `lines` for text/* and messages; `envelope` and `inner` for messages only."""

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

_CHARSET: Final = (b"charset", b"us-ascii")  # a text's charset when it declares none (RFC 2045 5.2)


def structure(part: Part, data: bytes | mmap.mmap | Windows) -> Structure:
    """The structure of a part that `walk` found in `data`. Raises nothing; no deeper than the walk went."""
    header = whole_header(part, data)
    lowered = header.lower()

    def text(name: bytes) -> bytes | None:
        value = first_in(header, lowered, name)
        return unfold(value) or None if value is not None else None

    kind = part.content_type
    disposition = _disposition(first_in(header, lowered, b"content-disposition"))
    language = _languages(text(b"content-language"))
    location = text(b"content-location")
    if part.parts:
        return Multipart(
            tuple(structure(each, data) for each in part.parts),
            kind.subtype,
            kind.params,
            disposition,
            language,
            location,
        )
    params = kind.params
    if kind.type == b"text" and not any(name in (b"charset", b"charset*") for name, _ in params):
        params = (*params, _CHARSET)
    inner = part.message
    return Leaf(
        kind.type,
        kind.subtype,
        params,
        text(b"content-id"),
        text(b"content-description"),
        transfer_encoding(header).upper(),
        part.end - part.body,
        part.lines if kind.type == b"text" or inner is not None else None,
        envelope(inner.header) if inner is not None else None,
        structure(inner, data) if inner is not None else None,
        text(b"content-md5"),
        disposition,
        language,
        location,
    )


def whole_header(part: Part, data: bytes | mmap.mmap | Windows) -> bytes:
    """A part's header, also where the walk had copied as much of headers as it may (HEADERS_LIMIT)."""
    length = min(part.body - part.start, HEADER_LIMIT)
    return part.header if len(part.header) >= length else data[part.start : part.start + length]


def transfer_encoding(header: bytes) -> bytes:
    """The content transfer encoding that a header declares, in lower case; 7bit when it declares none."""
    value = first(header, b"content-transfer-encoding")
    return (word(value) or b"7bit").lower() if value is not None else b"7bit"


def _disposition(value: bytes | None) -> Disposition | None:
    found = word_with_params(value) if value is not None else None
    return Disposition(*found) if found is not None else None


def _languages(value: bytes | None) -> tuple[bytes, ...]:
    """The tags of a Content-Language list (RFC 3282)."""
    if value is None:
        return ()
    tags = (tag.strip(b" \t") for tag in without_comments(value).split(b","))
    return tuple(tag for tag in tags if tag)
