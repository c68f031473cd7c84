"""How fast a legacy server answers, and how fast it gives messages: a sample of at most SAMPLE octets, for at most TIME
seconds.

The messages are spread over the whole mailbox. Where the server may be asked for many ahead of the answers, they are
asked for so, as in a move. What comes is counted and thrown away.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from math import gcd
from typing import Final

from mailstore.entries import Entry
from proxy.admin.probing.finding import Speed
from proxy.legacy.errors import ServerRefused

ROUNDS: Final = 5  # NOOPs, for the round trip
SAMPLE: Final = 4 * 1024 * 1024
MOST: Final = 2_000  # messages
TIME: Final = 12.0
HEADER_LIMIT: Final = 64 * 1024  # octets of a message that is kept for its date
_TURN: Final = 0.6180339887498949  # the golden ratio's: multiples of it fill a circle evenly, however many they are


async def round_trip(noop: Callable[[], Awaitable[None]], seconds: Callable[[], float]) -> float:
    """In seconds, the shortest of ROUNDS; one that the server refuses has travelled as far. Raises LegacyError."""
    took = []
    for _ in range(ROUNDS):
        begun = seconds()
        with suppress(ServerRefused):
            await noop()
        took.append(seconds() - begun)
    return min(took)


def choose(sizes: Mapping[int, int], budget: int = SAMPLE, most: int = MOST) -> list[int]:
    """Numbers of messages whose octets add up to no more than the budget, in ascending order."""
    numbers = sorted(sizes)
    order = numbers if sum(sizes.values()) <= budget else _spread(numbers)
    chosen: list[int] = []
    left = budget
    for number in order:
        if len(chosen) == most:
            break
        if sizes[number] <= left:
            chosen.append(number)
            left -= sizes[number]
    return sorted(chosen)


def _spread(numbers: Sequence[int]) -> list[int]:
    """Each of them once, any beginning of it from all over the mailbox."""
    many = len(numbers)
    step = round(many * _TURN)
    while gcd(step, many) != 1:
        step += 1
    return [numbers[turn * step % many] for turn in range(many)]


class Tally:
    """Counts what comes; a sink of `proxy.pop3.client`."""

    def __init__(self, sizes: Mapping[int, int | None]) -> None:
        """`sizes` are LIST's."""
        self.messages = self.octets = 0
        self.otherwise = 0  # messages of another size than LIST says
        self.refused: list[str] = []  # in the server's words
        self._sizes = sizes
        self.arriving = False  # a message, of which a part is here
        self._number = self._came = 0

    def message(self, number: int, data: bytes) -> None:
        self._took(number, len(data))
        self.octets += len(data)

    def begin(self, number: int) -> None:
        self._number, self._came, self.arriving = number, 0, True

    def piece(self, data: bytes) -> None:
        self._came += len(data)
        self.octets += len(data)

    def end(self) -> None:
        self.arriving = False
        self._took(self._number, self._came)

    def missing(self, number: int, text: str) -> None:
        self.refused.append(text)

    def _took(self, number: int, octets: int) -> None:
        self.messages += 1
        self.otherwise += octets != self._sizes.get(number)

    def speed(self, seconds: float, *, at_once: bool, round_trip: float) -> Speed | None:
        """None where nothing came."""
        return Speed(self.messages, self.octets, seconds, at_once, round_trip) if self.octets else None


class EntryTally:
    """The same as a `Receiver` of `proxy.migration.source`, which asks for entries; their ids are the numbers."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def message(self, entry: Entry, data: bytes) -> None:
        self._tally.message(entry.id, data)

    def begin(self, entry: Entry) -> None:
        self._tally.begin(entry.id)

    def piece(self, data: bytes) -> None:
        self._tally.piece(data)

    def end(self) -> None:
        self._tally.end()

    def refused(self, entry: Entry, text: str) -> None:
        self._tally.missing(entry.id, text)


class Headers(Tally):
    """Keeps the beginnings of small messages, by number."""

    def __init__(self, sizes: Mapping[int, int | None]) -> None:
        super().__init__(sizes)
        self.found: dict[int, bytes] = {}

    def message(self, number: int, data: bytes) -> None:
        super().message(number, data)
        self.found[number] = data[:HEADER_LIMIT]
