"""Messages looked up and opened some ahead of their use, in one visit to the store: one look at the index for some.

Used by what goes through many messages in order: FETCH, SEARCH, SORT.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Mapping, Sequence

from mailstore.content import Content
from mailstore.errors import MessageLost, NoSuchMessage, NotArrived, StillAway
from mailstore.index.awaited import Away
from mailstore.mailhome import MailHome
from mailstore.message.facts import Facts

AHEAD = 16  # messages opened at a time
FACTS_AHEAD = 100  # messages whose facts are looked up at a time
VISIT = 0.25  # seconds after which a visit in which facts are computed ends


class FactsAhead:
    """What the store keeps of messages, looked up for some at a time, in the order given."""

    def __init__(
        self, home: MailHome, folder_id: int, uids: Sequence[int], *, wanted: bool, largest: int | None
    ) -> None:
        """`wanted`: False where nobody asks for any. `largest`: in octets, of messages that are read for them."""
        self._home = home
        self._folder_id = folder_id
        self._uids = uids
        self._wanted = wanted
        self._largest = largest
        self._at = 0
        self._ahead = range(0)  # UIDs that were looked up
        self._facts: dict[int, Facts] = {}
        self._end = time.monotonic() + VISIT

    def late(self, uid: int) -> bool:
        """Is it time for others' operations, before this message? Between two portions only."""
        return self._at > 0 and uid not in self._ahead and time.monotonic() > self._end

    def of(self, uid: int) -> Facts | None:
        """None where nothing is kept and nothing could be computed: the message itself has to be asked."""
        if not self._wanted:
            return None
        if uid not in self._ahead:
            some = self._uids[self._at : self._at + FACTS_AHEAD]
            self._at += len(some)
            self._ahead = range(some[0], some[-1] + 1)
            self._facts = self._home.kept.facts(self._folder_id, some, largest=self._largest)
        return self._facts.pop(uid, None)


class Opener:
    """Opens messages in the order given, a few ahead of their use: one look into the index for several."""

    def __init__(self, home: MailHome, folder_id: int, uids: Sequence[int], away: Mapping[int, Away] | None) -> None:
        """`away`: those that are listed and not here yet; None: looked up where one is met. Who needs the dates of
        messages gives it, from before their rows were looked up: what has no date there is known not to have
        arrived."""
        self._home = home
        self._folder_id = folder_id
        self._uids = uids
        self._next = 0  # … of `_uids` that was not tried yet
        self._ahead: dict[int, Content] = {}
        self._known_away = away

    def __enter__(self) -> Opener:
        return self

    def __exit__(self, *_: object) -> None:
        for content in self._ahead.values():
            content.close()

    @property
    def _away(self) -> Mapping[int, Away]:
        if self._known_away is None:
            self._known_away = self._home.away(self._folder_id, self._uids)
        return self._known_away

    def open(self, uid: int) -> Content:
        """The caller closes it. Raises NoSuchMessage, MessageLost, NotArrived, StillAway, NotCarriedOver."""
        away = self._known_away or {}
        if uid in away:
            raise self._home.absent(uid, away)
        if uid not in self._ahead:
            where = bisect_left(self._uids, uid, self._next)
            group = [each for each in self._uids[where : where + AHEAD] if each not in away]
            try:
                self._ahead.update(self._home.open_many(self._folder_id, group))
            except (MessageLost, NotArrived, StillAway):  # one of them, and perhaps another than this
                if self._known_away is None and self._away:
                    return self.open(uid)  # or all of them: those are to be fetched together
                return self._home.open(self._folder_id, uid)
            self._next = where + 1
        content = self._ahead.pop(uid, None)
        if content is None:
            raise NoSuchMessage
        return content

    def header(self, uid: int) -> bytes | None:
        """The header of a message that is not here yet; None where it is here, and its header in it. Raises
        NotArrived, NotCarriedOver, StillAway."""
        away = self._away.get(uid)
        if away is None:
            return None
        header = away.header
        if header is None:
            raise self._home.absent(uid, self._away, header=True)
        return header
