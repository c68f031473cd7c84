"""What stays the same of a message, and what does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstore.message.arrival import header_end
from mailstore.message.likeness import BODY, MARK, header_mark, likeness

HEADER = b"Message-ID: <1@example>\r\nDate: today\r\nFrom: a@example\r\nSubject: s\r\n"


def like(message: bytes) -> bytes | None:
    return likeness(message, header_end(message), len(message))


ORIGINAL = HEADER + b"\r\nbody\r\n"


@pytest.mark.parametrize(
    "other",
    [
        b"Return-Path: <a@example>\r\nReceived: from x\r\n\tby y\r\n" + ORIGINAL,
        HEADER + b"Status: RO\r\nX-UIDL: 17\r\n\r\nbody\r\n",
        ORIGINAL.replace(b"Message-ID: ", b"message-id:\r\n\t"),
        ORIGINAL.replace(b"From: a@example\r\n", b"") .replace(b"\r\n\r\n", b"\r\nFrom: a@example\r\n\r\n"),
    ],
    ids=["other fields in front", "other fields behind", "folded", "another order"],
)  # fmt: skip
def test_the_same(other: bytes) -> None:
    assert like(ORIGINAL) is not None
    assert like(other) == like(ORIGINAL)


@pytest.mark.parametrize("field", [b"1@example", b"today", b"a@example", b"Subject: s", b"body"])
def test_another(field: bytes) -> None:
    assert like(ORIGINAL.replace(field, b"2@different")) != like(ORIGINAL)


def test_a_body_counts_with_its_length_and_its_beginning() -> None:
    long = HEADER + b"\r\n" + b"x" * (2 * BODY)
    assert like(long + b"x") != like(long)
    assert like(long.replace(b"\r\n\r\nx", b"\r\n\r\ny")) != like(long)
    assert like(long[:-1] + b"y") == like(long)  # said so in the module


def test_the_header_alone() -> None:
    both = like(ORIGINAL)
    assert both is not None
    assert len(both) == 2 * MARK
    assert header_mark(HEADER + b"\r\n") == both[:MARK]
    assert like(HEADER + b"\r\nanother body")[:MARK] == both[:MARK]  # type: ignore[index]


@pytest.mark.parametrize(
    "header", [b"", b"Subject: s\r\n", b"Message-ID: \r\n", b"Message-ID: <1@x>\r\n", b"Message-ID: no-at-sign\r\n"]
)
def test_none(header: bytes) -> None:
    assert header_mark(header) is None
    assert like(header + b"\r\nbody") is None


@given(st.binary(max_size=300), st.sampled_from([b"", HEADER, b"Message-ID:\n ", b"\nfrom:"]))
def test_nothing_raises(data: bytes, before: bytes) -> None:
    found = like(before + data)
    assert found is None or len(found) == 2 * MARK
