"""Guesses that count on all nodes, whichever they were made at: at users' passwords (`proxy.login.throttle`), and at
administrators' (`proxy.web.console.attempts`).

Each node tells the others of its own, and nothing is asked of the database for that. News of the same words is told
once where it comes close together, so each piece has a number.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Protocol


class Told(Protocol):
    """Other nodes: `proxy.login.nodes`."""

    def on(self, kind: str, told: Callable[[int, str], None]) -> None: ...

    def tell(self, kind: str, about: int = 0, more: str = "") -> None: ...


def counted_by_all(nodes: Told, kind: str, counted: Callable[..., None]) -> Callable[..., None]:
    """What is called with the words of a guess made here. `counted` is, with those of guesses made elsewhere."""
    numbers = count(1)

    def heard(_number: int, more: str) -> None:
        with suppress(ValueError, TypeError):  # of a node of another version
            counted(*map(str, json.loads(more)))

    def tell(*words: str) -> None:
        nodes.tell(kind, next(numbers), json.dumps(words))

    nodes.on(kind, heard)
    return tell
