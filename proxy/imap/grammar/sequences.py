"""Sets of message numbers and UIDs: `2,4:7,9,12:*`.

A value that the grammar makes and the session resolves against the folder that it has selected. Nothing
here costs more than the set's own length and a binary search: `1:4294967295` is two numbers.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

STAR: Final = 0  # "*" in a sequence set: no message has the number 0
LAST_NUMBER: Final = 2**32 - 1  # RFC 3501 9: nz-number is of 32 bits


@dataclass(frozen=True, slots=True)
class SequenceSet:
    """Message numbers or UIDs as the client wrote them (RFC 3501 9, sequence-set).

    Each range is a pair in the order sent, either end STAR; a single number is a pair of itself. `$`, the
    result of the last SEARCH that was saved (RFC 5182), is SAVED: the session's view has its members.
    """

    ranges: tuple[tuple[int, int], ...]
    saved: bool = False

    def resolve(self, highest: int) -> list[tuple[int, int]]:
        """The same numbers as ascending closed ranges, neither touching nor overlapping.

        `highest` stands for "*": the number of messages, or the highest UID, 0 in an empty folder.
        `5:*` with a highest of 3 is 3:5 (RFC 3501 6.4.8: the last message is always in it).
        """
        if len(self.ranges) == 1:  # nearly all of them
            first, last = self.ranges[0]
            first, last = first or highest, last or highest
            if first > last:
                first, last = last, first
            return [(first or 1, last)] if last else []
        merged: list[tuple[int, int]] = []
        for first, last in sorted(_ascending(self.ranges, highest)):
            if merged and first <= merged[-1][1] + 1:
                if last > merged[-1][1]:
                    merged[-1] = (merged[-1][0], last)
            else:
                merged.append((first, last))
        return merged

    def fits(self, exists: int) -> bool:
        """May these be message numbers in a folder of `exists` messages?

        A number beyond the last message is the client's mistake (BAD, RFC 3501 9, seq-number), and so
        is any set in an empty folder. UIDs are never asked this.
        """
        return exists > 0 and all(first <= exists and last <= exists for first, last in self.ranges)

    def positions(self, numbers: Sequence[int]) -> list[range]:
        """Where in `numbers` (ascending, such as a folder's UIDs) members of this set stand: ascending
        ranges of indexes, none empty. "*" is the last of `numbers`."""
        found: list[range] = []
        for first, last in self.resolve(numbers[-1] if numbers else 0):
            start = bisect_left(numbers, first)
            stop = bisect_right(numbers, last, start)
            if start < stop:
                found.append(range(start, stop))
        return found

    def select(self, numbers: Sequence[int]) -> list[int]:
        """Those of `numbers` (ascending) that are in this set."""
        return [number for span in self.positions(numbers) for number in numbers[span.start : span.stop]]


SAVED: Final = SequenceSet((), saved=True)  # "$"


def _ascending(ranges: Iterable[tuple[int, int]], highest: int) -> Iterable[tuple[int, int]]:
    for first, last in ranges:
        low, high = sorted((first or highest, last or highest))
        if high:
            yield low or 1, high
