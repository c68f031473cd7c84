"""What the ledger says of messages: the values that travel between it, a move and the administrator.

Those that a move makes one of for each message are tuples, which are made in a third of the time.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from mailstore.index import folders
from mailstore.index.rows import Flags

# Stands for U+0000 in names that a legacy server gave, and goes out as that again: PostgreSQL has no such character.
# No UIDL has it otherwise, since each of its octets is kept as one of the first 256 characters.
NUL: Final = "\u2400"


class Outcome(enum.StrEnum):
    LISTED = "listed"  # to be fetched
    STORED = "stored"
    QUARANTINED = "quarantined"  # could not be fetched or stored after retries; the reason says why
    GONE = "gone"  # vanished at the legacy server before it could be fetched
    DELETED = "deleted"  # stored, then removed here by the user


@dataclass(frozen=True, slots=True)
class Marks:
    """What an IMAP server says of a message beside its bytes. It knows better than the header."""

    flags: Flags
    internal_date: int | None  # seconds since 1970


class Entry(NamedTuple):
    """One row. `octets` as LIST announced them, `position` from 1."""

    id: int
    position: int
    uidl: str
    octets: int
    outcome: Outcome
    uid: int | None
    attempts: int
    updated: int  # seconds since 1970
    unlisted: int | None = None  # seconds since 1970: from when on the legacy server has not listed it
    shown: str | None = None  # POP3's name of it here, None: the UIDL; "": one of our own
    folder: str = ""  # in `old_folders`; "" for a POP3 maildrop
    folder_id: int = folders.INBOX_ID
    legacy_id: str = ""  # "UIDVALIDITY.UID" in that folder (IMAP)
    marks: Marks | None = None  # given along by a source while it fetches; not kept in the ledger

    @property
    def settled(self) -> bool:
        """Is it here, or was it?"""
        return self.outcome in _SETTLED


class Listed(NamedTuple):
    """A message as the legacy server lists it. `shown`: as in `Entry`."""

    position: int
    uidl: str
    octets: int
    shown: str | None = None
    folder: str = ""  # these two as in `Entry`
    legacy_id: str = ""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A message that could not be fetched or stored, for the administrator."""

    position: int
    uidl: str
    octets: int
    reason: str
    attempts: int
    updated: int  # seconds since 1970: the last attempt


class Landed(NamedTuple):
    """A message whose file is in place and durable, for the ledger row `entry`."""

    entry: Entry
    size: int
    sha256: bytes
    internal_date: int
    flags: Flags
    file: str
    likeness: bytes | None = None  # `mailstore.message.likeness`


@dataclass(frozen=True, slots=True)
class Here:
    """A message that is here already: see `mailstore.recognition`."""

    folder_id: int
    uid: int
    file: str


@dataclass(frozen=True, slots=True)
class Sums:
    """The ledger added up: what `status` shows. Done is what was stored, whether or not the user deleted it since;
    what vanished in time is not owed. Octets as announced by LIST."""

    messages_done: int
    messages_total: int
    bytes_done: int
    bytes_total: int
    quarantined: int

    def plus(self, landed: Sequence[Landed], again: Sequence[int]) -> Sums:
        """With what came just now; `again` are the octets of those among it that were done before, under other
        names."""
        late = [message.entry.octets for message in landed if message.entry.outcome is Outcome.GONE]
        return Sums(
            self.messages_done + len(landed) - len(again),
            self.messages_total + len(late) - len(again),
            self.bytes_done + sum(message.entry.octets for message in landed) - sum(again),
            self.bytes_total + sum(late) - sum(again),
            self.quarantined - sum(message.entry.outcome is Outcome.QUARANTINED for message in landed),
        )


_SETTLED = frozenset({Outcome.STORED, Outcome.DELETED})
