"""What an administrator has begun in the console and does not wait for: a look, a comparison, the end of a move.

One of a kind and a subject (a domain's name, or an account's) is under way at a time. The last one of each is kept with
its result, KEPT in all, until the daemon ends: whoever comes back sees how it went. What has to outlive the daemon, the
work itself writes down (`proxy.admin.reports`); a work that the daemon's end interrupts can be begun again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from mailstore.errors import MailstoreError
from proxy.wire.faults import kind, where

KEPT: Final = 100  # tasks that have ended

T = TypeVar("T")

Work = Callable[["Task"], Coroutine[Deferred[Any], Any, Any]]
Report = Callable[..., object]


class TaskFailed(Exception):
    """A work comes to no result. The text says why, to the administrator."""


class Busy(Exception):
    """The same is under way already, or the daemon stops."""


@dataclass(slots=True, eq=False)
class Task:
    """How it goes. The work sets `step` (a name of what it is at), `done` and `total` (0: not known). Times in seconds
    since 1970."""

    kind: str
    subject: str
    by: str  # an administrator's name
    begun: float
    step: str = ""
    done: int = 0
    total: int = 0
    ended: float | None = None
    given_up: bool = False  # by an administrator
    trouble: str = ""  # why it came to no result; "" where it did
    result: Any = None  # what the work gave back

    @property
    def under_way(self) -> bool:
        return self.ended is None


class Tasks:
    """Of one daemon. Everything is called in the reactor's thread."""

    def __init__(self, report: Report, clock: Callable[[], float] = time.time) -> None:
        """`report` has a line for the log: an event, and what there is to say of it."""
        self._report = report
        self._clock = clock
        self._tasks: dict[tuple[str, str], Task] = {}
        self._running: dict[Task, Deferred[Any]] = {}
        self._ending = False

    def of(self, kind: str, subject: str) -> Task | None:
        """The one that is under way, or the last one."""
        return self._tasks.get((kind, subject))

    def begin(self, kind: str, subject: str, by: str, work: Work) -> Task:
        """Begin the work. Raises Busy."""
        known = self._tasks.pop((kind, subject), None)
        if known is not None and (known.under_way or self._ending):
            self._tasks[kind, subject] = known
            raise Busy
        if self._ending:
            raise Busy
        task = self._tasks[kind, subject] = Task(kind, subject, by, self._clock())
        self._forget()
        running = Deferred.fromCoroutine(self._run(task, work))
        if task.under_way:
            self._running[task] = running
        return task

    def _forget(self) -> None:
        ended = [key for key, task in self._tasks.items() if not task.under_way]
        for key in ended[: max(0, len(ended) - KEPT)]:
            del self._tasks[key]

    async def _run(self, task: Task, work: Work) -> None:
        try:
            task.result = await work(task)
        except (TaskFailed, MailstoreError) as error:
            task.trouble = str(error)
        except CancelledError:
            task.trouble = "it was stopped"
        except Exception:  # noqa: BLE001  the one place: what nobody expected of a task is told as that task's
            failure = Failure()  # type: ignore[no-untyped-call]
            self._report("unexpected", error=kind(failure), where=where(failure), task=task.kind)
            task.trouble = f"{kind(failure)}, which nobody expected: the log says where"
        finally:
            task.ended = self._clock()
            self._running.pop(task, None)
            self._report("task", kind=task.kind, subject=task.subject, by=task.by, trouble=task.trouble)

    def stop(self, kind: str, subject: str) -> bool:
        """The administrator wants it to end. False where it is not under way."""
        task = self.of(kind, subject)
        running = self._running.get(task) if task is not None else None
        if task is None or running is None:
            return False
        task.given_up = True
        running.cancel()
        return True

    def end(self) -> None:
        """The daemon stops."""
        self._ending = True
        for running in list(self._running.values()):
            running.cancel()


def apart(reactor: Any, function: Callable[..., T], *arguments: Any) -> Deferred[T]:
    """Call a function that waits for others (name servers, an old server's greeting) in a thread of its own, which the
    daemon's end does not wait for. Who cancels the Deferred stops waiting."""
    result: Deferred[T] = Deferred()

    def deliver(value: Any) -> None:
        if not result.called:
            result.callback(value)

    def work() -> None:
        value: Any
        try:
            value = function(*arguments)
        except BaseException as error:  # noqa: BLE001 - it is raised where the Deferred is waited for
            value = Failure(error)  # type: ignore[no-untyped-call]
        reactor.callFromThread(deliver, value)

    threading.Thread(target=work, name="apart", daemon=True).start()
    return result
