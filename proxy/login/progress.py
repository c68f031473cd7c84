"""How far one account's move is, written down for `status` and `migrate` while it goes on."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final

from twisted.internet.defer import Deferred

from mailstore.accounts import Accounts, Far
from mailstore.entries import Sums
from mailstore.errors import MailstoreError
from proxy.wire.in_thread import InThread

PROGRESS_SECONDS: Final = 1.0  # how often it is written down
FEW: Final = 100  # messages that will be here before anybody asks how far it is


def how_far(sums: Sums) -> tuple[Far, Far]:
    """Messages and octets, as the accounts have it."""
    return (sums.messages_done, sums.messages_total), (sums.bytes_done, sums.bytes_total)


class Progress:
    """Of one move. `apart` lets something run that nobody waits for."""

    def __init__(
        self,
        account_id: int,
        accounts: Accounts,
        *,
        seconds: Callable[[], float],
        in_thread: InThread,
        apart: Callable[[Coroutine[Deferred[Any], Any, Any]], Deferred[None]],
    ) -> None:
        self._account_id = account_id
        self._accounts = accounts
        self._seconds = seconds
        self._in_thread = in_thread
        self._apart = apart
        self._started = seconds()
        self._written: float | None = None
        self._writing: Deferred[None] | None = None
        self._refused = False  # has a write been, and was it said?
        self.last: Sums | None = None

    @property
    def seconds(self) -> float:
        """Since it began."""
        return self._seconds() - self._started

    def tell(self, sums: Sums) -> None:
        """A step forward."""
        self.last = sums
        over = self._writing is None or self._writing.called
        if self._written is None:  # what is listed is written at once, where the rest will take a while
            few = sums.messages_total - sums.messages_done < FEW
            self._written = self._started if few else self._started - PROGRESS_SECONDS
        if over and self._seconds() - self._written >= PROGRESS_SECONDS:
            self._written = self._seconds()
            self._writing = self._apart(self._write_on(sums))

    async def _write_on(self, sums: Sums) -> None:
        """A disk that refuses it each second is said once."""
        try:
            await self.write(sums)
        except MailstoreError:
            if not self._refused:
                self._refused = True
                raise

    async def settled(self) -> None:
        """Returns when what is being written has been: it could come last otherwise."""
        if self._writing is not None:
            await self._writing

    async def write(self, sums: Sums) -> None:
        """Raises StorageFailed."""
        await self._in_thread(self._accounts.progress, self._account_id, *how_far(sums))
