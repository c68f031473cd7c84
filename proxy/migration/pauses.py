"""How long a move waits for its next connection: longer each time, and not for ever where nothing gets stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from proxy.migration.source import SourceBusy, SourceLost

PAUSES: Final[Sequence[float]] = (1.0, 2.0, 5.0, 10.0)  # seconds before each new connection while nothing gets stored
# The same where the server is busy, in all longer than RFC 1939 3's time to an autologout.
WAITS: Final[Sequence[float]] = (10.0, 20.0, 40.0, *12 * (60.0,))


class Pauses:
    """How long to wait before each new connection."""

    def __init__(self) -> None:
        self._settled = self._lost = self._busy = 0

    def after(self, error: SourceLost, settled: int) -> float | None:
        """Seconds; None when it was tried often enough. `settled`: messages done with in this run."""
        if settled != self._settled:
            self._settled, self._lost, self._busy = settled, -1, 0
        if isinstance(error, SourceBusy):
            pauses, at = WAITS, self._busy
            self._busy += 1
        else:
            self._lost += 1
            pauses, at = PAUSES, self._lost
        return pauses[at] if at < len(pauses) else None
