"""INTERNALDATE, flags of mbox programs, and dates."""

from __future__ import annotations

from datetime import date

import pytest

from mailstore.message.arrival import Arrival, arrival, header_end
from mailstore.message.dates import moment, sent_date

JUNE = 1_212_455_777  # 2008-06-03 01:16:17 UTC

DATES = [
    (b" Tue, 3 Jun 2008 09:16:17 +0800", JUNE),
    (b"Tue, 3 Jun 2008 09:16:17 +0800 (CST)", JUNE),
    (b"Tue,03 Jun 2008 01:16:17 GMT", JUNE),
    (b"3 Jun 2008 01:16:17", JUNE),
    (b"3 Jun 2008 01:16 +0000", JUNE - 17),
    (b"3 Jun 08 01:16:17 -0000", JUNE),
    (b"3 Jun 108 01:16:17 Z", JUNE),
    (b"3-Jun-2008 01:16:17 UT", JUNE),
    (b"Mon, 2 Jun 2008 21:16:17 EDT", JUNE),
    (b"Mon, 2 Jun 2008 17:16:17 PST", JUNE),
    (b"Tue, 3 Jun 2008 01:16:17 XYZ", JUNE),
    (b"Tue, 3 June 2008 01:16:17 +0000", JUNE),
    (b"Tue, 3 (day) Jun (month) 2008 09:16:17 (time) +0800", JUNE),
    (b"Tue, 3 Jun\r\n 2008 09:16:17\r\n\t+0800", JUNE),
    (b"Tue Jun  3 01:16:17 2008", JUNE),
    (b"Jun 3, 2008 01:16:17", JUNE),
    (b"2008-06-03T09:16:17.5+08:00", JUNE),
    (b"2008-06-03 01:16:17", JUNE),
    (b"Tue, 3 Jun 2008 01:16:17 +9999", JUNE),
    (b"3 Jun 70 01:16:17 +0000", 13_223_777),
    (b"3 Jun 49 01:16:17 +0000", 2_506_295_777),
    (b"31 Feb 2008 01:16:17 +0000", None),
    (b"3 Jun 2008 25:16:17 +0000", None),
    (b"3 Foo 2008 01:16:17 +0000", None),
    (b"0 Jun 2008 01:16:17 +0000", None),
    (b"3 Jun 0000 01:16:17 +0000", 959_994_977),  # as the standard library reads it
    (b"", None),
    (b"Tue,", None),
    (b"yesterday", None),
    (b"\xff\0" * 50, None),
    (b"9" * 100_000, None),
]


@pytest.mark.parametrize(("value", "seconds"), DATES)
def test_moment(value: bytes, seconds: int | None) -> None:
    found = moment(value)
    assert (found.seconds if found is not None else None) == seconds


def test_the_sent_date_is_the_writers() -> None:
    assert sent_date(b"Date: Tue, 3 Jun 2008 23:59:00 -0800\r\n\r\n") == date(2008, 6, 3)
    assert sent_date(b"date: Tue, 3 Jun 2008 00:01:00 +0800\r\n\r\n") == date(2008, 6, 3)
    assert sent_date(b"Date: Fri, 3 Jun 1960 00:01:00 +0800\r\n\r\n") == date(1960, 6, 3)
    assert sent_date(b"Date: soon\r\n\r\n") is None
    assert sent_date(b"Subject: x\r\n\r\n") is None


RECEIVED = b"Received: from a (b; c)\r\n\tby d with SMTP id 1; Tue, 3 Jun 2008 09:16:17 +0800 (CST)\r\n"
LATER = b"Received: by e; Wed, 4 Jun 2008 09:16:17 +0800\r\n"
DATE = b"Date: Tue, 3 Jun 2008 01:16:18 +0000\r\n"


def test_the_top_received_field_has_the_internal_date() -> None:
    assert arrival(b"Return-Path: <>\r\n" + RECEIVED + LATER + DATE).internal_date == JUNE


def test_a_semicolon_in_a_comment_is_none() -> None:
    header = b"Received: by d (x); Tue, 3 Jun 2008 09:16:17 +0800 (one; two)\r\n" + DATE
    assert arrival(header).internal_date == JUNE


@pytest.mark.parametrize(
    "received",
    [
        b"Received: by d\r\n",
        b"Received:\r\n",
        b"Received: by d; junk\r\n",
        b"Received: by d; Mon, 1 Jan 2200 00:00:00 +0000\r\n",
        b"Received: by d; Thu, 1 Jan 1970 00:00:00 +0000\r\n",
        b"Received: by d; Mon, 1 Jan 1900 00:00:00 +0000\r\n",
        b"X-Received: by d; Wed, 4 Jun 2008 09:16:17 +0800\r\n",
        b"",
    ],
)
def test_else_it_is_the_date(received: bytes) -> None:
    assert arrival(received + DATE).internal_date == JUNE + 1


def test_else_there_is_none() -> None:
    assert arrival(b"") == Arrival(None, frozenset())
    assert arrival(b"Date: junk\r\n\r\n") == Arrival(None, frozenset())
    assert arrival(b"Date: Mon, 1 Jan 2200 00:00:00 +0000\r\n\r\n") == Arrival(None, frozenset())


FLAGS = [
    (b"Status: RO\r\n", {"\\Seen"}),
    (b"Status: R\r\n", {"\\Seen"}),
    (b"Status: O\r\n", set()),
    (b"Status: \r\n", set()),
    (b"STATUS:RO\r\nx-status: AFDT\r\n", {"\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft"}),
    (b"X-Status: A\r\nX-Keywords: \r\n", {"\\Answered"}),
    (b"X-Status: D\r\n", {"\\Deleted"}),
    (b"Status: Resolved\r\n", set()),
    (b"Status: READ\r\n", set()),
    (b"X-Status: Auto\r\n", set()),
    (b"Subject: x\r\n Status: RO\r\n", set()),
    (b"My-Status: RO\r\n", set()),
]


@pytest.mark.parametrize(("header", "flags"), FLAGS)
def test_flags(header: bytes, flags: set[str]) -> None:
    assert arrival(header + b"\r\n").flags == flags


def test_equal_flags_are_one_object() -> None:
    assert arrival(b"Status: RO\r\n\r\n").flags is arrival(b"Status: R\r\n\r\n").flags


@pytest.mark.parametrize(
    ("data", "end"),
    [
        (b"", 0),
        (b"\r\nx", 2),
        (b"\nx", 1),
        (b"A: b\r\n\r\nx\n\n", 8),
        (b"A: b\n\nx\r\n\r\n", 6),
        (b"A: b\r\n\nx", 7),
        (b"A: b\n\r\nx", 7),
        (b"A: b\r\n", 6),
    ],
)
def test_header_end(data: bytes, end: int) -> None:
    assert header_end(data) == end
