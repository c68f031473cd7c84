"""A listing held against the ledger: what is new, what is still owed, what is gone. No I/O.

A message is known again by its UIDL. Where a server gives the same UIDL to several messages, the first of them
in the listing is the first in the ledger, and so on; where it gives none, a message is known by its position
and octets, for as long as nothing before it was removed. Over IMAP it is known by its folder, UIDVALIDITY and UID; and
by its UIDL where it was carried over POP3 before.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mailstore.ledger import Entry, Listed, Outcome
from mailstore.old_folders import INBOX

ATTEMPTS = 3  # after so many a message is quarantined
AGAIN = 3600  # seconds after which a move asks once more for what was quarantined then

_OWED = (Outcome.LISTED, Outcome.QUARANTINED, Outcome.GONE)  # GONE and listed again: it was not gone


@dataclass(frozen=True, slots=True)
class Plan:
    """What a listing means. Positions are those of this listing."""

    new: Sequence[Listed]
    owed: Sequence[tuple[int, Entry]]  # known from an earlier listing, not stored yet
    gone: Sequence[int]  # ledger rows that were owed and are no longer listed
    given: Sequence[tuple[int, Entry]]  # the smallest message that came here once and is still listed, if any


_Key = tuple[str, str, int, int]


def _key(message: Listed | Entry) -> _Key:
    return ("", message.uidl, 0, 0) if message.uidl else ("", "", message.position, message.octets)


def _keys(message: Listed) -> tuple[_Key, ...]:
    """What a listed message may be known by, the best first."""
    if not message.legacy_id:
        return (_key(message),)
    known = (message.folder, message.legacy_id, 0, 0)
    return (known, ("", message.uidl, 0, 0)) if message.uidl else (known,)


def make(listing: Sequence[Listed], entries: Iterable[Entry], now: float) -> Plan:
    """Compare. Linear in both. `now` is in seconds since 1970."""
    over_imap = any(listed.legacy_id for listed in listing)
    known: defaultdict[_Key, deque[Entry]] = defaultdict(deque)
    for entry in entries:
        by_id = entry.legacy_id and (over_imap or entry.folder != INBOX)
        known[(entry.folder, entry.legacy_id, 0, 0) if by_id else _key(entry)].append(entry)
    new, owed = [], []
    given: list[tuple[int, Entry]] = []
    for listed in listing:
        same = next((found for key in _keys(listed) if (found := known.get(key))), None)
        if not same:
            new.append(listed)
            continue
        entry = same.popleft()
        if entry.outcome not in _OWED:
            if not given or entry.octets < given[0][1].octets:
                given = [(listed.position, entry)]
        elif entry.attempts < ATTEMPTS or now - entry.updated >= AGAIN:
            owed.append((listed.position, entry))
    left = (entry for same in known.values() for entry in same)
    gone = [entry.id for entry in left if entry.outcome in {Outcome.LISTED, Outcome.QUARANTINED}]
    return Plan(new, owed, gone, given)


def in_order(
    owed: Iterable[tuple[int, Entry]], new: Iterable[tuple[int, Entry]]
) -> tuple[list[tuple[int, Entry]], list[tuple[int, Entry]]]:
    """What to fetch, by position: first what nothing speaks against, then the suspects, each of which broke a
    connection or was refused before and is fetched by itself."""
    everything = sorted([*owed, *new], key=lambda item: item[0])
    return (
        [item for item in everything if not item[1].attempts],
        [item for item in everything if item[1].attempts],
    )
