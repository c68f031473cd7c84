"""What a client sends, on its way to commands: as it is, or compressed (RFC 4978).

Compressed input is made larger only as far as somebody wants more of it, so that a few octets that stand for many
megabytes are no more in memory than the same sent as they are. Pure; one session has one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, Final

from proxy.imap.compression import Compression
from proxy.wire.commands import CommandReader, Event
from proxy.wire.door import Limits

HELD: Final = 256 * 1024  # octets that a client may send ahead while a command is being answered


class Intake:
    """One session's input. `reader` makes events of it."""

    def __init__(self, limits: Limits, spool: Callable[[], IO[bytes]]) -> None:
        """`spool` gives a file for a message on its way in."""
        self.reader = CommandReader(limits, spool)
        self.compression: Compression | None = None

    def received(self, data: bytes) -> None:
        if self.compression is None:
            self.reader.feed(data)
        else:
            self.compression.received(data)

    def next(self) -> Event | None:
        """What the client says next, or None while it has not said it. Raises BrokenStream."""
        while (event := self.reader.next()) is None and self.compression is not None and self.compression.waiting:
            self.reader.feed(self.compression.inflate())
        return event

    def compress(self) -> Compression:
        """From here on input is compressed. What came before the client could know of it is not, and should not be
        there."""
        self.reader.clear()
        self.compression = Compression()
        return self.compression

    @property
    def full(self) -> bool:
        """Is there so much that no more should come while a command is being answered?"""
        return self.held_back or self.reader.pending > HELD

    @property
    def held_back(self) -> bool:
        """Is there so much compressed input that no more should come at all?"""
        return self.compression is not None and self.compression.held > HELD
