"""Connections that have not logged in yet: how many there may be, from one address and in all (invariant 10)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

EACH: Final = 1_000  # from one address: an office behind one address logs in for the first time at once
ALL: Final = 8_000


class Arrivals:
    """Shared by all listeners of a process."""

    def __init__(self, each: int = EACH, all_: int = ALL) -> None:
        self._each = each
        self._all = all_
        self._count: Counter[str] = Counter()
        self._total = 0

    def limit(self, each: int, all_: int) -> None:
        """No more than so many from now on. Those that are counted already stay."""
        self._each, self._all = each, all_

    def admit(self, peer: str) -> Callable[[], None] | None:
        """Count a connection; None when there are too many. What is given back is called when the connection has
        logged in or is gone; calling it twice does no harm."""
        if self._total >= self._all or self._count[peer] >= self._each:
            return None
        self._count[peer] += 1
        self._total += 1
        counted = True

        def leave() -> None:
            nonlocal counted
            if counted:
                counted = False
                self._total -= 1
                self._count[peer] -= 1
                if not self._count[peer]:
                    del self._count[peer]

        return leave
