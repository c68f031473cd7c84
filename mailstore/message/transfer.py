"""Content transfer encodings (RFC 2045 6), decoded piece by piece and forgivingly: what cannot be part of the
encoding is passed over, and nothing raises."""

from __future__ import annotations

import binascii
from collections.abc import Iterable, Iterator
from typing import Final

_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NOT_BASE64: Final = bytes(set(range(256)) - set(_ALPHABET) - {0x3D})


def base64_octets(text: bytes) -> bytes:
    """What a whole base64 text stands for. Padding may be missing, or stand between two texts run together."""
    cleaned = text.translate(None, _NOT_BASE64)
    return b"".join(_unpadded(run) for run in cleaned.split(b"=") if run)


def _unpadded(run: bytes) -> bytes:
    if len(run) % 4 == 1:  # six bits are no octet
        run = run[:-1]
    return binascii.a2b_base64(run + b"=" * (-len(run) % 4))


def decoded(pieces: Iterable[bytes], encoding: bytes) -> Iterator[bytes]:
    """The octets that a body in pieces stands for. `encoding` in lower case; an unknown one changes nothing."""
    if encoding == b"base64":
        return _from_base64(pieces)
    if encoding == b"quoted-printable":
        return _from_quoted_printable(pieces)
    return iter(pieces)


def _from_base64(pieces: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        cleaned = rest + piece.translate(None, _NOT_BASE64)
        *closed, last = cleaned.split(b"=")
        whole = len(last) & ~3
        rest = last[whole:]
        yield b"".join(_unpadded(run) for run in (*closed, last[:whole]) if run)
    yield _unpadded(rest)


def _from_quoted_printable(pieces: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        text = rest + piece
        cut = text.rfind(b"\n") + 1
        if not cut:  # one long line: only an "=XX" must stay whole
            cut = text.rfind(b"=", -2)
            cut = len(text) if cut < 0 else cut
        yield binascii.a2b_qp(text[:cut])
        rest = text[cut:]
    yield binascii.a2b_qp(rest)
