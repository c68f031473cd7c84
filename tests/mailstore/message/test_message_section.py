"""Sections and header subsets (RFC 3501 6.4.5)."""

from __future__ import annotations

import pytest

from mailstore.message.section import Span, header_fields, locate
from mailstore.message.walker import walk

MESSAGE = (
    b"Subject: outer\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n"
    b"--a\r\nContent-Type: text/plain\r\n\r\none\r\n"
    b"--a\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninner text\r\n"
    b"--a--\r\n"
)
PLAIN = b"A: b\r\n\r\ntext"

SECTIONS = [
    (MESSAGE, (), "", MESSAGE),
    (MESSAGE, (), "HEADER", MESSAGE[:61]),
    (MESSAGE, (), "TEXT", MESSAGE[61:]),
    (MESSAGE, (), "MIME", None),
    (MESSAGE, (1,), "", b"one"),
    (MESSAGE, (1,), "MIME", b"Content-Type: text/plain\r\n\r\n"),
    (MESSAGE, (1,), "HEADER", None),
    (MESSAGE, (1,), "TEXT", None),
    (MESSAGE, (2,), "", b"Subject: inner\r\n\r\ninner text"),
    (MESSAGE, (2,), "MIME", b"Content-Type: message/rfc822\r\n\r\n"),
    (MESSAGE, (2,), "HEADER", b"Subject: inner\r\n\r\n"),
    (MESSAGE, (2,), "TEXT", b"inner text"),
    (MESSAGE, (2, 1), "", b"inner text"),
    (MESSAGE, (2, 1), "MIME", b"Subject: inner\r\n\r\n"),
    (MESSAGE, (2, 1), "HEADER", None),
    (MESSAGE, (3,), "", None),
    (PLAIN, (1,), "", b"text"),
    (PLAIN, (1,), "MIME", b"A: b\r\n\r\n"),
    (PLAIN, (1,), "TEXT", None),
    (b"", (), "", b""),
    (b"", (), "TEXT", b""),
]


@pytest.mark.parametrize(("message", "path", "what", "octets"), SECTIONS)
def test_locate(message: bytes, path: tuple[int, ...], what: str, octets: bytes | None) -> None:
    span = locate(walk(message), path, what)
    found = message[span.offset : span.offset + span.length] if span is not None else None
    assert found == octets


def test_a_span_is_an_offset_and_a_length() -> None:
    assert locate(walk(PLAIN), (), "TEXT") == Span(8, 4)


HEADER = (
    b"From dummy line\r\nSubject: a\r\n folded\r\n\tvalue\r\nTO : x@y\r\n"
    b"X-Subject: no\r\nno colon\r\nsubject:b\nDate: z\r\n\r\n"
)

SUBSETS = [
    ([b"SUBJECT"], False, b"Subject: a\r\n folded\r\n\tvalue\r\nsubject:b\n\r\n"),
    ([b"to", b"date"], False, b"TO : x@y\r\nDate: z\r\n\r\n"),
    ([b"missing"], False, b"\r\n"),
    (
        [b"subject", b"date"],
        True,
        b"From dummy line\r\nTO : x@y\r\nX-Subject: no\r\nno colon\r\n\r\n",
    ),
]


@pytest.mark.parametrize(("names", "exclude", "expected"), SUBSETS)
def test_header_fields(names: list[bytes], exclude: bool, expected: bytes) -> None:
    assert header_fields(HEADER, names, exclude=exclude) == expected


def test_header_fields_close_a_header_without_end() -> None:
    assert header_fields(b"A: b\r\nC: d", [b"c"], exclude=False) == b"C: d\r\n\r\n"
    assert header_fields(b"", [b"c"], exclude=True) == b"\r\n"
    assert header_fields(b"\r\n", [b"c"], exclude=True) == b"\r\n"


def test_header_fields_keep_everything_when_nothing_is_excluded() -> None:
    assert header_fields(HEADER, [], exclude=True) == HEADER
