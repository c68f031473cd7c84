"""What a move carries over, for whoever watches: messages and octets as they come, and how long each took."""

from __future__ import annotations

from mailstore.entries import Sums
from proxy.wire import tally


class Carried:
    """Of one move. The first sums that it is told are where the move began."""

    def __init__(self, measured: tally.Tally, domain: str) -> None:
        self._tally = measured
        self._domain = domain
        self._last: Sums | None = None
        self._at = 0.0

    def listed_in(self, seconds: float) -> None:
        """The legacy server has listed the mailbox."""
        self._tally.took(seconds, tally.LISTING, self._domain)

    def tell(self, sums: Sums) -> None:
        """A step forward: a batch is here. Messages of a batch come behind each other, so each took its share."""
        now, last = tally.now(), self._last
        messages = 0 if last is None else sums.messages_done - last.messages_done
        octets = 0 if last is None else sums.bytes_done - last.bytes_done
        if messages > 0:
            self._tally.count(tally.MESSAGES, self._domain, by=messages)
            self._tally.count(tally.OCTETS, self._domain, by=max(0, octets))
            self._tally.took((now - self._at) / messages, tally.PER_MESSAGE, self._domain, often=messages)
        self._last, self._at = sums, now
