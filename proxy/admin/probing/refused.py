"""Which accounts were refused just now: whoever tries one of them again at once should be sure of its password, for
each refusal counts at the legacy server. In memory, and bounded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

SPAN: Final = 60.0  # seconds
_MOST: Final = 1_000  # accounts


class Refused:
    """Of one daemon. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._when: OrderedDict[str, float] = OrderedDict()

    def note(self, account: str) -> None:
        """It was, now; or nobody knows."""
        self._when[account] = self._clock()
        self._when.move_to_end(account)
        while len(self._when) > _MOST:
            self._when.popitem(last=False)

    def lately(self, account: str) -> bool:
        when = self._when.get(account)
        return when is not None and self._clock() - when < SPAN
