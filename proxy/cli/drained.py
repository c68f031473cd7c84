"""What there is to say of a node that is drained, for `mailferry drain` and `mailferry status`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy.admin.moments import iso
from proxy.daemon import drain_file
from proxy.daemon.drain_file import Wish, Word


@dataclass(frozen=True, slots=True)
class Drain:
    """How far it is. `word` is the daemon's; None: there is none that runs, or it has not noticed yet."""

    wish: Wish
    word: Word | None

    @property
    def done(self) -> bool:
        return self.word is not None and self.word.drained

    def line(self) -> str:
        """For people."""
        begun = f"draining since {iso(self.wish.since)}"
        if self.word is None:
            return f"{begun}: no daemon runs, or it has just begun"
        left = f"{_counted(self.word.sessions, 'session')} and {_counted(self.word.moves, 'move')}"
        if self.done:
            return f"drained: {left}; it can be stopped; mailferry drain --undo takes it back"
        return f"{begun}: {left} left"

    def as_json(self) -> dict[str, Any]:
        """`drained` is whether nobody would notice its stop."""
        known = self.word is not None
        return {
            "since": iso(self.wish.since),
            "sessions": self.word.sessions if self.word is not None else None,
            "moves": self.word.moves if self.word is not None else None,
            "drained": known and self.done,
        }


def drain_of(state: Path) -> Drain | None:
    """None where it is not to be drained. Raises OSError."""
    wish = drain_file.wish_of(state)
    return None if wish is None else Drain(wish, drain_file.word_of(state))


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
