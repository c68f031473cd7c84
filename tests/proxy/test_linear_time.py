"""Parsers take time linear in what they are given, in one piece and byte by byte: ten times as much takes about ten
times as long. Processor time is measured, the best of three, and twice the factor is left for noise."""

from __future__ import annotations

import gc
import io
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

import pytest

from proxy.imap.grammar.parse import ARGUMENTS, parse
from proxy.imap.grammar.syntax import BadCharset, BadSyntax
from proxy.legacy.errors import LegacyProtocolError
from proxy.legacy.words import readable
from proxy.lmtp import grammar
from proxy.lmtp.data import DataDecoder, HeaderFilter
from proxy.lmtp.errors import BadCommand
from proxy.pop3.client.replies import Listing, parse_capabilities, parse_reply, parse_stamp
from proxy.wire.blocks import BlockDecoder
from proxy.wire.commands import CommandReader, Ready
from proxy.wire.door import Limits
from proxy.wire.lines import LineReader, LineTooLong
from proxy.wire.stuffing import Stuffer, TopCut

TOO_SHORT = 0.02  # seconds: what is quicker than that cannot be told from noise


def took(work: Callable[[], object]) -> float:
    best = 1.0e9
    for _ in range(3):
        with uncollected():
            began = time.process_time()
            work()
            best = min(best, time.process_time() - began)
    return best


@contextmanager
def uncollected() -> Iterator[None]:
    """The collector's passes over all that there is in the process are nobody's."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def is_linear(work: Callable[[int], object], small: int) -> None:
    little = took(lambda: work(small))
    assert took(lambda: work(10 * small)) < 30 * little + TOO_SHORT


UNITS = (b"(", b")", b'"\\', b"\\\\", b"1,", b"a ", b"1:", b"&-", b"[", b'"" ', b"(NOT ", b"OR ", b"* ", b"a/", b"=",
         b"{", b"\xe4\xbd\xa0", b"$ ", b"((", b"x (y ", b"UID ", b"TEXT ")  # fmt: skip
BEGINNINGS = (
    b"",
    b"1 ",
    b"x ",
    b"1 BODY[HEADER.FIELDS (",
    b"1 FLAGS (",
    b'"" ',
    b"(DATE) UTF-8 ",
    b"INBOX (",
    b"RETURN (",
)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_every_command(name: str) -> None:
    """Whatever its arguments are a row of."""

    def work(size: int) -> None:
        for beginning in BEGINNINGS:
            for unit in UNITS:
                line = b"%b %b%b" % (name.encode(), beginning, unit * (size // len(unit)))
                with suppress(BadSyntax, BadCharset):
                    parse(Ready(b"a", (line,)), utf8=False)

    is_linear(work, 600)


def drained(reader: LineReader, pieces: Iterable[bytes]) -> int:
    lines = 0
    for piece in pieces:
        reader.feed(piece)
        while True:
            try:
                if reader.next() is None:
                    break
            except LineTooLong:
                pass
            lines += 1
    return lines


def each(data: bytes) -> Iterable[bytes]:
    return (data[at : at + 1] for at in range(len(data)))


@pytest.mark.parametrize("unit", [b"\n", b"\r", b"a", b"a\n", b"NOOP\r\n"])
def test_lines(unit: bytes) -> None:
    is_linear(lambda size: drained(LineReader(10**9), each(unit * (size // len(unit)))), 5_000)
    is_linear(lambda size: drained(LineReader(100), [unit * (size * 10 // len(unit))]), 5_000)


@pytest.mark.parametrize(
    "unit", [b"a NOOP\r\n", b"a {3+}\r\nabc\r\n", b"a APPEND x {9+}\r\n", b"{1}\r\n", b"a {3}\r\n", b"\r\n"]
)
def test_commands_byte_by_byte(unit: bytes) -> None:
    def work(size: int) -> None:
        reader = CommandReader(Limits(), io.BytesIO)
        reader.authenticated = True
        for octet in each(unit * (size // len(unit))):
            reader.feed(octet)
            while (event := reader.next()) is not None:
                if isinstance(event, Ready):
                    event.close()
        reader.close()

    is_linear(work, 5_000)


class Sink:
    """A receiver that keeps nothing."""

    def whole(self, data: bytes) -> None: ...

    def begin(self) -> None: ...

    def piece(self, data: bytes) -> None: ...

    def end(self) -> None: ...


@pytest.mark.parametrize("unit", [b".\r\n"[:1], b"\r\n", b"..\r\n", b"\r\n.", b"a\r\n..b\r\n", b"\r"])
def test_blocks_byte_by_byte(unit: bytes) -> None:
    def decode(size: int) -> None:
        decoder = BlockDecoder()
        decoder.start(Sink())
        for octet in each(b"x" + unit * (size // len(unit))):
            if decoder.feed(octet) >= 0:
                decoder.start(Sink())

    def encode(size: int) -> None:
        stuffer, cut = Stuffer(), TopCut(10**9)
        for octet in each(unit * (size // len(unit))):
            stuffer.piece(octet)
            cut.piece(octet)
        stuffer.end()

    is_linear(decode, 5_000)
    is_linear(encode, 5_000)


@pytest.mark.parametrize(
    "unit", [b"[", b"]", b" ", b"<", b"@", b"<a@", b"[a ", b"\xff", b"\x81", b"a ", b"\t", b"<a@b"]
)
def test_words_of_a_legacy_server(unit: bytes) -> None:
    def work(size: int) -> None:
        words = unit * (size // len(unit))
        for line in (words, b"-ERR " + words, b"+OK [" + words):
            parse_reply(line)
        parse_stamp(words)
        parse_capabilities(words)
        readable(words)

    is_linear(work, 6_000)


@pytest.mark.parametrize("pieces", [1, 1000])
def test_a_listing(pieces: int) -> None:
    def work(size: int) -> None:
        data = b"".join(b"%d %d\r\n" % (n, n) for n in range(1, size // 8))
        listing = Listing("LIST")
        for at in range(0, len(data), pieces):
            listing.feed(data[at : at + pieces])
        listing.entries()

    is_linear(work, 5_000)


def test_a_line_of_a_listing_that_does_not_end() -> None:
    def work(size: int) -> None:
        listing = Listing("UIDL")
        for octet in each(b"1 " + b"x" * size):
            listing.feed(octet)
        with pytest.raises(LegacyProtocolError):
            listing.feed(b"\nnonsense\n")

    is_linear(work, 6_000)


@pytest.mark.parametrize("unit", [b"\r", b"\n", b".", b"\r\n.\r", b"Received: a\n", b"a"])
def test_a_message_over_lmtp(unit: bytes) -> None:
    def work(count: int, piece: int) -> None:
        decoder, header = DataDecoder(), HeaderFilter()
        data = unit * count
        for at in range(0, len(data), piece):
            header.feed(decoder.feed(data[at : at + piece])[0])

    is_linear(lambda count: work(count, 1), 200)
    is_linear(lambda count: work(count, 4_096), 2_000)


@pytest.mark.parametrize("unit", [b"a.", b'\\"', b"@a,", b" A=1", "用".encode()])
@pytest.mark.parametrize("beginning", [b"TO:<", b'TO:<"', b"TO:<@a,", b"TO:<a@b> "])
def test_an_address_over_lmtp(beginning: bytes, unit: bytes) -> None:
    def work(count: int) -> None:
        with suppress(BadCommand):
            grammar.recipient(beginning + unit * count)

    is_linear(work, 2_000)
