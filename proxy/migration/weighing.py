"""Is what came what the legacy server has? POP3 tells of a message before it comes only how long it is.

A message of another length than LIST announced was damaged on its way, or is not the one that was asked for, since a
server that breaks off within an answer and goes on with the next one gives each message behind it under the number
before its own; or LIST is not exact, as some servers' never is. So such a message is not believed until it has come
the same twice. What came behind it over the same connection waits as well, until it is sure that answers and
questions are still in step: one has come as long as announced where both its neighbours are of other lengths, or all
answers have come.

Where more than a few in a row do not fit, the connection is not believed any more. Over the next one they are fetched
first, each by itself, so that no answer can be taken for another's. Where they come the same, LIST is not exact for
them, and more in a row may be so; where that is a good part of all that came, LIST is not exact on this server, and
nothing is weighed there from then on. Nor is what LIST gives no length for.

No I/O. One `Scales` a move; used by `proxy.migration.pull`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from mailstore.entries import Entry
from mailstore.landing import Written

FEW: Final = 4  # in a row that may not fit before the connection is doubted; for each that came the same twice …
MORE: Final = 2  # … so many more
PART: Final = 10  # of so many one that came the same twice, and LIST is not exact


@dataclass(slots=True)
class Exactness:
    """Of one legacy server's LIST: shared by all moves from it."""

    approximate: bool = False


@dataclass(slots=True)
class Scales:
    """`weigh` what is written, in order of arrival. Everything else here is of the connection under way."""

    exactness: Exactness = field(default_factory=Exactness)
    mended: list[Entry] = field(default_factory=list)  # came otherwise at first, and then as long as announced
    out_of_step: bool = False  # is the connection not to be believed any more?
    _came: dict[int, bytes] = field(default_factory=dict)  # by ledger row: SHA-256 of what did not fit
    _same: int = 0  # of these, how many came the same twice
    _fits: int = 0
    _doubtful: dict[int, Written] = field(default_factory=dict)
    _held: list[Written] = field(default_factory=list)  # came behind a doubtful one
    _before: int = -1  # octets announced for the one that was weighed last
    _maybe: bool = False  # did the last of `_held` fit, and differ from the one before?
    _in_a_row: int = 0

    def begin(self, exactness: Exactness | None = None) -> None:
        """A new connection, to a server of which so much is known."""
        self.exactness = exactness or self.exactness
        self._doubtful.clear()
        self._held.clear()
        self.out_of_step, self._in_a_row, self._before, self._maybe = False, 0, -1, False

    def weigh(self, written: Iterable[Written]) -> list[Written]:
        """Those that may be stored now."""
        sure: list[Written] = []
        for each in written:
            entry = each.landed.entry
            if self.exactness.approximate or self._believable(each):
                self._doubtful.pop(entry.id, None)
                if self._doubtful:
                    sure += self._follow(each)
                else:
                    sure.append(each)
            else:
                self._doubtful[entry.id] = each
                self._in_a_row += 1
                self.out_of_step |= self._in_a_row > FEW + MORE * self._same
                self._maybe = False
            self._before = entry.octets
        return sure

    def in_step(self) -> list[Written]:
        """All that was asked for has been answered: what only waited for that may be stored now."""
        held, self._held = self._held, []
        if self.exactness.approximate:
            held += self._doubtful.values()
            self._doubtful.clear()
        self._in_a_row, self._before, self._maybe = 0, -1, False
        return held

    def doubtful(self) -> Sequence[Entry]:
        """What is to be fetched once more, by itself."""
        return [each.landed.entry for each in self._doubtful.values()]

    def did_not_fit(self, entry: Entry) -> bool:
        """Is it to be fetched by itself, whatever the connection?"""
        return entry.id in self._came

    def leave_out(self, entry: Entry) -> None:
        """It is not to be fetched once more for its length: it comes with other bytes each time, or not at all."""
        self._doubtful.pop(entry.id, None)

    def _believable(self, each: Written) -> bool:
        landed = each.landed
        entry = landed.entry
        if landed.size == entry.octets or not entry.octets:
            if self._came.pop(entry.id, None) is not None:
                self.mended.append(entry)
            self._in_a_row = 0
            self._fits += 1
            return True
        if self._came.get(entry.id) == landed.sha256:
            self._same += 1
            self._in_a_row = 0
            self.exactness.approximate |= self._same > FEW and self._same * PART > self._fits
            return True
        self._came[entry.id] = landed.sha256
        return False

    def _follow(self, each: Written) -> list[Written]:
        """It fits, and came behind one that does not."""
        octets = each.landed.entry.octets
        held: list[Written] = []
        if self._maybe and octets != self._before:
            held, self._held = self._held, []
        self._maybe = bool(octets) and octets != self._before
        self._held.append(each)
        return held
