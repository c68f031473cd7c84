"""What stands out of order: as few as can be named so that the rest is in order."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence


def out_of_order(numbers: Sequence[int]) -> list[int]:
    """The places in `numbers` that are not part of its longest ascending run (of different numbers), ascending.

    n log n: the tails of the best runs of each length (patience sorting).
    """
    tails: list[int] = []  # the lowest number that a run of this length ends in
    ends: list[int] = []  # and its place
    before = [-1] * len(numbers)
    for place, number in enumerate(numbers):
        at = bisect_left(tails, number)
        if at:
            before[place] = ends[at - 1]
        if at == len(tails):
            tails.append(number)
            ends.append(place)
        else:
            tails[at], ends[at] = number, place
    if len(tails) == len(numbers):
        return []
    kept, place = set(), ends[-1] if ends else -1
    while place >= 0:
        kept.add(place)
        place = before[place]
    return [place for place in range(len(numbers)) if place not in kept]
