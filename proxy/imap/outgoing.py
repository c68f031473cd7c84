"""What a session sends, on its way to the transport: joined into few writes, and no faster than it is read.

A session writes small responses with `write`, which only collects them, and everything large with
`await send`, which waits while the client does not read. So what is held in memory for one client is
bounded by PIECE, whatever it asked for. A client that does not read at all for `stalled` seconds is
left (invariant 10). Used by one session and its protocol; knows no IMAP.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime, ITransport

from proxy.wire.outflow import PIECE, Outflow


class ClientGone(Exception):
    """The connection is closed: there is nobody to answer."""


class Outgoing(Outflow):
    """The sending half of one connection. `on_stalled` is called when the client has not read for too long."""

    def __init__(
        self, transport: ITransport, clock: IReactorTime, stalled: float, on_stalled: Callable[[], None]
    ) -> None:
        super().__init__(clock, stalled, on_stalled)
        self._transport = transport
        self._parts: list[bytes] = []
        self._size = 0
        self._muted = False
        self._deflate: Callable[[bytes], bytes] | None = None

    def write(self, data: bytes) -> None:
        """Collect a response; `flush` or a later `send` hands it on."""
        if not self._muted:
            self._parts.append(data)
            self._size += len(data)

    def flush(self) -> None:
        """Hand on what was collected, in one write."""
        if self._parts:
            data = b"".join(self._parts)
            self._parts.clear()
            self._size = 0
            if not self.gone:
                self._hand_on(data)

    async def send(self, data: bytes | memoryview) -> None:
        """Hand on `data` after what was collected, waiting while the client does not read. Raises ClientGone."""
        if self._size + len(data) < PIECE:
            self.write(bytes(data))
            return
        self.flush()
        for start in range(0, len(data), PIECE):
            await self.drained()
            self._hand_on(bytes(data[start : start + PIECE]))  # which copies nothing where it is all of the octets
        await self.drained()

    async def drained(self) -> None:
        """Wait until the transport takes more. Raises ClientGone."""
        if not await self.flows():
            raise ClientGone

    def stopProducing(self) -> None:
        self._parts.clear()
        super().stopProducing()

    def close(self) -> None:
        """The connection is gone: drop what is left, and wake who waits to send. Idempotent."""
        self.stopProducing()

    def mute(self) -> None:
        """Drop what is collected and all that is written from here on; the connection stays, to be closed in order."""
        self._muted = True
        self._parts.clear()

    @property
    def closed(self) -> bool:
        return self.gone

    def compress(self, deflate: Callable[[bytes], bytes]) -> None:
        """Send everything from here on through `deflate`; what was written is flushed before."""
        self.flush()
        self._deflate = deflate

    def _hand_on(self, data: bytes) -> None:
        self._transport.write(data if self._deflate is None else self._deflate(data))
