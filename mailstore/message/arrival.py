"""What a message that came from elsewhere says of its own arrival: INTERNALDATE, and the flags it had.

The move asks this for every message that it stores, so the usual forms cost some microseconds. Only a message's
beginning is needed. Nothing here raises.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from mailstore.index.rows import ANSWERED, DELETED, DRAFT, FLAGGED, NO_FLAGS, SEEN, shared_flags
from mailstore.message.dates import moment
from mailstore.message.glance import Glanced, glance
from mailstore.message.headers import unfold, without_comments

_END_OF_TIME: Final = 4_102_444_800  # 2100-01-01: dates from here on, and those before 1970, are made up

# What mbox programs write into Status and X-Status, a letter for each flag. "O" (old: a program has seen
# the message, the user has not) is no IMAP flag. "D" is kept as \Deleted: the user deleted the message and
# the mailbox was never purged, and \Deleted says exactly that, and hides nothing.
_STATUS: Final = {0x52: SEEN}  # R
_X_STATUS: Final = {0x41: ANSWERED, 0x46: FLAGGED, 0x44: DELETED, 0x54: DRAFT}  # A, F, D, T
_LETTERS: Final = frozenset(b"ADFKMNOPRTU")  # all that such programs write; other values are not theirs
_LONGEST_STATUS: Final = 8


class Arrival(NamedTuple):
    """`internal_date` in seconds since 1970, UTC; None when the message names no plausible date."""

    internal_date: int | None
    flags: frozenset[str]


def arrival(header: bytes) -> Arrival:
    """From the top Received field's date, else Date; and from Status and X-Status."""
    return arrival_by(glance(header))


def arrival_by(fields: Glanced) -> Arrival:
    """The same of what was found already."""
    return Arrival(
        _received(fields.get(b"received")) or _plausible(fields.get(b"date")),
        _flags(fields.get(b"status", b""), fields.get(b"x-status", b"")),
    )


def header_end(data: bytes) -> int:
    """Where the body starts, behind the header's blank line; the length of `data` when there is none in it."""
    if data.startswith((b"\n", b"\r\n")):
        return data.index(b"\n") + 1
    blank = data.find(b"\n\r\n")
    lone = data.find(b"\n\n", 0, blank + 1 if blank >= 0 else len(data))
    if lone >= 0:
        return lone + 2
    return blank + 3 if blank >= 0 else len(data)


def _received(value: bytes | None) -> int | None:
    """The date behind the last semicolon (RFC 5322 3.6.7). A semicolon may also stand in a comment."""
    if value is None:
        return None
    found = _plausible(value[value.rfind(b";") + 1 :])
    if found is None:
        value = without_comments(unfold(value))
        found = _plausible(value[value.rfind(b";") + 1 :])
    return found


def _plausible(value: bytes | None) -> int | None:
    found = moment(value) if value is not None else None
    return found.seconds if found is not None and 0 < found.seconds < _END_OF_TIME else None


def _flags(status: bytes, x_status: bytes) -> frozenset[str]:
    """Values longer than such programs write are not looked at, nor remembered."""
    if not status and not x_status:
        return NO_FLAGS
    return _known_flags(status.strip()[: _LONGEST_STATUS + 1], x_status.strip()[: _LONGEST_STATUS + 1])


@lru_cache(maxsize=1024)
def _known_flags(status: bytes, x_status: bytes) -> frozenset[str]:
    found: set[str] = set()
    for value, meaning in ((status, _STATUS), (x_status, _X_STATUS)):
        if len(value) < _LONGEST_STATUS and _LETTERS.issuperset(value):
            found.update(meaning[letter] for letter in value if letter in meaning)
    return shared_flags(found)
