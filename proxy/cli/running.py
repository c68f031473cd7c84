"""Twisted's reactor for the length of one command."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar("T")


def run_to_end(reactor: Any, work: Coroutine[Deferred[Any], Any, T]) -> T | None:
    """Run the reactor until `work` has ended, and give back its result or raise what it raised; None where Ctrl-C or
    SIGTERM came first. Once in a process."""
    results: list[T | Failure] = []

    def ended(result: T | Failure) -> None:
        results.append(result)
        if reactor.running:
            reactor.stop()

    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(work).addBoth(ended))
    reactor.run()
    if not results:
        return None
    (result,) = results
    if isinstance(result, Failure):
        result.raiseException()
    return result
