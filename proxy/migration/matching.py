"""Which message of a listing is which row of the ledger, as far as names, sizes and headers tell. No I/O.

A message is known again by its UIDL, if that has never been the name of two. What has no UIDL, or one that several
share or shared, or its number for a UIDL, is *nameless*, and so is everything on a server whose names change from
session to session or wander from message to message. The nameless are told apart by their headers, and where those do
not help by their order: `aligned` says what would be what if mail was only added since, which somebody has to check.

What has a name that fits and another size than it had is doubtful: a name may be used again for another message.

Over IMAP a message's name is its folder with UIDVALIDITY and UID, which are never used again (RFC 3501 2.3.1.1).

All of it is linear in listing and ledger.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from mailstore.entries import Entry, Listed, Outcome

Pair = tuple[Listed, Entry]


@dataclass(slots=True)
class Matched:
    """Every message of the listing is in one of the first four; every row is in `pairs`, `doubtful` or `left`."""

    pairs: list[Pair] = field(default_factory=list)
    doubtful: list[Pair] = field(default_factory=list)
    strangers: list[Listed] = field(default_factory=list)  # whose names are new
    nameless: list[Listed] = field(default_factory=list)
    left: list[Entry] = field(default_factory=list)  # rows that nothing in the listing was found for


def by_name(listing: Sequence[Listed], entries: Iterable[Entry]) -> Matched:
    """What names tell."""
    return _by_id(listing, entries) if any(m.legacy_id for m in listing) else _by_uidl(listing, entries)


def _by_id(listing: Sequence[Listed], entries: Iterable[Entry]) -> Matched:
    """Over IMAP. What is not known by that, since it came over POP3 before or since its UIDs are new, is known by its
    UIDL if it has one, and one that was the name of one message alone."""
    matched = Matched()
    rows: dict[tuple[str, str], Entry] = {}
    others: list[Entry] = []
    for entry in entries:
        if entry.legacy_id and (entry.folder, entry.legacy_id) not in rows:
            rows[entry.folder, entry.legacy_id] = entry
        else:
            others.append(entry)
    unknown = []
    for listed in listing:
        row = rows.pop((listed.folder, listed.legacy_id), None)
        if row is None:
            unknown.append(listed)
        else:
            _pair(matched, listed, row)
    by_uidl: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in (*rows.values(), *others):
        by_uidl[entry.uidl].append(entry)
    for listed in unknown:
        if listed.uidl and len(by_uidl.get(listed.uidl, ())) == 1:
            _pair(matched, listed, by_uidl[listed.uidl].pop())
        else:
            matched.strangers.append(listed)
    matched.left = [entry for same in by_uidl.values() for entry in same]
    return matched


def _by_uidl(listing: Sequence[Listed], entries: Iterable[Entry]) -> Matched:
    matched = Matched()
    times = Counter(listed.uidl for listed in listing)
    rows: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        rows[entry.uidl].append(entry)
    for listed in listing:
        if not listed.uidl or times[listed.uidl] > 1 or listed.uidl == str(listed.position):
            matched.nameless.append(listed)
            continue
        same = rows.get(listed.uidl)
        if not same:
            matched.strangers.append(listed)
        elif len(same) > 1:
            matched.nameless.append(listed)
        else:
            _pair(matched, listed, same.pop())
    matched.left = [entry for same in rows.values() for entry in same]
    return matched


def by_nothing(listing: Sequence[Listed], entries: Iterable[Entry]) -> Matched:
    """For a server whose names are worth nothing."""
    return Matched(nameless=list(listing), left=list(entries))


def _pair(matched: Matched, listed: Listed, entry: Entry) -> None:
    differ = listed.octets and entry.octets and listed.octets != entry.octets
    (matched.doubtful if entry.settled and differ else matched.pairs).append((listed, entry))


def was_listed(entry: Entry) -> bool:
    """In the last listing, that is."""
    return entry.unlisted is None and entry.outcome is not Outcome.GONE


def renumbered(matched: Matched, few: int) -> bool:
    """Did most of what was listed last vanish, while other names came?"""
    lost = sum(entry.settled and entry.unlisted is None for entry in matched.left)
    kept = sum(entry.settled for _, entry in matched.pairs)
    return lost >= few and len(matched.strangers) >= few and kept < lost


def rows_of(nameless: Sequence[Listed], left: Iterable[Entry], *, names: bool) -> list[Entry]:
    """The rows that the nameless may be: those without a name, or of their names; all that are left where `names`
    mean nothing. In the order of the last listing; what was not in it comes last."""
    shared = {listed.uidl for listed in nameless} | {""}
    rows = [entry for entry in left if not names or entry.uidl in shared]
    return sorted(rows, key=lambda entry: (not was_listed(entry), entry.position, entry.id))


def by_header(
    nameless: Sequence[Listed], rows: Sequence[Entry], said: Mapping[int, bytes], known: Mapping[int, bytes]
) -> list[Pair]:
    """Those of the same header and size. `said` by position, `known` by row; the first of several is the first."""
    by_mark: defaultdict[tuple[bytes, int], deque[Entry]] = defaultdict(deque)
    for entry in rows:
        if entry.id in known:
            by_mark[known[entry.id], entry.octets].append(entry)
    pairs = []
    for listed in nameless:
        mark = said.get(listed.position)
        same = by_mark.get((mark, listed.octets)) if mark is not None else None
        if same:
            pairs.append((listed, same.popleft()))
    return pairs


def aligned(nameless: Sequence[Listed], rows: Sequence[Entry]) -> list[Pair]:
    """One by one in order, up to the first that are of different sizes."""
    there = [entry for entry in rows if was_listed(entry)]
    return list(takewhile(_of_a_size, zip(nameless, there, strict=False)))


def _of_a_size(pair: Pair) -> bool:
    """As far as both are told."""
    listed, entry = pair
    return listed.octets == entry.octets or not listed.octets or not entry.octets
