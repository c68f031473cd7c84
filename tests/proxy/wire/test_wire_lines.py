"""Bytes to lines, within a limit."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.lines import BEGINNING, LineReader, LineTooLong

Result = bytes | str


def drained(reader: LineReader) -> list[Result]:
    """Every line that is there; a line over the limit as "too long"."""
    found: list[Result] = []
    while True:
        try:
            line = reader.next()
        except LineTooLong:
            found.append("too long")
            continue
        if line is None:
            return found
        found.append(line)


def fed(limit: int, *chunks: bytes) -> list[Result]:
    reader = LineReader(limit)
    found: list[Result] = []
    for chunk in chunks:
        reader.feed(chunk)
        found += drained(reader)
    return found


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"USER a", []),
        (b"USER a\r\n", [b"USER a"]),
        (b"USER a\n", [b"USER a"]),
        (b"\r\n\n", [b"", b""]),
        (b"a\r\nb\nc\r\nd", [b"a", b"b", b"c"]),
        (b"a\rb\r\n", [b"a\rb"]),
        (b"a\r\r\n", [b"a\r"]),
        (b"a\0b\xff\r\n", [b"a\0b\xff"]),
        (b"12345678\r\n12345678\n", [b"12345678", b"12345678"]),
        (b"123456789\r\nx\r\n", ["too long", b"x"]),
        (b"123456789\nx\n", ["too long", b"x"]),
        (b"12345678\r9\nx\n", ["too long", b"x"]),
        (b"1234567890abcdef\r\n1234567890abcdef\r\nx\r\n", ["too long", "too long", b"x"]),
        (b"1234567890", ["too long"]),
        (b"1234567890" * 99, ["too long"]),
    ],
)
def test_lines_within_eight_octets(data: bytes, lines: list[Result]) -> None:
    assert fed(8, data) == lines
    assert fed(8, *bytewise(data)) == lines


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b"abc", b"abcdefgh", b"\0"])), st.integers(0, 9))
def test_pieces_make_no_difference(pieces: list[bytes], limit: int) -> None:
    data = b"".join(pieces)
    assert fed(limit, data) == fed(limit, *pieces) == fed(limit, *bytewise(data))


@given(st.binary(), st.integers(0, 9))
def test_against_a_plain_model(data: bytes, limit: int) -> None:
    complete = [line.removesuffix(b"\r") for line in data.split(b"\n")[:-1]]
    expected: list[Result] = [line if len(line) <= limit else "too long" for line in complete]
    if len(data.split(b"\n")[-1]) > limit + 1:
        expected.append("too long")
    assert fed(limit, data) == expected


def test_a_line_over_the_limit_is_not_held() -> None:
    reader = LineReader(100)
    reader.feed(b"RETR " + b"x" * 500)
    with pytest.raises(LineTooLong) as raised:
        reader.next()
    assert raised.value.beginning == b"RETR " + b"x" * 95
    for _ in range(100):
        reader.feed(b"x" * 1000)
        assert reader.next() is None
        assert reader.pending == 0
        assert reader.skipping
    reader.feed(b"x\r\nNOOP\r\n")
    assert reader.next() == b"NOOP"
    assert not reader.skipping


def test_its_beginning_is_short() -> None:
    reader = LineReader(10_000)
    reader.feed(b"x" * 20_000 + b"\r\n")
    with pytest.raises(LineTooLong) as raised:
        reader.next()
    assert len(raised.value.beginning) == BEGINNING
    assert reader.next() is None


def test_the_limit_may_change_between_lines() -> None:
    reader = LineReader(4)
    reader.feed(b"1234\r\n12345678\r\n")
    assert reader.next() == b"1234"
    reader.limit = 8
    assert reader.next() == b"12345678"


def test_what_came_before_tls_is_thrown_away() -> None:
    reader = LineReader(100)
    reader.feed(b"STLS\r\nUSER eve\r\nPA")
    assert reader.next() == b"STLS"
    reader.clear()
    assert reader.pending == 0
    reader.feed(b"SS x\r\n")
    assert reader.next() == b"SS x"


def test_clearing_ends_skipping() -> None:
    reader = LineReader(4)
    reader.feed(b"123456789")
    with pytest.raises(LineTooLong):
        reader.next()
    reader.clear()
    reader.feed(b"NOOP\r\n")
    assert reader.next() == b"NOOP"


def test_leftovers() -> None:
    reader = LineReader(100)
    reader.feed(b"one\r\ntwo\r\nthr")
    assert reader.next() == b"one"
    assert reader.pending == 8
    assert reader.read(2) == b"tw"
    assert reader.take() == b"o\r\nthr"
    assert reader.take() == b""
    assert reader.pending == 0


def test_ten_thousand_lines_at_once_and_a_long_line_bytewise() -> None:
    """Either would take many seconds if the time grew with the square."""
    start = time.process_time()
    assert fed(512, b"NOOP\r\n" * 10_000) == [b"NOOP"] * 10_000
    line = b"x" * 60_000
    assert fed(65_536, *bytewise(line + b"\r\n")) == [line]
    assert time.process_time() - start < 5
