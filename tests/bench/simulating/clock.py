"""A clock for a day that takes minutes: Twisted's `task.Clock` sorts all that waits at each call, this has a heap."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from typing import Any

from twisted.internet.base import DelayedCall
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer


@implementer(IReactorTime)
class HeapClock:
    """`run` it. What is called may call later what it likes."""

    def __init__(self) -> None:
        self._now = 0.0
        self._waiting: list[tuple[float, int, DelayedCall]] = []
        self._numbers = count()

    def seconds(self) -> float:
        return self._now

    def callLater(self, delay: float, callable: Callable[..., Any], *args: object, **kw: object) -> DelayedCall:  # noqa: A002 - Twisted's names
        call = DelayedCall(self._now + delay, callable, args, kw, lambda _: None, self._again, self.seconds)
        self._again(call)
        return call

    def _again(self, call: DelayedCall) -> None:
        heapq.heappush(self._waiting, (call.getTime(), next(self._numbers), call))

    def getDelayedCalls(self) -> list[DelayedCall]:
        return [call for _, _, call in self._waiting if call.active()]

    def callFromThread(self, callable: Callable[..., Any], *args: object) -> None:  # noqa: A002
        callable(*args)

    def run(self, until: float) -> None:
        """Let time pass."""
        while self._waiting and self._waiting[0][0] <= until:
            at, _, call = heapq.heappop(self._waiting)
            if call.cancelled or call.called:
                continue
            if call.delayed_time:  # it was put off
                call.activate_delay()
                self._again(call)
                continue
            self._now = max(self._now, at)
            call.called = 1
            call.func(*call.args, **call.kw)
        self._now = until
