"""Dot-stuffed blocks: exact bytes, whatever they are and however they are cut."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.blocks import CRLF, HOLD, LF, MIXED, BlockDecoder
from tests.legacy.server import stuffed


class Taken:
    """A receiver that keeps what it is given, and how."""

    def __init__(self) -> None:
        self.blocks: list[bytes] = []
        self.calls: list[str] = []
        self.longest = 0
        self._pieces: list[bytes] | None = None

    def whole(self, data: bytes) -> None:
        self.calls.append("whole")
        self.blocks.append(data)

    def begin(self) -> None:
        assert self._pieces is None
        self.calls.append("begin")
        self._pieces = []

    def piece(self, data: bytes) -> None:
        assert self._pieces is not None
        assert data
        self.longest = max(self.longest, len(data))
        self._pieces.append(data)

    def end(self) -> None:
        assert self._pieces is not None
        self.calls.append("end")
        self.blocks.append(b"".join(self._pieces))
        self._pieces = None


def decode(wire: bytes, cuts: list[int], *, count: int = 1, hold: int = HOLD, eol: bytes = CRLF) -> Taken:
    """Feed `wire`, which holds `count` blocks in a row, cut into pieces of these lengths, again and again."""
    taken, decoder = Taken(), BlockDecoder(hold)
    decoder.start(taken, eol)
    at, turn = 0, 0
    while at < len(wire):
        length = cuts[turn % len(cuts)]
        turn += 1
        data, inside = wire[at : at + length], 0
        at += length
        while inside < len(data):
            assert len(taken.blocks) < count, "something follows the last block"
            end = decoder.feed(data, inside)
            if end < 0:
                break
            assert inside < end <= len(data)
            inside = end
            decoder.start(taken, eol)
    return taken


@pytest.mark.parametrize(
    ("wire", "content"),
    [
        (b".\r\n", b""),
        (b"\r\n.\r\n", b"\r\n"),
        (b"one\r\n.\r\n", b"one\r\n"),
        (b"..\r\n.\r\n", b".\r\n"),
        (b"...\r\n..x\r\n.\r\n", b"..\r\n.x\r\n"),
        (b"a\r\n..\r\nb\r\n.\r\n", b"a\r\n.\r\nb\r\n"),
        (b"bare\nlf\n.\nand\rcr\0\xff\xfe\r\n.\r\n", b"bare\nlf\n.\nand\rcr\0\xff\xfe\r\n"),
        (b"\r\r\n.\r\n", b"\r\r\n"),
        (b"x\n..y\r\n.\r\n", b"x\n..y\r\n"),  # not a line's beginning: not stuffed, not unstuffed
        (b".not stuffed\r\na\r\n.nor this\r\n.\r\n", b".not stuffed\r\na\r\n.nor this\r\n"),
        (b"..stuffed\r\na\r\n...and this\r\n.\r\n", b".stuffed\r\na\r\n..and this\r\n"),
        (b".\rx\r\n.\r\n", b".\rx\r\n"),
    ],
)
def test_content_is_kept_however_it_is_cut(wire: bytes, content: bytes) -> None:
    for length in range(1, len(wire) + 1):
        for hold in (HOLD, 1, 4, 6):
            assert decode(wire, [length], hold=hold).blocks == [content]


@pytest.mark.parametrize("content", [b".x\r\n..two\r\n", b"a\r\n..two\r\n.x\r\n...three\r\n", b"..two\r\n\r\n.\t\r\n"])
def test_two_dots_are_two_where_another_line_shows_that_none_is_doubled(content: bytes) -> None:
    for length in range(1, len(content) + 4):
        assert decode(content + b".\r\n", [length]).blocks == [content]


@pytest.mark.parametrize(
    ("wire", "content"),
    [
        (b".\n", b""),
        (b"one\n.\n", b"one\n"),
        (b"..\n..x\n.\n", b".\n.x\n"),
        (b"with\r\n.\r\ncrlf\r\n.\n", b"with\r\n.\r\ncrlf\r\n"),
    ],
)
def test_a_server_of_bare_line_feeds_ends_its_blocks_with_them(wire: bytes, content: bytes) -> None:
    for length in range(1, len(wire) + 1):
        for hold in (HOLD, 1, 3):
            assert decode(wire, [length], hold=hold, eol=LF).blocks == [content]


@pytest.mark.parametrize(
    ("wire", "content"),
    [
        (b".\r\n", b""),
        (b"one\n.\r\n", b"one\n"),
        (b"..\n..x\n.\r\n", b".\n.x\n"),
        (b"with\r\n..\r\ncrlf\r\n.\r\n", b"with\r\n.\r\ncrlf\r\n"),
    ],
)
def test_lines_of_a_bare_line_feed_and_a_last_one_with_crlf(wire: bytes, content: bytes) -> None:
    for length in range(1, len(wire) + 1):
        for hold in (HOLD, 1, 3):
            assert decode(wire, [length], hold=hold, eol=MIXED).blocks == [content]


@pytest.mark.parametrize(
    ("wire", "bare"), [(b"a line\n.\r\n", True), (b"a line\r\n.\r\nx", False), (b"line\n.", False)]
)
def test_what_would_be_an_end_with_a_bare_line_feed(wire: bytes, bare: bool) -> None:
    for length in range(1, len(wire) + 1):
        for hold in (HOLD, 1):
            decoder = BlockDecoder(hold)
            decoder.start(Taken())
            for at in range(0, len(wire), length):
                if decoder.feed(wire[at : at + length]) >= 0:
                    break
            assert decoder.bare_end == bare


def test_blocks_follow_each_other_in_one_piece_of_input() -> None:
    wire = b"one\r\n.\r\n" + b".\r\n" + b"..three\r\n.\r\n"
    for length in range(1, len(wire) + 1):
        assert decode(wire, [length], count=3).blocks == [b"one\r\n", b"", b".three\r\n"]


def test_what_follows_a_block_is_left_alone() -> None:
    decoder, taken = BlockDecoder(), Taken()
    decoder.start(taken)
    assert decoder.feed(b"+OK\r\nhi\r\n.\r\n+OK next", 5) == 12
    assert taken.blocks == [b"hi\r\n"]


def test_small_blocks_come_whole_and_large_ones_in_bounded_pieces() -> None:
    small, large = b"x" * 998 + b"\r\n", (b"y" * 998 + b"\r\n") * 2000
    taken = decode(stuffed(small) + stuffed(large) + stuffed(small), [65536], count=3)
    assert taken.calls == ["whole", "begin", "end", "whole"]
    assert taken.blocks == [small, large, small]
    assert taken.longest <= HOLD + 65536


def test_a_line_of_ten_megabytes_takes_time_in_proportion() -> None:
    line = b"." + b"z" * 10_000_000 + b"\r\n"
    started = time.process_time()
    taken = decode(stuffed(line), [1460])
    assert taken.blocks == [line]
    assert time.process_time() - started < 2


def test_an_unfinished_block_byte_by_byte_takes_time_in_proportion() -> None:
    message = b".\r\n" * 20_000 + b"\r" * 40_000 + b"\r\n"
    started = time.process_time()
    assert decode(stuffed(message), [1]).blocks == [message]
    assert time.process_time() - started < 5


contents = st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"..", b"x", b"\0", b"\xff", b"\r\n."]))


@given(blocks=st.lists(contents.map(b"".join), min_size=1, max_size=4), data=st.data())
def test_any_message_survives_any_cut(blocks: list[bytes], data: st.DataObject) -> None:
    complete = [block if not block or block.endswith(b"\r\n") else block + b"\r\n" for block in blocks]
    wire = b"".join(map(stuffed, blocks))
    cuts = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=20))
    hold = data.draw(st.sampled_from([1, 2, 5, 9, HOLD]))
    assert decode(wire, cuts, count=len(blocks), hold=hold).blocks == complete


@given(wire=st.binary(max_size=300), cut=st.integers(1, 20))
def test_any_octets_mean_the_same_whole_and_in_pieces(wire: bytes, cut: int) -> None:
    ending = wire + b"\r\n.\r\n"
    whole, pieces = BlockDecoder(), BlockDecoder(hold=7)
    one, two = Taken(), Taken()
    whole.start(one)
    end = whole.feed(ending)
    assert end > 0
    pieces.start(two)
    at = 0
    while not two.blocks:
        result = pieces.feed(ending[at : at + cut])
        at = at + result if result >= 0 else at + cut
    assert two.blocks == one.blocks
    assert at == end
