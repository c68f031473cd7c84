"""Work that an administrator has begun and does not wait for."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from mailstore.errors import StorageFailed
from proxy.admin.tasks import KEPT, Busy, Task, TaskFailed, Tasks, apart


class Desk:
    """Tasks, and what they have said to the log."""

    def __init__(self) -> None:
        self.said: list[tuple[str, dict[str, Any]]] = []
        self.now = 1000.0
        self.tasks = Tasks(lambda event, **about: self.said.append((event, about)), lambda: self.now)


async def nothing(_task: Task) -> str:
    return "done"


def waiting(until: Deferred[str]) -> Any:
    async def work(task: Task) -> str:
        task.step, task.total = "waiting", 1
        said = await until
        task.done = 1
        return said

    return work


def test_its_way_from_beginning_to_end() -> None:
    desk, until = Desk(), Deferred[str]()
    task = desk.tasks.begin("dns", "123.com", "ada", waiting(until))
    assert desk.tasks.of("dns", "123.com") is task
    assert (task.under_way, task.step, task.done, task.total, task.result) == (True, "waiting", 0, 1, None)
    desk.now = 1005.0
    until.callback("all is right")
    assert (task.under_way, task.ended, task.done, task.result, task.trouble) == (False, 1005.0, 1, "all is right", "")
    assert desk.said == [("task", {"kind": "dns", "subject": "123.com", "by": "ada", "trouble": ""})]


def test_one_of_a_kind_and_subject_at_a_time() -> None:
    desk, until = Desk(), Deferred[str]()
    task = desk.tasks.begin("dns", "123.com", "ada", waiting(until))
    with pytest.raises(Busy):
        desk.tasks.begin("dns", "123.com", "grace", nothing)
    assert desk.tasks.of("dns", "123.com") is task
    assert desk.tasks.begin("dns", "124.com", "grace", nothing).result == "done"
    assert desk.tasks.begin("verify", "123.com", "grace", nothing).result == "done"
    until.callback("")
    assert desk.tasks.begin("dns", "123.com", "grace", nothing).by == "grace"


@pytest.mark.parametrize("error", [TaskFailed("nobody answers"), StorageFailed("nobody answers")])
def test_what_does_not_work_is_told(error: Exception) -> None:
    desk = Desk()

    async def work(_task: Task) -> None:
        raise error

    task = desk.tasks.begin("dns", "123.com", "ada", work)
    assert (task.under_way, task.trouble) == (False, "nobody answers")


def test_what_nobody_expected_is_told_without_its_words() -> None:
    desk = Desk()

    async def work(_task: Task) -> None:
        raise ZeroDivisionError("a password")

    task = desk.tasks.begin("dns", "123.com", "ada", work)
    assert task.trouble == "ZeroDivisionError, which nobody expected: the log says where"
    event, about = desk.said[0]
    assert (event, about["error"], about["task"]) == ("unexpected", "ZeroDivisionError", "dns")
    assert "test_admin_tasks.py:" in about["where"]


def test_an_administrator_stops_it() -> None:
    desk = Desk()
    assert not desk.tasks.stop("dns", "123.com")
    task = desk.tasks.begin("dns", "123.com", "ada", waiting(Deferred[str]()))
    assert desk.tasks.stop("dns", "123.com")
    assert (task.under_way, task.given_up, task.trouble) == (False, True, "it was stopped")
    assert not desk.tasks.stop("dns", "123.com")


def test_the_daemon_stops() -> None:
    desk = Desk()
    task = desk.tasks.begin("dns", "123.com", "ada", waiting(Deferred[str]()))
    desk.tasks.end()
    assert (task.under_way, task.given_up) == (False, False)
    for subject in ("123.com", "124.com"):
        with pytest.raises(Busy):
            desk.tasks.begin("dns", subject, "ada", nothing)
    assert desk.tasks.of("dns", "123.com") is task


def test_only_so_many_are_kept() -> None:
    desk = Desk()
    under_way = desk.tasks.begin("dns", "0", "ada", waiting(Deferred[str]()))
    for number in range(1, KEPT + 11):
        desk.tasks.begin("dns", str(number), "ada", nothing)
    assert desk.tasks.of("dns", "0") is under_way
    known = [number for number in range(1, KEPT + 11) if desk.tasks.of("dns", str(number))]
    assert KEPT <= len(known) <= KEPT + 1
    assert known[-1] == KEPT + 10


class Reactor(Clock):
    """Whose thread is that of whoever calls it."""

    def callFromThread(self, function: Any, *arguments: Any) -> None:
        function(*arguments)


def test_a_thread_of_its_own() -> None:
    import threading

    ended = threading.Event()
    results: list[Any] = []

    def done(result: Any) -> None:
        results.append(result)
        ended.set()

    apart(Reactor(), divmod, 7, 2).addBoth(done)
    assert ended.wait(10)
    assert results == [(3, 1)]
    ended.clear()
    apart(Reactor(), divmod, 7, 0).addBoth(done)
    assert ended.wait(10)
    assert results[1].check(ZeroDivisionError)
