"""What one connection of a move fetches, and what becomes of the messages that do not come.

A message that was under way when the connection broke, or that the server refuses, is counted; after `plan.ATTEMPTS`
it is quarantined, so that one bad message never stops a mailbox (invariant 6). Where some are refused, the server is
asked for one that it gave before: if it refuses that too, not the messages are bad, and nothing is quarantined, or a
part would be taken for the whole (invariant 3). What comes otherwise than announced is fetched again
(`proxy.migration.weighing`).

`proxy.migration.move` has one for each connection.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from twisted.internet.defer import Deferred

from mailstore.entries import Entry
from proxy.migration import plan
from proxy.migration.early import Early
from proxy.migration.pull import Pull
from proxy.migration.source import Source, SourceError, SourceLost
from proxy.migration.weighing import Scales
from proxy.wire.door import Home

FEW: Final = 3  # messages that may be refused without doubts about the server, before they are put into quarantine
_LOOK: Final = "if this goes on, look for a proxy or a virus scanner between here and the legacy server"
_OUT_OF_STEP: Final = f"messages do not come as long as the legacy server announced them; {_LOOK}"
_DAMAGED: Final = f"a message came damaged, of another length than announced, and was fetched again; {_LOOK}"
_REFUSED_FIRST: Final = (
    "the legacy server refused a message and gave it when it was asked again; if this goes on, look at its own log"
)


class Again:
    """A `Receiver` for a message that is here already: did it come?"""

    def __init__(self) -> None:
        self.given = False

    def message(self, entry: Entry, data: bytes) -> None:
        self.given = True

    def begin(self, entry: Entry) -> None: ...

    def piece(self, data: bytes) -> None: ...

    def end(self) -> None:
        self.given = True

    def refused(self, entry: Entry, text: str) -> None: ...


class Fetching:
    """`run` once."""

    def __init__(
        self,
        home: Home,
        source: Source,
        pull: Pull,
        scales: Scales,
        early: Early | None,
        *,
        troubles: list[str],
        given_up: Callable[[], None],
        wanted_no_more: Callable[[], bool],
    ) -> None:
        """`troubles` takes what went wrong and was got over; `given_up` is told of each message that is quarantined.
        `wanted_no_more`: has the connection been dropped on purpose?"""
        self._home = home
        self._source = source
        self._pull = pull
        self._scales = scales
        self._early = early
        self._given_up = given_up
        self._wanted_no_more = wanted_no_more
        self._troubles = troubles

    async def run(
        self,
        wanted: Sequence[tuple[int, Entry]],
        suspects: Sequence[tuple[int, Entry]],
        given: Sequence[tuple[int, Entry]],
    ) -> None:
        """`wanted` first; `suspects` each by itself; of `given` the server gave all before. Raises SourceError, with
        what came before it stored; StorageFailed."""
        source, pull = self._source, self._pull
        positions = {entry.id: position for position, entry in (*wanted, *suspects)}
        try:
            await self._fetch_wanted(wanted)
            left_out = await self._weigh_again(positions)
            refusing = {entry.id for entry, _ in pull.refusals}
            given = [*given, *(item for item in wanted if item[1].id not in refusing)]
            await self._doubt(given)
            again = [(positions[entry.id], entry) for entry, _ in pull.refusals]
            await self._note_refusals()
            for suspect in (*again, *suspects):
                await source.fetch([suspect], pull, one_by_one=True)
            left_out += await self._weigh_again(positions)
            await self._doubt(given, few=0 if given else FEW)
            if len(again) > len(pull.refusals):
                self._troubles.append(_REFUSED_FIRST)
            refused = left_out + await self._note_refusals(last=True)
        except SourceError as error:
            await self._finish()
            await self._note_refusals()
            await self._note_spoilt()
            if self._scales.out_of_step:  # whatever was under way is not to blame
                raise SourceLost(_OUT_OF_STEP) from error
            if isinstance(error, SourceLost) and error.entry is not None and not self._wanted_no_more():
                await self._note_suspect(error.entry, str(error))
            raise
        await self._finish()
        refused += await self._note_spoilt()
        dropped = len(self._early.dropped) if self._early is not None else 0
        if pull.stored + refused + dropped < len(positions):  # or a part would be taken for the whole (invariant 3)
            raise SourceLost("fewer messages came than were asked for")

    async def _fetch_wanted(self, wanted: Sequence[tuple[int, Entry]]) -> None:
        """Over a new connection, what did not come as long as announced over the one before comes first, each by
        itself."""
        source, pull = self._source, self._pull
        alone = [item for item in wanted if self._scales.did_not_fit(item[1])]
        for item in alone:
            await source.fetch([item], pull, one_by_one=True)
        await pull.answered()
        rest = [item for item in wanted if item not in alone] if alone else wanted
        if self._early is None:
            await source.fetch(rest, pull)
        else:
            await self._early.fetch(rest)

    async def _weigh_again(self, positions: Mapping[int, int]) -> int:
        """Fetch once more what did not come as long as it was announced: the same twice is believed. What comes with
        other bytes each time is left out and counted; gives back how many were."""
        source, pull = self._source, self._pull
        mended, left_out = len(self._scales.mended), 0
        tried: Counter[int] = Counter()
        while True:
            await pull.answered()
            if self._scales.out_of_step:
                raise SourceLost(_OUT_OF_STEP)
            again = self._scales.doubtful()
            if not again:
                break
            if not tried:  # all answers came, so that none can have been taken for another's
                await source.fetch([(positions[entry.id], entry) for entry in again], pull)
            for entry in again if tried else ():
                if tried[entry.id] >= plan.ATTEMPTS:
                    self._scales.leave_out(entry)
                    await self._count(entry, "it comes with other bytes each time it is fetched", last=True)
                    left_out += 1
                else:
                    await source.fetch([(positions[entry.id], entry)], pull, one_by_one=True)
            tried.update(entry.id for entry in again)
        if len(self._scales.mended) > mended:
            self._troubles.append(_DAMAGED)
        return left_out

    async def _doubt(self, given: Sequence[tuple[int, Entry]], *, few: int = FEW) -> None:
        """Is it the server, where it refuses more than a few? Raises SourceLost if it refuses what it gave before."""
        source, pull = self._source, self._pull
        if len(pull.refusals) <= few:
            return
        again = Again()
        if given:
            try:
                await source.fetch([min(given, key=lambda item: item[1].octets)], again, one_by_one=True)
            except SourceLost as error:
                raise SourceLost(str(error)) from error  # that message is no suspect
        if not again.given:
            text, pull.refusals = pull.refusals[-1][1], []
            raise SourceLost(f"the legacy server gives no messages at the moment: {text}")

    async def _finish(self) -> None:
        finished: Deferred[None] = self._pull.finish()
        await finished

    async def _note_refusals(self, *, last: bool = False) -> int:
        """Count what the server refused. What it refuses twice in one run is quarantined."""
        pull = self._pull
        refusals, pull.refusals = pull.refusals, []
        for entry, text in refusals:
            reason = f"the legacy server refuses this message: {text}"
            await self._count(entry, reason, last=last)
        return len(refusals)

    async def _note_spoilt(self) -> int:
        """What the disk here refused, and only that: the others are stored."""
        pull = self._pull
        spoilt, pull.spoilt = pull.spoilt, []
        for entry, text in spoilt:
            await self._count(entry, f"the disk here refuses this message: {text}", last=True)
        return len(spoilt)

    async def _note_suspect(self, entry: Entry, text: str) -> None:
        """The connection broke while this message was under way."""
        await self._count(entry, f"the connection broke at this message: {text}")

    async def _count(self, entry: Entry, reason: str, *, last: bool = False) -> None:
        """One more attempt failed. Whatever the plan would not ask for again is quarantined."""
        if last or entry.attempts + 1 >= plan.ATTEMPTS:
            await self._home.run(lambda home: home.ledger.quarantine(entry.id, reason))
            self._given_up()
        else:
            await self._home.run(lambda home: home.ledger.count_attempt(entry.id, reason))
