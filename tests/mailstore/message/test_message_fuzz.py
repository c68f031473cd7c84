"""Whatever the octets: nothing raises, and what `walk` promises holds."""

from __future__ import annotations

import base64
import mmap
import random
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from mailstore.message import charsets, walker
from mailstore.message.addresses import addresses
from mailstore.message.arrival import arrival, header_end
from mailstore.message.dates import moment, sent_date
from mailstore.message.envelope import envelope
from mailstore.message.headers import decode_words, fields, first, unfold
from mailstore.message.parameters import content_type, word_with_params
from mailstore.message.section import header_fields, locate
from mailstore.message.structure import Leaf, Structure, structure
from mailstore.message.text import all_header_text, body_texts, fold
from mailstore.message.walker import Part, find, walk

PIECES = [
    b"Content-Type: multipart/mixed; boundary=a\r\n", b"Content-Type: multipart/digest; boundary=\"a b\"\r\n",
    b"Content-Type: multipart/alternative;\n boundary=ab\n", b"Content-Type: message/rfc822\r\n",
    b"Content-Type: text/plain; charset=gb2312\r\n", b"Content-Type: text/html; charset*0=u; charset*1=tf-7\r\n",
    b"Content-Transfer-Encoding: base64\r\n", b"Content-Transfer-Encoding: quoted-printable\r\n",
    b"Content-Disposition: attachment; filename*0*=utf-8''%E4; filename*1=\"x\r\n", b"Content-Type:\r\n", b"Content-",
    b"--a\r\n", b"--a--\r\n", b"--ab\n", b"--ab--\n", b"--a b \r\n", b"--a b--x\r\n", b"--", b"--a",
    b"\r\n", b"\n", b"\r",
    b"\r\n\r\n", b"\n\n", b"Subject: =?gb2312?B?1tDO?= =?gb2312?B?xA==?=\r\n",
    b"From: \"a <b@c>, (d\r\n", b"To: g: a@b;\r\n",
    b"Received: by x (a;b); Tue, 3 Jun 2008 09:16:17 +0800 (CST)\r\n", b"Date: 31 Feb 99 25:61\r\n", b"Status: RO\r\n",
    b"text =E4=BD\r\n", b"5L2g5aW9\r\n", b"\xd6\xd0\xce\xc4", b"\x1b$B", b"~{", b"+AGE-",
    b"\0", b"\xff", b" ", b"\t", b";", b":",
]  # fmt: skip

messages = st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=6)), max_size=40).map(b"".join)

SIGNS = [bytes([sign]) for sign in b'<>@,()"\\=*%;']
values = st.lists(st.one_of(st.sampled_from(PIECES + SIGNS), st.binary(max_size=4)), max_size=25).map(b"".join)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A message that looks like one, with some octets changed, lost or doubled."""
    data = bytearray(draw(st.sampled_from(REAL)))
    chance = random.Random(draw(st.integers(0, 2**32)))
    for _ in range(draw(st.integers(0, 8))):
        at = chance.randrange(len(data))
        to = min(len(data), at + chance.randrange(1, 30))
        data[at:to] = chance.choice((b"", data[at:to] * 2, chance.randbytes(2), b"\n", b"-", b'"', b"\r\n\r\n"))
        if not data:
            return b""
    return bytes(data)


REAL = [
    b"Received: from mx (mx [10.0.0.1])\r\n\tby mail.123.com; Tue, 3 Jun 2008 09:16:17 +0800 (CST)\r\n"
    b'From: =?gb2312?B?1tDOxA==?= <zhong@123.com>\r\nTo: "Li, Si" <li@123.com>, wang@123.com (Wang)\r\n'
    b"Subject: =?GB2312?B?1tDOxNPKvP4=?=\r\nMIME-Version: 1.0\r\nStatus: RO\r\n"
    b'Content-Type: multipart/mixed; boundary="----=_Part_1"\r\n\r\nThis is MIME.\r\n'
    b'------=_Part_1\r\nContent-Type: multipart/alternative; boundary="----=_Part_12"\r\n\r\n'
    b"------=_Part_12\r\nContent-Type: text/plain; charset=gb2312\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    b"1tDOxA==\r\n"
    b"------=_Part_12\r\nContent-Type: text/html; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: quoted-printable\r\n\r\n<p>=E4=BD=A0</p>\r\n------=_Part_12--\r\n\r\n"
    b"------=_Part_1\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\nFrom: a@b\r\n\r\nbody\r\n"
    b'------=_Part_1\r\nContent-Type: application/pdf; name="=?gbk?B?1tDOxA==?=.pdf"\r\n'
    b"Content-Disposition: attachment; filename*=gbk''%D6%D0.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nQUJD\r\n"
    b"------=_Part_1--\r\n",
    b"Date: Tue, 3 Jun 08 09:16 GMT\nFrom: root\nSubject: bare LF\n\nline\n.leading dot\n\nend",
]


def check_part(part: Part, data: bytes) -> int:
    """The promises of the walker's docstring; gives back the number of parts."""
    assert 0 <= part.start <= part.body <= part.end <= len(data)
    assert part.header == data[part.start : part.body]
    assert not (part.parts and part.message)
    assert (part.boundary is not None) == bool(part.parts) == (part.content_type.type == b"multipart")
    inside = (part.message,) if part.message is not None else part.parts
    at = part.body
    for each in inside:
        assert at <= each.start
        at = each.end
    assert at <= part.end
    if part.message is not None:
        assert (part.message.start, part.message.end) == (part.body, part.end)
    if part.content_type.type == b"text" or part.message is not None:
        assert part.lines == data.count(b"\n", part.body, part.end)
    return 1 + sum(check_part(each, data) for each in inside)


def check_structure(found: Structure) -> None:
    if isinstance(found, Leaf):
        message = (found.type, found.subtype) in ((b"message", b"rfc822"), (b"message", b"global"))
        assert found.type != b"multipart"
        assert (found.lines is not None) == (message or found.type == b"text")
        assert (found.envelope is not None) == (found.inner is not None) == message
        strings = [found.encoding, found.id, found.description, found.location, *(v for p in found.params for v in p)]
        assert not any(octet in (string or b"") for string in strings for octet in b"\r\n\0")
        if found.inner is not None:
            check_structure(found.inner)
    else:
        assert found.parts
        for each in found.parts:
            check_structure(each)


def check_message(data: bytes) -> None:
    root = walk(data)
    assert check_part(root, data) <= walker.MAX_PARTS
    check_structure(structure(root, data))
    assert (root.start, root.body, root.end) == (0, header_end(data), len(data))
    for path in ((), (1,), (1, 1), (2, 1), (2, 1, 1)):
        find(root, path)
        for what in ("", "HEADER", "TEXT", "MIME"):
            span = locate(root, path, what)
            assert span is None or 0 <= span.offset <= span.offset + span.length <= len(data)
    for text in (*all_header_text(root.header), *body_texts(root, data)):
        fold(text)
    envelope(root.header)
    arrival(root.header)
    sent_date(root.header)


@given(messages)
@settings(max_examples=400, deadline=None)
def test_messages_out_of_pieces(data: bytes) -> None:
    check_message(data)


@given(mutated())
@settings(max_examples=300, deadline=None)
def test_messages_that_were_damaged(data: bytes) -> None:
    check_message(data)


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_random_octets(data: bytes) -> None:
    check_message(data)
    check_message(b"Content-Type: " + data)


@given(values)
@settings(max_examples=300, deadline=None)
def test_values(value: bytes) -> None:
    for address in addresses(value):
        assert (address.host is None) <= (address.name is None and address.route is None)
        assert address.host != b""
    plain = unfold(value)
    assert not any(octet in plain for octet in b"\r\n\0")
    decode_words(value)
    content_type(value)
    word_with_params(value)
    moment(value)
    for name, found in fields(value):
        assert first(value, name) is not None
        assert found in value
        assert name + b":" in header_fields(value, [name], exclude=False).replace(b" ", b"").replace(b"\t", b"")


@given(messages, st.integers(1, 40))
@settings(max_examples=150, deadline=None)
def test_a_mapping_gives_the_same_tree(data: bytes, step: int) -> None:
    if not data:
        return  # nothing to map
    with (
        mock.patch.multiple("mailstore.message.octets", MAPPED=0, STEP=step, _give_back=lambda *_: None),
        mmap.mmap(-1, len(data)) as mapping,
    ):
        mapping[:] = data
        assert walk(mapping) == walk(data)


BITS = [b"\x1b$B", b"\x1b(", b"\x1b$)C", b"\x0e", b"~{", b"~", b"+A", b"+", b"-", b"\xff\xfe", b"\x81", b"\n", b"a"]


@given(
    st.sampled_from(sorted(charsets._CODECS)),
    st.lists(st.one_of(st.sampled_from(BITS), st.binary(max_size=4)), max_size=20).map(b"".join),
    st.integers(1, 9),
)
@settings(max_examples=400, deadline=None)
def test_charsets(name: str, octets: bytes, step: int) -> None:
    assert charsets.codec(name.encode()) is not None or name == "ascii"
    data = b"Content-Type: text/plain; charset=" + name.encode() + b"\r\n\r\n" + octets
    with mock.patch("mailstore.message.text._STEP", step):
        "".join(body_texts(walk(data), data)).encode("utf-8", "surrogatepass")
    decode_words(b"=?" + name.encode() + b"?B?" + base64.b64encode(octets) + b"?=")
