"""POP3's names for the messages of a legacy INBOX that is carried over IMAP.

A client that leaves mail on the server knows it by its UIDLs, and downloads everything again where they are others. So
the maildrop is listed over POP3 as well, where that is open, and its UIDLs are given to the messages of the INBOX:

- by order, where both list as many messages and announce the same octets for each;
- else by Message-ID, for those whose Message-ID stands as often in the maildrop (by TOP) as in the INBOX, the first
  one to the first one; and, of what is left, by octets that one message on either side has and no other.

Whatever is matched by neither gets no UIDL, and so one of ours.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from twisted.internet.defer import Deferred, FirstError, gatherResults

from proxy.imap.client.replies import message_id
from proxy.legacy.errors import CommandRefused, LegacyError, MaildropInUse
from proxy.migration.listing import uidl as uidl_text
from proxy.pop3.client.connection import Connection

K = TypeVar("K")

TOPS_AT_ONCE: Final = 50
LEFT_ALONE: Final = 600.0  # seconds for which a POP3 service that does not answer is not tried again
IN_USE: Final = 3  # times in a row after which a maildrop is not taken to be in use but never to be had beside IMAP

OpenMaildrop = Callable[[], Awaitable[Connection]]
"""A POP3 connection that has logged in."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A message of the maildrop, as POP3 lists it."""

    number: int
    octets: int
    uidl: str


class Maildrops:
    """What was learnt of a legacy server's POP3 side that the next look at it should know."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left_until = float("-inf")
        self._in_use = 0

    @property
    def left_alone(self) -> bool:
        return self._clock() < self._left_until

    def worked(self) -> None:
        self._in_use = 0

    def failed(self, error: LegacyError) -> bool:
        """It could not be listed; gives back whether to wait for it: somebody has it open for a moment."""
        if isinstance(error, MaildropInUse):
            self._in_use += 1
            return self._in_use <= IN_USE
        self._left_until = self._clock() + LEFT_ALONE
        return False


async def list_maildrop(connection: Connection) -> list[Dropped]:
    """UIDL and LIST. Empty where the server has no UIDL. Raises LegacyError."""
    names = await connection.uidl()
    if not names:
        return []
    sizes = await connection.list_sizes()
    return [Dropped(n, sizes[n] or 0, uidl_text(name)) for n, name in names if n in sizes]


async def maildrop_ids(connection: Connection, numbers: Sequence[int]) -> dict[int, bytes]:
    """The Message-IDs of messages, by number, as far as the server has TOP. Raises LegacyError."""
    found: dict[int, bytes] = {}
    for at in range(0, len(numbers), TOPS_AT_ONCE):
        chosen = numbers[at : at + TOPS_AT_ONCE]
        asked = [Deferred.fromCoroutine(connection.top(number, 0)) for number in chosen]
        try:
            headers = await gatherResults(asked, consumeErrors=True)
        except FirstError as error:
            if isinstance(error.subFailure.value, CommandRefused):
                return found  # it has no TOP
            assert error.subFailure.value is not None
            raise error.subFailure.value from error
        found.update({number: message_id(header) for number, header in zip(chosen, headers, strict=True)})
    return found


def by_order(inbox: Sequence[int], dropped: Sequence[Dropped]) -> list[str] | None:
    """UIDLs for the INBOX, given by its octets, where both sides list the same; None where they do not."""
    if len(inbox) != len(dropped):
        return None
    if any(octets and each.octets != octets for octets, each in zip(inbox, dropped, strict=True)):
        return None
    return [each.uidl for each in dropped]


def by_content(
    inbox: Sequence[int], ids: Sequence[bytes], dropped: Sequence[Dropped], dropped_ids: Mapping[int, bytes]
) -> list[str]:
    """UIDLs for the INBOX, "" for those that are not matched; `ids` are Message-IDs in its order."""
    names = [""] * len(inbox)
    theirs = [dropped_ids.get(each.number, b"") for each in dropped]
    left, others = _pair(names, range(len(inbox)), ids, dropped, range(len(dropped)), theirs, alone=False)
    _pair(names, left, inbox, dropped, others, [each.octets for each in dropped], alone=True)
    return names


def _pair(
    names: list[str],
    ours: Sequence[int],
    our_keys: Sequence[K],
    dropped: Sequence[Dropped],
    theirs: Sequence[int],
    their_keys: Sequence[K],
    *,
    alone: bool,
) -> tuple[list[int], list[int]]:
    """Match what has the same key as often on both sides, once if `alone`; gives back what is left of both."""
    here, there = defaultdict(list), defaultdict(list)
    for index in ours:
        here[our_keys[index]].append(index)
    for index in theirs:
        there[their_keys[index]].append(index)
    left, others = [], []
    for key, mine in here.items():
        same = there.pop(key, [])
        if key and len(mine) == len(same) and not (alone and len(mine) > 1):
            for index, other in zip(mine, same, strict=True):
                names[index] = dropped[other].uidl
        else:
            left += mine
            others += same
    return sorted(left), sorted([*others, *(index for rest in there.values() for index in rest)])
