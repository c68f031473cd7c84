"""Dates and times, both ways."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.imap.grammar.dates import internal_date, parse_date, parse_date_time
from proxy.imap.grammar.syntax import BadSyntax


@pytest.mark.parametrize(
    ("text", "day"),
    [
        (b"1-Feb-2020", date(2020, 2, 1)),
        (b"01-FEB-2020", date(2020, 2, 1)),
        (b"29-feb-2020", date(2020, 2, 29)),
        (b"31-Dec-9999", date(9999, 12, 31)),
        (b"1-Jan-0001", date(1, 1, 1)),
    ],
)
def test_days(text: bytes, day: date) -> None:
    assert parse_date(text) == day


@pytest.mark.parametrize(
    "text",
    [b"", b"1-Feb-20", b"29-Feb-2021", b"0-Jan-2020", b"32-Jan-2020", b"1-Foo-2020", b"1-Jan-0000", b"1-Jan-2020 ",
     b" 1-Jan-2020", b"1/1/2020", b"1-Jan-20201", b"001-Jan-2020", b"1-J\xc3\xa4n-2020", b"\xd9\xa1-Jan-2020"],
)  # fmt: skip
def test_no_days(text: bytes) -> None:
    with pytest.raises(BadSyntax):
        parse_date(text)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        (b" 1-Feb-2020 12:00:00 +0800", datetime(2020, 2, 1, 4, 0, 0, tzinfo=UTC)),
        (b"01-Feb-2020 12:00:00 +0800", datetime(2020, 2, 1, 4, 0, 0, tzinfo=UTC)),
        (b"1-feb-2020 12:00:00 -0330", datetime(2020, 2, 1, 15, 30, 0, tzinfo=UTC)),
        (b"31-Dec-2016 23:59:60 +0000", datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (b"31-Dec-1969 23:59:59 -0000", datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (b"01-Jan-0001 00:00:00 +0000", datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_moments(text: bytes, moment: datetime) -> None:
    assert parse_date_time(text) == int(moment.timestamp())


def test_a_zone_may_lead_out_of_the_calendar() -> None:
    assert internal_date(parse_date_time(b"01-Jan-0001 00:00:00 +0100")) == b'" 1-Jan-0001 00:00:00 +0000"'
    assert internal_date(parse_date_time(b"31-Dec-9999 23:59:59 -0100")) == b'"31-Dec-9999 23:59:59 +0000"'


@pytest.mark.parametrize(
    "text",
    [b"", b"01-Feb-2020", b"01-Feb-2020 12:00:00", b"01-Feb-2020 12:00:00 +08:00", b"01-Feb-2020 12:00:00 GMT",
     b"30-Feb-2020 12:00:00 +0000", b"01-Feb-2020 24:00:00 +0000", b"01-Feb-2020 12:60:00 +0000",
     b"01-Feb-2020 12:00:61 +0000", b"01-Feb-2020 12:00:00 +2400", b"01-Feb-2020 12:00:00 +0060",
     b"01-Foo-2020 12:00:00 +0000", b"01-Feb-0000 12:00:00 +0000", b"  1-Feb-2020 12:00:00 +0000", b"\xff" * 26],
)  # fmt: skip
def test_no_moments(text: bytes) -> None:
    with pytest.raises(BadSyntax):
        parse_date_time(text)


@given(st.integers(-62_135_596_800, 253_402_300_799))
def test_a_moment_comes_back(seconds: int) -> None:
    text = internal_date(seconds)
    assert len(text) == 28
    assert parse_date_time(text.strip(b'"')) == seconds


def test_what_no_calendar_has_is_moved_inside() -> None:
    assert internal_date(0) == b'" 1-Jan-1970 00:00:00 +0000"'
    assert internal_date(-(10**18)) == b'" 1-Jan-0001 00:00:00 +0000"'
    assert internal_date(10**18) == b'"31-Dec-9999 23:59:59 +0000"'
