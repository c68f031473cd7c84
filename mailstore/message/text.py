"""The texts of a message that IMAP SEARCH looks into (RFC 3501 6.4.4), decoded to Unicode.

A body's text is that of its text/* parts and of the messages inside it, their headers included. MIME headers,
attachments of other types, preambles and epilogues are left out, and HTML keeps its tags: so does Dovecot.
Compare `fold(key) in fold(text)`.
"""

from __future__ import annotations

import codecs
import mmap
import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from mailstore.message import charsets
from mailstore.message.headers import decode_words, fields
from mailstore.message.octets import Windows, pieces
from mailstore.message.structure import transfer_encoding, whole_header
from mailstore.message.transfer import decoded
from mailstore.message.walker import Part

_STEP: Final = 64 * 1024  # octets read at a time
_PIECE: Final = 64 * 1024  # characters handed out at a time, before the overlap
OVERLAP: Final = 4096

# A run that has no letters: only in such ones can there be many combining marks in a row.
_MARKS = re.compile(r"[^\w\s\x00-\x7f]{31,}")
_BLANKS = re.compile(r"[ \t]+")
_MARKS_AT_A_TIME: Final = 30  # as in Unicode's stream-safe text format (UAX 15, 13)


def header_text(header: bytes, name: bytes) -> list[str]:
    """The decoded values of all fields of that name."""
    wanted = name.lower()
    return [spaced(decode_words(value)) for found, value in fields(header) if found.lower() == wanted]


def all_header_text(header: bytes) -> list[str]:
    """All fields, each as `Name: value` with the value decoded."""
    return [f"{name.decode('latin-1')}: {spaced(decode_words(value))}" for name, value in fields(header)]


def spaced(text: str) -> str:
    """A header's text as it is compared: where it was folded, and how far indented then, says nothing."""
    return _BLANKS.sub(" ", text)


def body_texts(part: Part, data: bytes | mmap.mmap | Windows, overlap: int = OVERLAP) -> Iterator[str]:
    """The texts in the body of a message or part, in order.

    A text longer than _PIECE comes in several pieces. Each begins with the last `overlap` characters of the
    one before, so that what is shorter than that is never cut in two: ask for twice the length of what is
    looked for, since folding can lengthen it.
    """
    todo = [part]
    while todo:
        at = todo.pop()
        if at.message is not None:
            yield from all_header_text(whole_header(at.message, data))
            todo.append(at.message)
        elif at.parts:
            todo.extend(reversed(at.parts))
        elif at.content_type.type == b"text":
            yield from _overlapping(_text(at, data), overlap)


def fold(text: str) -> str:
    """A text as it is compared: without regard to case, width and other compatible forms, and taken apart, so that
    a letter is found below its marks as i;unicode-casemap wants it (RFC 5051 2, which I18NLEVEL=1 of RFC 5255
    promises). Case goes further than there: "ß" is "SS" too."""
    if text.isascii():
        return text.lower()
    if _MARKS.search(text) is None:
        return _taken_apart(text)
    return "".join(map(_taken_apart, _bounded_runs(text)))


def _taken_apart(text: str) -> str:
    """Twice, because folding puts some letters together again."""
    return unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())


def _bounded_runs(text: str) -> Iterator[str]:
    """The text cut so that no run has many combining marks: ordering n of them takes n * n steps."""
    position = 0
    for marks in _MARKS.finditer(text):
        yield text[position : marks.start()]
        for at in range(marks.start(), marks.end(), _MARKS_AT_A_TIME):
            yield text[at : min(at + _MARKS_AT_A_TIME, marks.end())]
        position = marks.end()
    yield text[position:]


def _text(part: Part, data: bytes | mmap.mmap | Windows) -> Iterator[str]:
    """The characters of a text part, piece by piece."""
    octets = decoded(pieces(data, part.body, part.end, _STEP), transfer_encoding(whole_header(part, data)))
    name = charsets.codec(part.content_type.param(b"charset") or b"")
    decoder: codecs.IncrementalDecoder | None = None
    for piece in octets:
        if decoder is None:
            if not piece or (name is None and piece.isascii()):
                yield piece.decode("ascii")
                continue
            chosen = charsets.with_byte_order(name, piece) if name else charsets.guessed_codec(piece)
            decoder = codecs.getincrementaldecoder(chosen)("replace")
        yield _decoded_so_far(decoder, piece)
    if decoder is not None:
        yield _decoded_so_far(decoder, b"", final=True)


def _decoded_so_far(decoder: codecs.IncrementalDecoder, piece: bytes, *, final: bool = False) -> str:
    """A piece decoded. CPython's stateful codecs keep at most eight octets of an unfinished escape sequence and raise
    beyond, whatever the error handler says: such octets are no text, so decoding starts afresh behind them."""
    try:
        return decoder.decode(piece, final)
    except UnicodeError:
        decoder.reset()
        return piece.decode("ascii", "replace")


def _overlapping(texts: Iterator[str], overlap: int) -> Iterator[str]:
    """The same text in pieces of _PIECE characters or a little more, each with the end of the one before."""
    waiting: list[str] = []
    length = 0
    fresh = False
    for text in texts:
        waiting.append(text)
        length += len(text)
        fresh = fresh or bool(text)
        if length >= _PIECE + overlap:
            piece = "".join(waiting)
            yield piece
            tail = piece[len(piece) - overlap :] if overlap else ""
            waiting, length, fresh = [tail], len(tail), False
    if fresh:
        yield "".join(waiting)
