"""How much mail an account may hold, and how much it does."""

from __future__ import annotations

from dataclasses import dataclass

from mailstore.errors import OverQuota


@dataclass(frozen=True, slots=True)
class Usage:
    """Mail in octets as stored, and in messages."""

    octets: int
    messages: int


@dataclass(frozen=True, slots=True)
class Limits:
    """None: without a limit."""

    octets: int | None = None
    messages: int | None = None

    def __bool__(self) -> bool:
        return self.octets is not None or self.messages is not None

    def check(self, there: Usage, more: Usage) -> None:
        """Raises OverQuota where `more` would not fit in with what is `there`."""
        for limit, used, added in (
            (self.octets, there.octets, more.octets),
            (self.messages, there.messages, more.messages),
        ):
            if limit is not None and used + added > limit:
                raise OverQuota("there is no room left for this")
