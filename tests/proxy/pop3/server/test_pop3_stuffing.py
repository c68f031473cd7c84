"""Dot-stuffing, cut anywhere: what goes out is what a client that reads lines up to LF takes back in."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.stuffing import Stuffer, TopCut, stuffed

MAIL = st.lists(st.sampled_from([b".", b"..", b"\r", b"\n", b"\r\n", b"\0", b"a", b"\xe4"]), max_size=40).map(b"".join)
CUTS = st.lists(st.integers(0, 80), max_size=6)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[start:stop] for start, stop in pairwise(edges)]


def unstuffed(block: bytes) -> bytes:
    """By the letter of RFC 1939 3: lines end in CRLF."""
    lines = block.split(b"\r\n")
    assert lines[-2:] == [b".", b""], "the block has no end"
    assert b"." not in lines[:-2], "the block ends before its end"
    return b"".join(line.removeprefix(b".") + b"\r\n" for line in lines[:-2])


def ends_for_who_reads_up_to_lf(block: bytes) -> bool:
    lines = block.split(b"\n")
    return lines[-2:] == [b".\r", b""] and not {b".", b".\r"} & set(lines[:-2])


@pytest.mark.parametrize(
    ("message", "block"),
    [
        (b"", b".\r\n"),
        (b"a\r\n", b"a\r\n.\r\n"),
        (b"a", b"a\r\n.\r\n"),
        (b"a\r", b"a\r\r\n.\r\n"),
        (b"a\n", b"a\n\r\n.\r\n"),
        (b"\r\n", b"\r\n.\r\n"),
        (b".", b"..\r\n.\r\n"),
        (b".\r\n", b"..\r\n.\r\n"),
        (b"a\n.b\r\n..\r\n", b"a\n.b\r\n...\r\n.\r\n"),
        (b"a\n.\r\nb\r\n", b"a\n..\r\nb\r\n.\r\n"),
        (b"a\n.\nb\r\n", b"a\n..\nb\r\n.\r\n"),
        (b"a\n.", b"a\n..\r\n.\r\n"),
        (b"a\n.\n", b"a\n..\n\r\n.\r\n"),
        (b"a\n.\n.\r\n", b"a\n..\n..\r\n.\r\n"),
        (b"\0\n\xff\r\n", b"\0\n\xff\r\n.\r\n"),
        (b"a\r.b\r\n", b"a\r.b\r\n.\r\n"),
    ],
)
def test_blocks(message: bytes, block: bytes) -> None:
    assert stuffed(message) == block


@given(message=MAIL, cuts=CUTS)
def test_cuts_make_no_difference_and_nothing_is_lost(message: bytes, cuts: list[int]) -> None:
    stuffer = Stuffer()
    block = b"".join(stuffer.piece(piece) for piece in pieces(message, cuts)) + stuffer.end()
    assert block == stuffed(message)
    assert block.endswith(b"\r\n.\r\n") or block == b".\r\n"
    assert ends_for_who_reads_up_to_lf(block) or block == b".\r\n"
    whole = message if message == b"" or message.endswith(b"\r\n") else message + b"\r\n"
    assert unstuffed(block) == re.sub(rb"(?<!\r)\n\.(?=\r?\n)", b"\n..", whole)


def top(message: bytes, lines: int) -> bytes:
    """The rule, line by line."""
    out, in_header, left = b"", True, lines
    for line in message.split(b"\n"):
        if not in_header and left == 0:
            break
        out += line + b"\n"
        if not in_header:
            left -= 1
        elif line in {b"", b"\r"}:
            in_header = False
    return out if len(out) <= len(message) else message


@given(message=MAIL, lines=st.integers(0, 5), cuts=CUTS)
def test_top(message: bytes, lines: int, cuts: list[int]) -> None:
    cut = TopCut(lines)
    got = b"".join(cut.piece(piece) for piece in pieces(message, cuts) if not cut.done)
    assert got == top(message, lines)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [(0, b"A: b\r\n\r\n"), (1, b"A: b\r\n\r\none\r\n"), (2, b"A: b\r\n\r\none\r\n\ntwo"[:-3]), (9, None)],
)
def test_top_counts_lines_of_the_body(lines: int, expected: bytes | None) -> None:
    message = b"A: b\r\n\r\none\r\n\ntwo"
    assert TopCut(lines).piece(message) == (message if expected is None else expected)
