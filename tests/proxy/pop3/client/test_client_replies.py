"""Status lines, capabilities and listings, as servers really write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.legacy.errors import LegacyProtocolError
from proxy.legacy.words import readable
from proxy.pop3.client.replies import (
    LINE_LIMIT,
    OCTETS_LIMIT,
    Listing,
    Reply,
    octets,
    parse_capabilities,
    parse_challenge,
    parse_count,
    parse_reply,
    parse_stamp,
    parse_stat,
)


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"+OK", Reply(True, None, b"")),
        (b"+OK  hello there ", Reply(True, None, b"hello there")),
        (b"+ok lower", Reply(True, None, b"lower")),
        (b"-ERR", Reply(False, None, b"")),
        (b"-ERR [IN-USE] locked", Reply(False, "IN-USE", b"locked")),
        (b"-ERR [sys/temp] later", Reply(False, "SYS/TEMP", b"later")),
        (b"-ERR [LOGIN-DELAY 60] wait", Reply(False, "LOGIN-DELAY", b"wait")),
        (b"-ERR [AUTH]", Reply(False, "AUTH", b"")),
        (b"-ERR [not a code", Reply(False, None, b"[not a code")),
        (b"-ERR no [code] here", Reply(False, None, b"no [code] here")),
        (b"220 smtp.example", None),
        (b"", None),
    ],
)
def test_status_lines(line: bytes, reply: Reply | None) -> None:
    assert parse_reply(line) == reply


def test_words_are_readable_in_every_encoding_and_on_one_line() -> None:
    assert readable("系统繁忙".encode()) == "系统繁忙"
    assert readable("系统繁忙".encode("gb18030")) == "系统繁忙"
    assert readable(b"a\x1b[31mb\tc\x00d") == "a [31mb c d"
    assert len(readable(b"x" * 5000)) == 200
    assert readable(b"\xff\xfe\xfd")


def test_challenges_and_stamps() -> None:
    assert parse_challenge(b"+ ") == b""
    assert parse_challenge(b"+") == b""
    assert parse_challenge(b"+ YWJj") == b"YWJj"
    assert parse_challenge(b"+OK") is None
    assert parse_stamp(b"ready <1896.697170952@dbc.example>") == b"<1896.697170952@dbc.example>"
    assert parse_stamp(b"ready <no stamp>") is None
    assert parse_stamp(b"1 < 2 and a@b > c") is None


def test_capabilities_are_read_in_any_case_and_joined() -> None:
    block = b"top\r\nUIDL\r\nSASL plain LOGIN\r\n\r\nSASL CRAM-MD5\r\nIMPLEMENTATION x-y z\r\n"
    read = parse_capabilities(block)
    assert set(read) == {"TOP", "UIDL", "SASL", "IMPLEMENTATION"}
    assert read["SASL"] == ("PLAIN", "LOGIN", "CRAM-MD5")


def test_stat() -> None:
    assert parse_stat(b"3 1200 and more") == (3, 1200)
    for junk in (b"", b"3", b"x y", b"-1 3", b"9" * 30 + b" 1"):
        with pytest.raises(LegacyProtocolError):
            parse_stat(junk)


def listed(*pieces: bytes) -> list[tuple[int, bytes]]:
    listing = Listing("LIST")
    for piece in pieces:
        listing.feed(piece)
    return listing.entries()


def test_listings_are_read_tolerantly() -> None:
    assert listed(b"1 120\r\n2   340 extra words \r\n\t3\r\n4 big\n") == [
        (1, b"120"),
        (2, b"340 extra words"),
        (3, b""),
        (4, b"big"),
    ]
    assert listed(b"1 1", b"2", b"0\r", b"\n2 5") == [(1, b"120"), (2, b"5")]
    assert listed(b"\r\n1 120\r\n\r\n1 120\r\n2 5\r\n") == [(1, b"120"), (2, b"5")]


def test_sizes_in_a_listing() -> None:
    for words in (b"120", b"120 extra words", b"(120 octets)", b"120\0"[:3]):
        assert octets(words) == 120
    for words in (b"", b"big", b"-3", b"12x", b"0x12", b"1.5", b"%!d(float64=5461)", b"9" * 30, b"9" * 18):
        assert octets(words) is None
    assert octets(b"%d" % OCTETS_LIMIT) == OCTETS_LIMIT


def test_the_count_of_stat_is_read_even_where_its_octets_make_no_sense() -> None:
    for words, count in ((b"3 1200", 3), (b"3 (1200 octets)", 3), (b"3 -17", 3), (b"", None), (b"many", None)):
        assert parse_count(words) == count


@pytest.mark.parametrize("junk", [b"x 1", b"0 5", b"-1 5", b"1 again", b"1x 3"])
def test_junk_in_a_listing_is_named_by_its_line_and_not_quoted(junk: bytes) -> None:
    with pytest.raises(LegacyProtocolError, match="line 2 of the answer to LIST") as caught:
        listed(b"1 120\r\n" + junk + b"\r\n3 5\r\n")
    assert "again" not in str(caught.value)


def test_a_listing_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.pop3.client.replies.LISTED_LIMIT", 3)
    with pytest.raises(LegacyProtocolError, match="more than 3 messages"):
        listed(b"".join(b"%d 1\r\n" % n for n in range(1, 6)))
    with pytest.raises(LegacyProtocolError, match="too long"):
        listed(b"1 " + b"x" * LINE_LIMIT)


@given(st.binary(max_size=200), st.integers(1, 200))
def test_nothing_makes_the_parsers_raise_anything_else(data: bytes, cut: int) -> None:
    parse_reply(data)
    parse_capabilities(data)
    parse_stamp(data)
    readable(data)
    for read in (lambda: parse_stat(data), lambda: listed(data[:cut], data[cut:])):
        try:
            read()
        except LegacyProtocolError as error:
            assert "\n" not in error.text
