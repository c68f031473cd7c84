"""Which message that the legacy server lists is which row of the ledger. No I/O; linear but for a logarithm.

A message is known by its UIDL. Where several have the same one, or all have none, they are held against each other in
order, by their octets: what was deleted in between is left out on one side, and the rest still meets. What was read of
the messages (`proxy.admin.verify.contents`) then mends what names and sizes got wrong: `by_content`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from mailstore.audit import Audited
from mailstore.entries import Entry, Listed


def name_of(message: Listed | Entry) -> str:
    """What a message is known by from one session to the next: over IMAP its folder with UIDVALIDITY and UID, over POP3
    its UIDL; "" where there is none."""
    return f"{message.legacy_id} {message.folder}" if message.legacy_id else message.uidl


@dataclass(frozen=True, slots=True)
class Pair:
    """One message as it is listed now, and its row."""

    listed: Listed
    row: Audited
    renamed: bool = False  # known by its bytes alone: the legacy server gives it another UIDL now


@dataclass(frozen=True, slots=True)
class Matching:
    """`unknown` are listed and in no row; `unlisted` are rows that the legacy server does not list."""

    pairs: Sequence[Pair]
    unknown: Sequence[Listed]
    unlisted: Sequence[Audited]


def match(listing: Sequence[Listed], rows: Sequence[Audited]) -> Matching:
    """`rows` are oldest first."""
    by_name = {name_of(row.entry): row for row in rows}
    names = {name_of(message) for message in listing}
    if "" not in names and len(by_name) == len(rows) and len(names) == len(listing):  # as it usually is, and should be
        pairs = [Pair(message, row) for message in listing if (row := by_name.get(name_of(message))) is not None]
        return _matching(listing, rows, pairs)
    known: defaultdict[str, list[Audited]] = defaultdict(list)
    for row in rows:
        known[name_of(row.entry)].append(row)
    named: defaultdict[str, list[Listed]] = defaultdict(list)
    for listed in listing:
        named[name_of(listed)].append(listed)
    pairs = []
    for name, messages in named.items():
        pairs += align(messages, known.get(name, ()))
    pairs.sort(key=lambda pair: pair.listed.position)
    return _matching(listing, rows, pairs)


def _matching(listing: Iterable[Listed], rows: Iterable[Audited], pairs: Sequence[Pair]) -> Matching:
    listed = {pair.listed.position for pair in pairs}
    met = {pair.row.entry.id for pair in pairs}
    unknown = [message for message in listing if message.position not in listed]
    return Matching(pairs, unknown, [row for row in rows if row.entry.id not in met])


def align(messages: Sequence[Listed], rows: Sequence[Audited]) -> list[Pair]:
    """Those of one name. One of each is the usual case, whatever their octets."""
    if not rows:
        return []
    if len(messages) == len(rows) == 1 and name_of(messages[0]):
        return [Pair(messages[0], rows[0])]
    places: defaultdict[int, list[int]] = defaultdict(list)
    for at, row in enumerate(rows):
        places[row.entry.octets].append(at)
    pairs, after = [], 0
    for message in messages:
        same = places.get(message.octets, [])
        at = bisect_left(same, after)
        if at < len(same):
            pairs.append(Pair(message, rows[same[at]]))
            after = same[at] + 1
    if name_of(messages[0]) and len(pairs) < min(
        len(messages), len(rows)
    ):  # of this name they are, whatever LIST counts
        listed, met = {pair.listed.position for pair in pairs}, {pair.row.entry.id for pair in pairs}
        left = (message for message in messages if message.position not in listed)
        pairs += map(Pair, left, (row for row in rows if row.entry.id not in met))
    return pairs


def by_content(matching: Matching, digests: Mapping[int, bytes], wanted: Callable[[Audited], bytes | None]) -> Matching:
    """The matching, put right where the legacy server gave other bytes than the row has, or where a name was unknown.

    `digests` are of the messages that were read, by position; `wanted` is the digest that a row's message has here.
    """
    doubtful, kept, rows = [], [], []
    for pair in matching.pairs:
        digest = digests.get(pair.listed.position)
        if digest is None or wanted(pair.row) in {None, digest}:
            kept.append(pair)
        else:
            doubtful.append(pair)
            rows.append(pair.row)
    read = [listed for listed in matching.unknown if listed.position in digests]
    if not doubtful and not read:
        return matching
    free: defaultdict[bytes, deque[Audited]] = defaultdict(deque)
    for row in sorted((*matching.unlisted, *rows), key=lambda row: row.entry.id):
        digest = wanted(row)
        if digest is not None:
            free[digest].append(row)
    met: dict[int, Audited] = {}
    for listed in sorted((*read, *(pair.listed for pair in doubtful)), key=lambda listed: listed.position):
        same = free.get(digests[listed.position])
        if same:
            met[listed.position] = same.popleft()
    found = {row.entry.id for row in met.values()}
    listings = [*(pair.listed for pair in doubtful), *matching.unknown]
    mended = [_known(listed, met[listed.position]) for listed in listings if listed.position in met]
    # A row that its own bytes were not found for stays with the message of its name: its content differs.
    left = [pair for pair in doubtful if pair.listed.position not in met and pair.row.entry.id not in found]
    pairs = sorted((*kept, *mended, *left), key=lambda pair: pair.listed.position)
    all_rows = [*(pair.row for pair in matching.pairs), *matching.unlisted]
    all_listed = [*(pair.listed for pair in matching.pairs), *matching.unknown]
    return _matching(
        sorted(all_listed, key=lambda listed: listed.position), sorted(all_rows, key=lambda row: row.entry.id), pairs
    )


def _known(listed: Listed, row: Audited) -> Pair:
    return Pair(listed, row, renamed=name_of(listed) != name_of(row.entry))
