"""How the reactor's thread has something done in another: what those that speak and those that fetch are handed.

The daemon's threads do it (`proxy.daemon.threads`), a test's may do it at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred

T = TypeVar("T")


class InThread(Protocol):
    """Runs a function in a thread of the pool and gives a Deferred of its result."""

    def __call__(self, function: Callable[..., T], *arguments: Any) -> Deferred[T]: ...
