"""Parameters and BODYSTRUCTURE."""

from __future__ import annotations

import time

import pytest

from mailstore.message.parameters import ContentType, content_type, word_with_params
from mailstore.message.structure import Disposition, Leaf, Multipart, structure
from mailstore.message.walker import Part, walk

TYPES = [
    (None, ContentType(b"text", b"plain")),
    (b"", ContentType(b"text", b"plain")),
    (b" Text/HTML", ContentType(b"text", b"html")),
    (b"text", ContentType(b"text", b"plain")),
    (b"text/", ContentType(b"text", b"plain")),
    (b"text / plain ; a = b", ContentType(b"text", b"plain", ((b"a", b"b"),))),
    (b"text/plain; charset=us-ascii (Plain text)", ContentType(b"text", b"plain", ((b"charset", b"us-ascii"),))),
    (b'a/b; N="x;y\\"z"; M=1;', ContentType(b"a", b"b", ((b"n", b'x;y"z'), (b"m", b"1")))),
    (b'a/b;n="folded\r\n value"', ContentType(b"a", b"b", ((b"n", b"folded value"),))),
    (
        b"a/b; name=annual report (1).pdf; x=y",
        ContentType(b"a", b"b", ((b"name", b"annual report (1).pdf"), (b"x", b"y"))),
    ),
    (b'a/b; n="never closed', ContentType(b"a", b"b", ((b"n", b"never closed"),))),
    (b'a/b; n="a"m=b', ContentType(b"a", b"b", ((b"n", b"a"), (b"m", b"b")))),
    (b"a/b charset=utf-8", ContentType(b"a", b"b", ((b"charset", b"utf-8"),))),
    (b"a/b; n; =x; ; m=", ContentType(b"a", b"b", ((b"m", b""),))),
    (b"a/b; n=\xd6\xd0", ContentType(b"a", b"b", ((b"n", b"\xd6\xd0"),))),
    # RFC 2231
    (b"a/b; n*0=x; m=1; n*1=y", ContentType(b"a", b"b", ((b"n", b"xy"), (b"m", b"1")))),
    (b"a/b; n*1=y; n*0=x", ContentType(b"a", b"b", ((b"n", b"xy"),))),
    (b"a/b; n*0=x; n*2=z", ContentType(b"a", b"b", ((b"n", b"x"),))),
    (b"a/b; n*1=y", ContentType(b"a", b"b", ((b"n*1", b"y"),))),
    (b"a/b; n*=utf-8''%E4%BD%A0", ContentType(b"a", b"b", ((b"n*", b"utf-8''%E4%BD%A0"),))),
    (b"a/b; n*0*=utf-8''%E4; n*1*=%BD%A0", ContentType(b"a", b"b", ((b"n*", b"utf-8''%E4%BD%A0"),))),
    (b"a/b; n*0*=utf-8''%E4; n*1=\"x %\"", ContentType(b"a", b"b", ((b"n*", b"utf-8''%E4x%20%25"),))),
    (b"a/b; n*0=x; n*1*=%41", ContentType(b"a", b"b", ((b"n*", b"''x%41"),))),
]


@pytest.mark.parametrize(("value", "expected"), TYPES)
def test_content_type(value: bytes | None, expected: ContentType) -> None:
    assert content_type(value) == expected


def test_param() -> None:
    found = content_type(b"a/b; n=x; m*=utf-8'en'%E4%BD%A0; bad*=%41")
    assert found.param(b"n") == b"x"
    assert found.param(b"m") == "你".encode()
    assert found.param(b"bad") == b"A"
    assert found.param(b"o") is None


def test_disposition() -> None:
    assert word_with_params(b" (x) Attachment; filename=y") == (b"attachment", ((b"filename", b"y"),))
    assert word_with_params(b"; filename=y") is None


HOSTILE = [b" ", b"; ", b";a", b"=", b'"', b'\\"', b";a=b", b";a*0=b", b"(", b"a ", b";a*0*=%41;a*1*=%41"]


@pytest.mark.parametrize("pattern", HOSTILE)
def test_time_is_linear(pattern: bytes) -> None:
    def took(value: bytes) -> float:
        best = 1.0e9
        for _ in range(3):
            began = time.process_time()
            content_type(value)
            best = min(best, time.process_time() - began)
        return best

    assert took(b"a/b;" + pattern * 16_000) < 24 * took(b"a/b;" + pattern * 2_000) + 0.01


def text(octets: int, lines: int | None, **other: object) -> Leaf:
    values: dict[str, object] = {
        "type": b"text",
        "subtype": b"plain",
        "params": ((b"charset", b"us-ascii"),),
        "id": None,
        "description": None,
        "encoding": b"7BIT",
        "octets": octets,
        "lines": lines,
        "envelope": None,
        "inner": None,
        "md5": None,
        "disposition": None,
        "language": (),
        "location": None,
    }
    return Leaf(**{**values, **other})  # type: ignore[arg-type]


def of(data: bytes) -> Leaf | Multipart:
    return structure(walk(data), data)


def test_a_message_that_says_nothing() -> None:
    assert of(b"") == text(0, 0)
    assert of(b"A: b\r\n\r\none\r\ntwo") == text(8, 1)


def test_everything_that_a_leaf_can_say() -> None:
    assert of(
        b'Content-Type: text/HTML; charset="gb2312"; name=x\r\nContent-ID:  <a@b> \r\nContent-Description: a\r\n b\r\n'
        b"Content-Transfer-Encoding: (c) Base64;\r\nContent-MD5: Q2hlY2s=\r\n"
        b"Content-Disposition: Attachment; FileName*=utf-8''%41; size=3\r\n"
        b"Content-Language: en (English), de\r\nContent-Location: http://x/y\r\n\r\nYQ==\r\n"
    ) == text(
        6,
        1,
        subtype=b"html",
        params=((b"charset", b"gb2312"), (b"name", b"x")),
        id=b"<a@b>",
        description=b"a b",
        encoding=b"BASE64",
        md5=b"Q2hlY2s=",
        disposition=Disposition(b"attachment", ((b"filename*", b"utf-8''%41"), (b"size", b"3"))),
        language=(b"en", b"de"),
        location=b"http://x/y",
    )


def test_other_types_have_no_lines_and_no_charset() -> None:
    assert of(b"Content-Type: image/png\r\n\r\nx\r\n") == text(3, None, type=b"image", subtype=b"png", params=())


def test_a_multipart_with_a_message() -> None:
    found = of(
        b"Content-Type: multipart/mixed; boundary=a\r\nContent-Language: en\r\nContent-Disposition: inline\r\n\r\n"
        b"--a\r\n\r\none\r\n--a\r\nContent-Type: message/rfc822\r\n\r\nSubject: s\r\n\r\nx\r\n\r\n--a--\r\n"
    )
    assert isinstance(found, Multipart)
    assert (found.subtype, found.params, found.language) == (b"mixed", ((b"boundary", b"a"),), (b"en",))
    assert found.disposition == Disposition(b"inline", ())
    one, message = found.parts
    assert one == text(3, 0)
    assert isinstance(message, Leaf)
    assert (message.type, message.subtype, message.octets, message.lines) == (b"message", b"rfc822", 17, 3)
    assert message.envelope is not None
    assert message.envelope.subject == b"s"
    assert message.inner == text(3, 1)


def test_malformed_fields_are_left_out() -> None:
    assert of(
        b"Content-Disposition: ;\r\nContent-Transfer-Encoding: ;\r\nContent-ID:\r\nContent-Language: ,\r\n\r\n"
    ) == (text(0, 0))


def test_what_has_no_parts_is_no_multipart() -> None:
    for header in (b"Content-Type: multipart/mixed\r\n\r\n", b"Content-Type: multipart/mixed; boundary=x\r\n\r\n"):
        assert of(header + b"one\r\n") == text(5, 1)


def test_a_header_beyond_the_copied_ones_still_counts() -> None:
    data = b"Content-ID: <a@b>\r\n\r\nx"
    whole = walk(data)
    cut = Part(whole.start, whole.body, whole.end, b"", whole.content_type, (), None, 0, None)
    assert structure(cut, data) == text(1, 0, id=b"<a@b>")
