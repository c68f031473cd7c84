"""Calls that wait for others, many at a time, in threads that nobody has to wait for.

A thread of `concurrent.futures` is joined when the interpreter ends; these end with it, whatever they wait for, so that
neither a daemon's end nor Ctrl-C is held up by a name server.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from typing import TypeVar

A = TypeVar("A")
T = TypeVar("T")


def at_once(function: Callable[[A], T], arguments: Iterable[A], most: int) -> list[T]:
    """What the function gives for each argument, in their order; at most so many calls at a time. Raises what the
    first that fails has raised."""
    waiting = deque(enumerate(arguments))
    count = len(waiting)
    done: SimpleQueue[tuple[int, T | None, BaseException | None]] = SimpleQueue()

    def work() -> None:
        while True:
            try:
                number, argument = waiting.popleft()
            except IndexError:
                return
            try:
                done.put((number, function(argument), None))
            except BaseException as error:  # noqa: BLE001 - it is raised where the results are waited for
                done.put((number, None, error))

    for _ in range(min(most, count)):
        threading.Thread(target=work, name="at once", daemon=True).start()
    found: dict[int, T] = {}
    for _ in range(count):
        number, value, error = done.get()
        if error is not None:
            waiting.clear()
            raise error
        found[number] = value  # type: ignore[assignment]
    return [found[number] for number in range(count)]
