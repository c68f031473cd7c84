"""What the LMTP server asks of whoever stores mail. `proxy.login.delivering` is the real one, and
`proxy.daemon.service` hands it over; a scripted one stands in its place in tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from mailstore.spool import Spooled
from proxy.lmtp.errors import Refused
from proxy.lmtp.grammar import Path


@dataclass(frozen=True, slots=True)
class Recipient:
    """An account that takes the message, and the folder that the sender named; "": INBOX."""

    local: str
    domain: str
    folder: str = ""

    @property
    def account(self) -> str:
        return f"{self.local}@{self.domain}"


class Counter(Protocol):
    """Where mail is handed in."""

    async def recipient(self, path: Path, octets: int) -> Recipient:
        """Who that is, if a message of so many octets (0: not known) can be stored for him. Raises Refused."""

    def spool(self) -> Spooled:
        """Where a message goes as it comes. Raises OSError."""

    async def deliver(self, message: Spooled, recipients: Sequence[Recipient]) -> Sequence[Refused | None]:
        """Store it for each; None: it is on stable storage there."""
