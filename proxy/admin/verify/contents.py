"""What the legacy server gives: digests of messages as they go by. Nothing of a message is kept.

A `Receiver` for `proxy.migration.source.Source.fetch`, called in the reactor's thread.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mailstore.entries import Entry, Listed, Outcome
from mailstore.message.rewritten import Essence, essence


@dataclass(frozen=True, slots=True)
class Given:
    """A message as the legacy server gave it, where its digest was not what was expected. `essence`: see
    `mailstore.message.rewritten`."""

    size: int
    sha256: bytes
    essence: bytes


class Contents:
    """What has been given so far, and refused, by the id of what was asked for (`asked_for`)."""

    def __init__(self) -> None:
        self.told: Callable[[], None] = lambda: None  # called when one more was given
        self.expected: Mapping[int, bytes] = {}  # the ledger's digests of those that are asked for now
        self.same: set[int] = set()  # given as expected
        self.given: dict[int, Given] = {}  # given otherwise
        self.refusals: dict[int, str] = {}
        self.octets = 0
        self._entry: Entry | None = None
        self._digest = hashlib.sha256()
        self._essence = Essence()
        self._size = 0

    @property
    def done(self) -> int:
        return len(self.same) + len(self.given) + len(self.refusals)

    def settled(self, asked: Entry) -> bool:
        """Is it not to be asked for again?"""
        return asked.id in self.same or asked.id in self.given or asked.id in self.refusals

    def message(self, entry: Entry, data: bytes) -> None:
        digest = hashlib.sha256(data).digest()
        self._took(entry, len(data), digest, lambda: essence(data))

    def begin(self, entry: Entry) -> None:
        self._entry, self._digest, self._essence, self._size = entry, hashlib.sha256(), Essence(), 0

    def piece(self, data: bytes) -> None:
        self._digest.update(data)
        self._essence.feed(data)
        self._size += len(data)

    def end(self) -> None:
        assert self._entry is not None
        self._took(self._entry, self._size, self._digest.digest(), self._essence.digest)
        self._entry = None

    def refused(self, entry: Entry, text: str) -> None:
        self.refusals[entry.id] = text

    def _took(self, entry: Entry, size: int, digest: bytes, essence_of: Callable[[], bytes]) -> None:
        self.octets += size
        if digest == self.expected.get(entry.id):
            self.same.add(entry.id)
        else:
            self.given[entry.id] = Given(size, digest, essence_of())
        self.told()


def asked_for(listed: Listed, entry: Entry | None = None) -> Entry:
    """What a message is called while it is fetched: by its number in the listing, whatever row it turns out to be."""
    if entry is not None:
        return entry._replace(id=listed.position)
    return Entry(listed.position, listed.position, listed.uidl, listed.octets, Outcome.LISTED, None, 0, 0)
