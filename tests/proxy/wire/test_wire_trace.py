"""What is begun by a coroutine is part of the same thing, whoever wakes it."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from proxy.wire import trace


def test_coroutines_keep_their_own_whoever_wakes_them() -> None:
    seen: list[tuple[str, str]] = []
    first_waits: Deferred[None] = Deferred()
    begun_waits: Deferred[None] = Deferred()

    async def begun() -> None:
        await begun_waits
        seen.append(("begun by the first", trace.current()))

    async def first() -> None:
        trace.follow("first")
        Deferred.fromCoroutine(begun())
        await first_waits
        seen.append(("first", trace.current()))

    async def second() -> None:
        trace.follow("second")
        begun_waits.callback(None)
        first_waits.callback(None)
        seen.append(("second", trace.current()))

    Deferred.fromCoroutine(first())
    Deferred.fromCoroutine(second())
    assert seen == [("begun by the first", "first"), ("first", "first"), ("second", "second")]
    assert trace.current() == ""


def test_what_is_part_of_nothing_begins_something() -> None:
    found: list[str] = []

    async def work(known: str) -> None:
        trace.follow(known)
        found.append(trace.begin())
        assert trace.current() == found[-1]

    Deferred.fromCoroutine(work(""))
    Deferred.fromCoroutine(work("known"))
    assert len(found[0]) == 12 and found[0].isalnum() and found[0].islower()
    assert found[1] == "known"


def test_none_comes_twice() -> None:
    assert len({trace.new() for _ in range(10_000)}) == 10_000
