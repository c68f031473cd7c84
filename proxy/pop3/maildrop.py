"""A session's view of INBOX: the messages that were there at login, numbered from 1 for as long as it lasts.

RFC 1939 5: numbers do not change within a session, whatever others do to the mailbox; what is deleted is only
marked, until QUIT. The view is kept in arrays, some 30 octets a message and its UIDL, because a maildrop may
have 100,000 messages and a server many sessions.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator

from mailstore.entries import NUL
from mailstore.index.rows import Row
from proxy.pop3.errors import Refused


def uidl_octets(uidl: str) -> bytes:
    """A UIDL as it goes out. One that is not ASCII is no UIDL (RFC 1939 7), but clients know it by its octets."""
    uidl = uidl.replace(NUL, "\0")
    try:
        return uidl.encode("latin-1")
    except UnicodeEncodeError:
        return uidl.encode("utf-8")


class Maildrop:
    """The messages of one session. `count` and `octets` are of those not marked as deleted."""

    __slots__ = ("_ends", "_marked", "_sizes", "_uidls", "_uids", "count", "octets")

    def __init__(self, rows: Iterable[Row]) -> None:
        self._uids = array("I")
        self._sizes = array("Q")
        self._ends = array("I")  # where each UIDL ends in _uidls
        uidls = bytearray()
        for row in rows:
            self._uids.append(row.uid)
            self._sizes.append(row.size)
            uidls += uidl_octets(row.uidl)
            self._ends.append(len(uidls))
        self._uidls = bytes(uidls)
        self._marked = bytearray(len(self._uids))
        self.count = len(self._uids)
        self.octets = sum(self._sizes)

    def __len__(self) -> int:
        """How many numbers there are, marked or not."""
        return len(self._uids)

    def known(self, number: int) -> bool:
        """Is this the number of a message that is not marked as deleted?"""
        return 0 < number <= len(self._uids) and not self._marked[number - 1]

    def numbers(self, start: int, stop: int) -> Iterator[int]:
        """The numbers from `start` up to `stop`, it not included, that are `known`."""
        return (number for number in range(start, stop) if not self._marked[number - 1])

    def uid(self, number: int) -> int:
        """Raises Refused."""
        return self._uids[self._index(number)]

    def size(self, number: int) -> int:
        """In octets. Raises Refused."""
        return self._sizes[self._index(number)]

    def uidl(self, number: int) -> bytes:
        """Raises Refused."""
        index = self._index(number)
        return self._uidls[self._ends[index - 1] if index else 0 : self._ends[index]]

    def mark(self, number: int) -> None:
        """DELE. Raises Refused."""
        index = self._index(number)
        self._marked[index] = 1
        self.count -= 1
        self.octets -= self._sizes[index]

    def unmark_all(self) -> None:
        """RSET."""
        self._marked = bytearray(len(self._uids))
        self.count = len(self._uids)
        self.octets = sum(self._sizes)

    def marked_uids(self) -> list[int]:
        """What QUIT removes."""
        return [uid for uid, marked in zip(self._uids, self._marked, strict=True) if marked]

    def _index(self, number: int) -> int:
        if not 0 < number <= len(self._uids):
            raise Refused("no such message")
        if self._marked[number - 1]:
            raise Refused(f"message {number} is deleted")
        return number - 1
