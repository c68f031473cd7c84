"""What a listing means for the ledger: what is new, what is still owed, what is gone, what has another name. No I/O.

Which message is which row was found out before (`matching`, `comparing`). A listed message that no row is known for
is new, and yet it may be one that is here: whatever came under a new name is compared with the rows that are
`unlisted` when its bytes have come (`mailstore.renaming`).

What POP3 clients see as a message's UIDL here never changes, and no two messages ever have the same one: see
`mailstore.ledger`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from mailstore.entries import Entry, Listed, Outcome
from mailstore.renaming import Relisted, kept_name
from proxy.migration.matching import Pair

ATTEMPTS = 3  # after so many a message is quarantined
AGAIN = 3600  # seconds after which a move asks once more for what was quarantined then


@dataclass(frozen=True, slots=True)
class Identified:
    """A listing whose messages are known as far as they can be before any has come."""

    named: Sequence[Pair]  # by UIDL
    nameless: Sequence[Pair]  # in another way: name and position are as listed now
    unknown: Sequence[Listed]
    left: Sequence[Entry]  # rows of no message that is listed


@dataclass(frozen=True, slots=True)
class Plan:
    """What a listing means. Positions are those of this listing."""

    new: Sequence[Listed]
    owed: Sequence[tuple[int, Entry]]  # known from an earlier listing, not stored yet
    gone: Sequence[int]  # ledger rows that were owed and are no longer listed
    given: Sequence[tuple[int, Entry]]  # the smallest message that came here once and is still listed, if any
    relisted: Sequence[Relisted] = ()  # known rows that are listed otherwise than before, or again
    unlisted: Sequence[int] = ()  # rows whose messages are here, or were, and that are no longer listed


@dataclass(slots=True)
class _Names:
    """POP3's names of messages here, so that none is given twice."""

    taken: set[str] = field(default_factory=set)

    def take(self, uidl: str) -> str | None:
        """What `shown` is to be for a message that has this UIDL and none has seen yet."""
        if uidl in self.taken:
            return ""
        if uidl:
            self.taken.add(uidl)
        return None


def conclude(found: Identified, now: float) -> Plan:
    """The plan. Linear in listing and ledger. `now` is in seconds since 1970."""
    pairs = [*((*pair, False) for pair in found.named), *((*pair, True) for pair in found.nameless)]
    names = _names(*((entry for _, entry, _ in pairs)), *found.left)
    owed: list[tuple[int, Entry]] = []
    relisted: list[Relisted] = []
    given: list[tuple[int, Entry]] = []
    for listed, entry, anew in pairs:
        if entry.settled:
            if not given or entry.octets < given[0][1].octets:
                given = [(listed.position, entry)]
        elif entry.attempts < ATTEMPTS or now - entry.updated >= AGAIN:
            owed.append((listed.position, entry))
        change = _change(listed, entry, names, anew=anew)
        if change is not None:
            relisted.append(change)
    new = [_shown_as(listed, names.take(listed.uidl)) for listed in found.unknown]
    gone = [e.id for e in found.left if not e.settled and e.outcome is not Outcome.GONE]
    unlisted = [e.id for e in found.left if e.settled and e.unlisted is None]
    return Plan(new, owed, gone, given, relisted, unlisted)


def _shown_as(listed: Listed, name: str | None) -> Listed:
    return listed if name == listed.shown else listed._replace(shown=name)


def _names(*entries: Entry) -> _Names:
    return _Names({name for entry in entries if (name := entry.uidl if entry.shown is None else entry.shown)})


def _change(listed: Listed, entry: Entry, names: _Names, *, anew: bool) -> Relisted | None:
    """What is to be written down of a message that is listed; `anew` under whatever name and wherever."""
    position, uidl = (listed.position, listed.uidl) if anew else (entry.position, entry.uidl)
    octets, shown = listed.octets or entry.octets, entry.shown
    if entry.settled:
        shown = kept_name(entry.uidl, entry.shown, uidl)
    elif uidl != entry.uidl:
        shown = names.take(uidl)
    # POP3 lists what IMAP had before, if the configuration is changed: it knows no folders.
    place = (listed.folder, listed.legacy_id) if listed.legacy_id else (entry.folder, entry.legacy_id)
    now = Relisted(entry.id, position, uidl, octets, shown, *place)
    was = Relisted(entry.id, entry.position, entry.uidl, entry.octets, entry.shown, entry.folder, entry.legacy_id)
    return None if now == was and entry.unlisted is None else now


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
