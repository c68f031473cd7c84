"""What to fetch next while users are in already: what they wait for, then headers, then messages, newest first.

Each message is asked for once, and its header once, unless it is here or the whole of it was asked for before. A
message that is hardly more than its header is fetched whole at once. Pure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Final

from mailstore.entries import Entry
from proxy.legacy.settings import Window
from proxy.pop3.client.errands import Errand

HEADER_WEIGHT: Final = 2 * 1024  # octets that a header is taken for
SMALL: Final = 2 * 1024  # octets of a message up to which its header is not fetched by itself

Item = tuple[int, Entry]  # the position now, and the ledger's row


class Agenda:
    """One connection's. A `proxy.pop3.client.errands.Agenda`."""

    def __init__(
        self,
        wanted: Sequence[Item],
        *,
        headers: Collection[int],
        headers_ahead: bool,
        messages: bool = True,
        window: Callable[[], Window],
    ) -> None:
        """`wanted` ascend. `headers` are the ledger rows whose headers are to be had as well; `headers_ahead`: they
        come before all messages, and not only where somebody waits for one; `messages`: those come as well, and not
        only where somebody waits."""
        self._items = {entry.id: (position, entry) for position, entry in wanted}
        self._headers = set(headers) & self._items.keys()
        self._no_headers = False
        self._front: deque[tuple[int, bool]] = deque()  # (ledger row, whole): what somebody waits for
        self._newest_headers = self._newest(wanted) if headers_ahead else iter(())
        self._newest_messages = self._newest(wanted) if messages else iter(())
        self.window = window

    @staticmethod
    def _newest(wanted: Sequence[Item]) -> Iterator[int]:
        return (entry.id for _, entry in reversed(wanted))

    @property
    def urgent(self) -> bool:
        """See `errands.Agenda`."""
        return bool(self._front)

    def asked(self, ledger_id: int) -> bool:
        """Was this message, and not its header alone, asked for, or dropped?"""
        return ledger_id not in self._items

    def hurry(self, ledger_ids: Iterable[int], *, whole: bool) -> None:
        """Somebody waits for these, or their headers, in this order: before all others that are not asked for."""
        asked = [(i, whole) for i in ledger_ids if i in self._items]
        self._front.extendleft(reversed(asked))

    def drop(self, ledger_ids: Iterable[int]) -> set[int]:
        """These are not wanted any more. Gives back those that were not asked for and will not be."""
        dropped = {each for each in ledger_ids if self._items.pop(each, None) is not None}
        self._headers -= dropped
        return dropped

    def no_header(self, ledger_id: int) -> None:
        """The server does not give this one's header: who waits for that needs the message."""
        self.hurry([ledger_id], whole=True)

    def without_headers(self) -> None:
        """The server gives no headers at all."""
        self._no_headers = True
        self._headers.clear()
        self._newest_headers = iter(())

    def next(self) -> Errand | None:
        """See `errands.Agenda`."""
        while self._front:
            ledger_id, whole = self._front.popleft()
            if (errand := self._errand(ledger_id, header=not whole, hurried=True)) is not None:
                return errand
        for ledger_id in self._newest_headers:
            if (errand := self._errand(ledger_id, header=True, hurried=False)) is not None:
                return errand
        for ledger_id in self._newest_messages:
            if (errand := self._errand(ledger_id, header=False, hurried=False)) is not None:
                return errand
        return None

    def _errand(self, ledger_id: int, *, header: bool, hurried: bool) -> Errand | None:
        """None where it was asked for already, or is here."""
        item = self._items.get(ledger_id)
        if item is None:
            return None
        position, entry = item
        if header and not (self._no_headers and hurried):
            if ledger_id not in self._headers:
                return None
            self._headers.discard(ledger_id)
            if entry.octets > SMALL:
                return Errand(position, header=True, weight=HEADER_WEIGHT)
        del self._items[ledger_id]
        self._headers.discard(ledger_id)
        return Errand(position, header=False, weight=max(entry.octets, 1))
