"""Sets of message numbers against a model that writes out every number."""

from __future__ import annotations

import time
from array import array
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.imap.grammar.sequences import LAST_NUMBER, STAR, SequenceSet

RANGES = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=6)


def numbers(ranges: list[tuple[int, int]], highest: int) -> set[int]:
    found: set[int] = set()
    for first, last in ranges:
        ends = [highest if end == STAR else end for end in (first, last)]
        found.update(range(min(ends), max(ends) + 1))
    return found - {0}


@given(RANGES, st.integers(0, 12))
def test_resolved_is_what_it_says_and_in_order(ranges: list[tuple[int, int]], highest: int) -> None:
    resolved = SequenceSet(tuple(ranges)).resolve(highest)
    assert {number for first, last in resolved for number in range(first, last + 1)} == numbers(ranges, highest)
    assert all(first <= last for first, last in resolved)
    assert all(here[1] + 1 < there[0] for here, there in pairwise(resolved))


@given(RANGES, st.sets(st.integers(1, 12)))
def test_those_of_a_folder(ranges: list[tuple[int, int]], uids: set[int]) -> None:
    known = array("q", sorted(uids))
    wanted = SequenceSet(tuple(ranges))
    expected = sorted(numbers(ranges, max(uids, default=0)) & uids)
    assert wanted.select(known) == expected
    positions = wanted.positions(known)
    assert [known[index] for span in positions for index in span] == expected
    assert all(positions)


@pytest.mark.parametrize(
    ("ranges", "exists", "fits"),
    [
        (((1, 1),), 0, False),
        (((STAR, STAR),), 0, False),
        (((1, STAR),), 0, False),
        (((1, STAR),), 1, True),
        (((3, STAR),), 2, False),
        (((STAR, 3),), 3, True),
        (((1, 2), (4, 4)), 4, True),
        (((1, 2), (4, 5)), 4, False),
    ],
)
def test_may_these_be_message_numbers(ranges: tuple[tuple[int, int], ...], exists: int, fits: bool) -> None:
    assert SequenceSet(ranges).fits(exists) is fits


def test_beyond_the_last_message_is_the_last_message() -> None:
    uids = array("q", [3, 7])
    assert SequenceSet(((9, STAR),)).select(uids) == [7]
    assert SequenceSet(((STAR, STAR),)).select(uids) == [7]
    assert SequenceSet(((1, LAST_NUMBER),)).select(uids) == [3, 7]
    assert SequenceSet(((1, STAR),)).select(array("q")) == []


def test_the_largest_sets_are_cheap() -> None:
    uids = array("q", range(1, 400_000, 2))
    scattered = SequenceSet(tuple((number, number) for number in range(60_000, 0, -2)))
    start = time.process_time()
    assert SequenceSet(((1, LAST_NUMBER),)).positions(uids) == [range(200_000)]
    assert scattered.select(uids) == []
    assert len(scattered.resolve(LAST_NUMBER)) == 30_000
    assert time.process_time() - start < 2
