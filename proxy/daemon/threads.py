"""The threads that the store works in.

Few, and cheap to reach. Python runs one thread at a time: many that want to run at once hand the interpreter to
and fro and leave the reactor waiting for its turn, five milliseconds each time. A handful is enough for what threads
are good for here, which is waiting for a disk and hashing passwords. The way there and back is a queue in C and one
wake-up of the reactor for all results that have gathered, where Twisted's own pool takes two locks, three closures
and a wake-up for each.

`run` is called in the reactor's thread and its Deferred fires there. Who cancels it stops waiting; the work goes on.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

THREADS: Final = 4  # a process

T = TypeVar("T")

_Work = tuple[Callable[..., Any], tuple[Any, ...], Deferred[Any]]


class Threads:
    """Up to `most` threads, begun as they are needed. A process that ends without `stop` ends in the midst of them."""

    def __init__(self, most: int, from_thread: Callable[[Callable[[], None]], object]) -> None:
        """`from_thread` calls a function in the reactor's thread: `reactor.callFromThread`."""
        self._most = most
        self._from_thread = from_thread
        self._waiting: SimpleQueue[_Work | None] = SimpleQueue()
        self._done: deque[tuple[Deferred[Any], Any]] = deque()
        self._told = False  # will the reactor look at `_done`?
        self._threads: list[threading.Thread] = []
        self._under_way = 0

    def run(self, function: Callable[..., T], *arguments: Any) -> Deferred[T]:
        """Call the function in a thread; the Deferred has its result, or what it raised."""
        result: Deferred[T] = Deferred()
        self._under_way += 1
        if len(self._threads) < min(self._under_way, self._most):
            thread = threading.Thread(target=self._work, name=f"store-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._waiting.put((function, arguments, result))
        return result

    def stop(self) -> None:
        """End the threads, when all that was asked for is done. Results that nobody waited for are dropped."""
        threads, self._threads = self._threads, []
        for _ in threads:
            self._waiting.put(None)
        for thread in threads:
            thread.join()

    def _work(self) -> None:
        while (work := self._waiting.get()) is not None:
            function, arguments, result = work
            value: Any
            try:
                value = function(*arguments)
            except BaseException as error:  # noqa: BLE001 - it is raised where the Deferred is waited for
                value = Failure(error)  # type: ignore[no-untyped-call]
            self._done.append((result, value))
            del work, function, arguments, result, value
            # The flag is set behind the result and cleared before results are taken: none is left lying.
            if not self._told:
                self._told = True
                self._from_thread(self._deliver)

    def _deliver(self) -> None:
        self._told = False
        while self._done:
            result, value = self._done.popleft()
            self._under_way -= 1
            if isinstance(value, Failure):
                result.errback(value)
            else:
                result.callback(value)
