"""Where a message ends, and what was in it, however it is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.lmtp.data import DataDecoder, HeaderFilter
from tests.mailstore.store_rig import HARD_MESSAGES

END = b".\r\n"


def decode(data: bytes, cuts: int = 0) -> tuple[bytes, bytes | None]:
    """The content, and what is behind the end, None where there is none. `cuts`: octets of a piece; 0: all."""
    decoder, content = DataDecoder(), b""
    step = cuts or max(len(data), 1)
    for at in range(0, len(data), step):
        piece, end = decoder.feed(data[at : at + step])
        content += piece
        if end >= 0:
            return content, data[at : at + step][end:] + data[at + step :]
    return content, None


def stuffed(content: bytes) -> bytes:
    return (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:]


@pytest.mark.parametrize(
    ("data", "content"),
    [
        (b".\r\n", b""),
        (b"\r\n.\r\n", b"\r\n"),
        (b"a\r\n.\r\n", b"a\r\n"),
        (b"..\r\n.\r\n", b".\r\n"),
        (b"...\r\n.\r\n", b"..\r\n"),
        (b".a\r\n.b\r\n.\r\n", b"a\r\nb\r\n"),
        (b".\r\r\n.\r\n", b"\r\r\n"),
        (b"a\r\r\n.\r\n", b"a\r\r\n"),
        (b"\r\n\r\n..\r\n.\r\n", b"\r\n\r\n.\r\n"),
        (b"a\0b\xff\r\n.\r\n", b"a\0b\xff\r\n"),
    ],
)
@pytest.mark.parametrize("cuts", [0, 1, 2, 3])
def test_the_end_and_the_dots(data: bytes, content: bytes, cuts: int) -> None:
    assert decode(data + b"RSET\r\n", cuts) == (content, b"RSET\r\n")


SMUGGLED = b"MAIL FROM:<ceo@123.com>\r\nRCPT TO:<anna@123.com>\r\nDATA\r\nFrom: ceo@123.com\r\n\r\npay\r\n"


@pytest.mark.parametrize(
    "almost",
    [
        b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r.\r\n", b"\r\n.\n", b"\r\n.\r", b"\n\n.\r\n", b"\r\r\n.\r\r\n",
        b"\r\n.\r\r\n", b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\r\n. \r\n", b"\x85.\x85", b"\r\n\xe2\x80\xa4\r\n", b"\n.\r",
    ],
)  # fmt: skip
@pytest.mark.parametrize("cuts", [0, 1, 2, 3, 5])
def test_nothing_else_ends_a_message(almost: bytes, cuts: int) -> None:
    """The cases of "SMTP smuggling": what a sender's server passes on as content must be content here."""
    content, behind = decode(b"Subject: a\r\n\r\ntext" + almost + SMUGGLED + END, cuts)
    assert behind == b""
    assert content.endswith(SMUGGLED)
    assert content.startswith(b"Subject: a\r\n\r\ntext")


@pytest.mark.parametrize("content", HARD_MESSAGES.values(), ids=HARD_MESSAGES)
def test_octets_are_kept(content: bytes) -> None:
    whole = content if content.endswith(b"\r\n") or not content else content + b"\r\n"
    for cuts in (0, len(content) // 7 + 1):
        assert decode(stuffed(whole) + END + b"x", cuts) == (whole, b"x")


CONTENT = st.lists(st.sampled_from([b".", b"\r", b"\n", b"\r\n", b"\r\n.", b"a", b"\0", b".."]), max_size=12).map(
    b"".join
)


@given(content=CONTENT, cuts=st.integers(0, 4), more=CONTENT)
def test_whatever_is_stuffed_comes_back(content: bytes, cuts: int, more: bytes) -> None:
    content += b"\r\n"
    assert decode(stuffed(content) + END + more, cuts) == (content, more)


@given(data=CONTENT, cuts=st.integers(1, 4))
def test_however_it_is_cut(data: bytes, cuts: int) -> None:
    whole, bytewise = decode(data), decode(data, cuts)
    assert whole[1] == bytewise[1]
    assert whole[0] == bytewise[0]


# The header


def filtered(data: bytes, cuts: int = 0) -> tuple[bytes, int]:
    header, step = HeaderFilter(), cuts or max(len(data), 1)
    kept = b"".join(header.feed(data[at : at + step]) for at in range(0, len(data), step))
    return kept + header.end(), header.received


@pytest.mark.parametrize(
    ("data", "kept", "received"),
    [
        (b"", b"", 0),
        (b"\r\nReturn-Path: <a>\r\nReceived: x\r\n", b"\r\nReturn-Path: <a>\r\nReceived: x\r\n", 0),
        (b"Return-Path: <a>\r\nSubject: b\r\n\r\nx", b"Subject: b\r\n\r\nx", 0),
        (b"Received: a\r\n\tb\r\nReceived: c\nX: Received: d\r\n\r\nReceived: e", None, 2),
        (b"A: b\r\nRETURN-PATH :\r\n\t<a>\r\n  (c)\r\nB: c\r\n\r\n", b"A: b\r\nB: c\r\n\r\n", 0),
        (b"A: b\nReturn-Path: <a>\n\nReturn-Path: <b>\n", b"A: b\n\nReturn-Path: <b>\n", 0),
        (
            b"Return-Path: <" + b"a" * 5000 + b">\r\nA: " + b"b" * 5000 + b"\r\n\r\n",
            b"A: " + b"b" * 5000 + b"\r\n\r\n",
            0,
        ),
        (b"Return-Path-Not: a\r\nreturn-pat: b\r\n:\r\n\0\r\n", None, 0),
        (b"Return-Path: <never ended", b"", 0),
        (b"no header at all", None, 0),
        (b"Return-Path: <a>\r\n\r\n body\r\n", b"\r\n body\r\n", 0),
    ],
)
@pytest.mark.parametrize("cuts", [0, 1, 3, 64])
def test_return_path_goes_and_received_lines_are_counted(
    data: bytes, kept: bytes | None, received: int, cuts: int
) -> None:
    assert filtered(data, cuts) == (data if kept is None else kept, received)


LINES = st.lists(st.sampled_from([b"Return-Path: x", b"Received: y", b" z", b"\t", b"", b"A:", b"w" * 70]), max_size=8)


@given(lines=LINES, end=st.sampled_from([b"\r\n", b"\n"]), cuts=st.integers(1, 80))
def test_a_header_however_it_is_cut(lines: list[bytes], end: bytes, cuts: int) -> None:
    data = end.join(lines)
    assert filtered(data, cuts) == filtered(data)
