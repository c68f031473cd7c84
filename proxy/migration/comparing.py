"""Finding out which listed message is which: what `matching` supposes is checked with the server.

Nothing that costs more than a few messages is asked: a message of which it is doubtful whether it is here is fetched
as if it were new, and compared when its bytes have come (`mailstore.renaming`).

- Nameless messages are told apart by their headers, if the server has TOP. Otherwise one message is fetched: the last
  of those that would be known if mail had only been added since. If it is another one, nothing is taken as known.
  That message and some headers do as well where the sizes of a larger mailbox say that mail was only added.
- Of messages whose sizes changed under their names some are fetched. If each is what it was the server only counts
  otherwise now. If one is another message that is here, names wander from message to message and say nothing.

A message that broke the connection here is not asked again for this purpose.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Final

from mailstore.digests import Digest
from mailstore.entries import Entry, Listed
from mailstore.message.arrival import header_end
from mailstore.message.likeness import header_mark
from mailstore.renaming import FEW_RENAMED
from proxy.migration import matching, plan
from proxy.migration.matching import Matched, Pair
from proxy.migration.plan import Identified, Plan
from proxy.migration.source import Source, SourceLost
from proxy.wire.door import Home

SAMPLE: Final = 8  # messages whose sizes changed that are compared at most, before all are
HEADERS: Final = 32  # headers that are asked for if nothing speaks against mail having been added only
TRIES: Final = 3  # messages that a server may refuse when one is to be compared
_REMEDY: Final = (
    "messages are told apart by their headers, which takes a command for each: "
    "if the old server can be told to keep its UIDLs (some have a cache of them that may be written), let it"
)
CHANGING: Final = f"the legacy server gives messages other UIDLs in each session; {_REMEDY}"
WANDERING: Final = f"the legacy server gives the UIDLs of messages to other messages; {_REMEDY}"


class Sizes(enum.Enum):
    """What it is about messages that are of other sizes than before under their names."""

    COUNTED = "the server counts otherwise now"
    OTHERS = "they may be others"
    WANDERING = "names wander from message to message"


class Digests:
    """A `Receiver` that keeps no message."""

    def __init__(self) -> None:
        self.of: dict[int, tuple[bytes, bytes | None]] = {}  # by ledger row: SHA-256 and likeness
        self._large: tuple[Entry, Digest] | None = None

    def message(self, entry: Entry, data: bytes) -> None:
        self.begin(entry)
        self.piece(data)
        self.end()

    def begin(self, entry: Entry) -> None:
        self._large = (entry, Digest())

    def piece(self, data: bytes) -> None:
        assert self._large is not None
        self._large[1].take(data)

    def end(self) -> None:
        assert self._large is not None
        entry, large = self._large
        self._large = None
        self.of[entry.id] = large.end()

    def refused(self, entry: Entry, text: str) -> None: ...


class Comparing:
    """One move's, over all of its connections."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._breaking: set[int] = set()  # rows whose messages broke a connection here
        self.remark = ""  # what is wrong with the server's names, for the administrator

    async def plan(self, source: Source, listing: Sequence[Listed]) -> Plan:
        """Raises SourceError."""
        entries, now = await self._home.run(lambda home: (home.ledger.entries(), home.clock()))
        matched = matching.by_name(listing, entries)
        names = not await self._names_mean_nothing(matched)
        sizes = await self._sizes(source, matched.doubtful)
        self.remark = WANDERING if sizes is Sizes.WANDERING else "" if names else CHANGING
        if not names or sizes is Sizes.WANDERING:
            matched, names = matching.by_nothing(listing, entries), False
        elif sizes is Sizes.COUNTED:
            matched.pairs += matched.doubtful
        else:
            matched.strangers += [listed for listed, _ in matched.doubtful]
            matched.left += [entry for _, entry in matched.doubtful]
        found = await self._tell_apart(source, matched, names=names)
        known = {entry.id for _, entry in found}
        positions = {listed.position for listed, _ in found}
        unknown = [*matched.strangers, *(listed for listed in matched.nameless if listed.position not in positions)]
        unknown.sort(key=lambda listed: listed.position)
        left = [entry for entry in matched.left if entry.id not in known]
        return plan.conclude(Identified(matched.pairs, found, unknown, left), now)

    async def _names_mean_nothing(self, matched: Matched) -> bool:
        """Have most names changed, as they had the last time?"""
        if not await self._home.run(lambda home: home.names.changing()):
            return False
        if matching.renumbered(matched, FEW_RENAMED):
            return True
        if any(entry.settled for _, entry in matched.pairs):
            await self._home.run(lambda home: home.names.note_changing(changing=False))
        return False

    # Nameless messages

    async def _tell_apart(self, source: Source, matched: Matched, *, names: bool) -> list[Pair]:
        rows = matching.rows_of(matched.nameless, matched.left, names=names) if matched.nameless else []
        said: Mapping[int, bytes] = {}
        known: Mapping[int, bytes] = {}
        if any(row.settled for row in rows):
            known = await self._home.run(lambda home: home.names.marks())
            order = matching.aligned(matched.nameless, rows)
            added = len(order) > HEADERS and len(order) == sum(map(matching.was_listed, rows))
            if added and await self._spot_check(source, order, known):
                return order
            said = await self._marks(source, matched.nameless) if known else {}
        pairs = matching.by_header(matched.nameless, rows, said, known)
        found = {entry.id for _, entry in pairs}
        positions = {listed.position for listed, _ in pairs}
        rest = [listed for listed in matched.nameless if listed.position not in positions]
        # A row whose header is known, and that no message in the listing has, is not listed any more.
        rows = [row for row in rows if row.id not in found and not (said and row.id in known)]
        order = matching.aligned(rest, rows)
        return [*pairs, *order] if await self._in_order(source, order) else pairs

    async def _spot_check(self, source: Source, order: Sequence[Pair], known: Mapping[int, bytes]) -> bool:
        """Has mail only been added since? Some headers and the last message say so: whatever went since has moved all
        that was behind it."""
        sample = _spread([pair for pair in order if pair[1].id in known], HEADERS)
        said = await self._marks(source, [listed for listed, _ in sample])
        if len(said) < len(sample) or any(said[listed.position] != known[entry.id] for listed, entry in sample):
            return False
        return await self._in_order(source, order)

    async def _marks(self, source: Source, listed: Sequence[Listed]) -> Mapping[int, bytes]:
        """What the headers say, by position; nothing where the server does not show them."""
        said: dict[int, bytes] = {}

        def take(position: int, header: bytes) -> None:
            mark = header_mark(header[: header_end(header)])
            if mark is not None:
                said[position] = mark

        await source.headers([message.position for message in listed], take)
        return said

    async def _in_order(self, source: Source, order: Sequence[Pair]) -> bool:
        """Is the last of them what it is taken for, so that nothing before it went?"""
        settled = [pair for pair in order if pair[1].settled]
        asked = [pair for pair in reversed(settled) if pair[1].id not in self._breaking][:TRIES]
        for pair in asked:
            same = await self._same(source, pair)
            if same is not None:
                return same
        return not settled

    # Sizes

    async def _sizes(self, source: Source, doubtful: Sequence[Pair]) -> Sizes:
        """What it means that messages have other sizes than before under their names."""
        sound = [pair for pair in doubtful if pair[1].id not in self._breaking]
        digests = await self._digests(source, _spread(sound, SAMPLE))
        had = await self._home.run(lambda home: {row: home.names.alike(row, *of) for row, of in digests.items()})
        others = [digests[row][0] for row, same in had.items() if not same]
        if others:
            here: bool = await self._home.run(lambda home: home.names.any_of(others))
            return Sizes.WANDERING if here else Sizes.OTHERS
        return Sizes.COUNTED if had else Sizes.OTHERS

    async def _same(self, source: Source, pair: Pair) -> bool | None:
        """Is what comes what came for it? None: the server refuses it, or nobody knows what came."""
        digests = await self._digests(source, [pair])
        row = pair[1].id
        if row not in digests:
            return None
        return await self._home.run(lambda home: home.names.alike(row, *digests[row]))

    async def _digests(self, source: Source, pairs: Sequence[Pair]) -> dict[int, tuple[bytes, bytes | None]]:
        """Of messages that are fetched to be compared, by row."""
        digests = Digests()
        try:
            await source.fetch([(listed.position, entry) for listed, entry in pairs], digests)
        except SourceLost as error:
            if error.entry is not None:
                self._breaking.add(error.entry.id)
            raise SourceLost(str(error)) from error  # that message is no suspect: it is here
        return digests.of


def _spread(pairs: Sequence[Pair], most: int) -> Sequence[Pair]:
    """So many of them at most, the first and the last among them."""
    if len(pairs) <= most:
        return pairs
    return [pairs[at * (len(pairs) - 1) // (most - 1)] for at in range(most)]
