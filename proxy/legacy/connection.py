"""What a connection to a legacy server is to a migration, whatever protocol it speaks: paused, resumed, left, dropped.

`proxy.pop3.client` and `proxy.imap.client` add what is asked over it.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Final, Generic, Protocol, TypeVar

from twisted.internet.interfaces import IReactorTime

from proxy.legacy.encryption import Encryption
from proxy.legacy.errors import LegacyError, LegacyTimeout
from proxy.legacy.settings import Legacy
from proxy.legacy.wire import Wire

FAREWELL_TIME: Final = 10.0  # seconds for saying goodbye


class Session(Protocol):
    """What a protocol's client knows of one connection."""

    wire: Wire[Any]


S = TypeVar("S", bound=Session)
R = TypeVar("R")


class LegacyConnection(Generic[S]):
    """A connection that is ready for a login, or further."""

    def __init__(self, session: S, legacy: Legacy, clock: IReactorTime) -> None:
        self.legacy = legacy
        self._session = session
        self._clock = clock

    @property
    def over(self) -> bool:
        """Is this connection of no use any more?"""
        return self._session.wire.over is not None

    @property
    def encryption(self) -> Encryption | None:
        """How it is encrypted; None where it is not, or is gone."""
        return self._session.wire.encryption

    def pause(self, why: object = None) -> None:
        """Hand the sink no more for now. What was read already, at most 192 KiB, still comes."""
        self._session.wire.pause(why)

    def resume(self, why: object = None) -> None:
        """Go on after `pause` for the same reason."""
        self._session.wire.resume(why)

    def abort(self) -> None:
        """Drop the connection at once; who awaits something of it gets LegacyUnreachable. Idempotent."""
        self._session.wire.abort()

    async def gone(self) -> None:
        """Returns when the connection is closed, after `abort` or whatever else ended it."""
        await self._session.wire.gone()

    async def leave(self) -> None:
        """Close the connection without a word, and return when it is closed: a server that takes note of what was
        fetched does so with the farewell. Raises nothing."""
        await self._leave(None)

    async def _leave(self, farewell: Awaitable[object] | None) -> None:
        """Close the connection once the server has answered to `farewell`, or at once where there is none, and return
        when it is closed. Raises nothing."""
        wire = self._session.wire
        timer = self._clock.callLater(FAREWELL_TIME, wire.abort)
        try:
            if farewell is not None:
                await farewell
            wire.close()
        except LegacyError:
            wire.abort()
        try:
            await wire.gone()
        finally:
            if timer.active():
                timer.cancel()


async def first_words(greeting: Awaitable[R], wire: Wire[Any]) -> R:
    """What the server says first. Raises LegacyError; a server that says nothing may be waiting for something else."""
    try:
        return await greeting
    except LegacyTimeout as error:
        if wire.encrypted:
            raise
        hint = 'a server that expects TLS from the start waits like this: try `tls = "implicit"`'
        raise LegacyTimeout(f"{error.text}; {hint}", remedy="") from None
