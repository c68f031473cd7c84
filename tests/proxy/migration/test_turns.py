"""Whose turn it is: work for one account, results that several wait for."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from proxy.migration.shared import Shared
from proxy.migration.turns import Turns


class TurnsTest(SynchronousTestCase):
    def setUp(self) -> None:
        self.turns: Turns[str] = Turns()
        self.begun: list[str] = []

    def take(self, key: str, name: str, work: Deferred[str]) -> Deferred[str]:
        async def do() -> str:
            self.begun.append(name)
            return await work

        return Deferred.fromCoroutine(self.turns.take(key, do))

    def test_one_at_a_time_for_a_key_and_side_by_side_for_others(self) -> None:
        work: dict[str, Deferred[str]] = {name: Deferred() for name in "abc"}
        a, b, c = self.take("k", "a", work["a"]), self.take("k", "b", work["b"]), self.take("l", "c", work["c"])
        self.assertEqual(self.begun, ["a", "c"])
        work["a"].callback("A")
        self.assertEqual(self.successResultOf(a), "A")
        self.assertEqual(self.begun, ["a", "c", "b"])
        work["b"].callback("B")
        work["c"].callback("C")
        self.assertEqual((self.successResultOf(b), self.successResultOf(c)), ("B", "C"))
        self.assertEqual(self.turns._places, {})

    def test_work_that_fails_makes_way(self) -> None:
        first = self.take("k", "a", fail(ValueError()))
        self.failureResultOf(first, ValueError)
        self.assertEqual(self.turns._places, {})
        work: Deferred[str] = Deferred()
        second, third = self.take("k", "b", work), self.take("k", "c", Deferred())
        work.errback(ValueError())
        self.failureResultOf(second, ValueError)
        self.assertEqual(self.begun, ["a", "b", "c"])
        self.assertNoResult(third)

    def test_however_many_wait_for_what_takes_no_time(self) -> None:
        first: Deferred[str] = Deferred()
        self.take("k", "first", first)
        others = [self.take("k", str(number), succeed(str(number))) for number in range(1_000)]
        first.callback("first")
        self.assertEqual([self.successResultOf(other) for other in others], [str(number) for number in range(1_000)])
        self.assertEqual(self.begun, ["first", *(str(number) for number in range(1_000))])
        self.assertEqual(self.turns._places, {})

    def test_who_leaves_before_the_turn_comes_is_never_begun_for(self) -> None:
        work: Deferred[str] = Deferred()
        first, second, third = (
            self.take("k", "a", work),
            self.take("k", "b", Deferred()),
            self.take("k", "c", Deferred()),
        )
        second.cancel()
        self.failureResultOf(second, CancelledError)
        work.callback("A")
        self.assertEqual(self.begun, ["a", "c"])
        self.successResultOf(first)
        self.assertNoResult(third)

    def test_what_is_begun_goes_on_without_whom_it_was_begun_for(self) -> None:
        work: Deferred[str] = Deferred()
        first, second = self.take("k", "a", work), self.take("k", "b", Deferred())
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.assertEqual(self.begun, ["a"])  # the next one still waits
        self.assertFalse(work.called)
        work.callback("A")
        self.assertEqual(self.begun, ["a", "b"])
        self.assertNoResult(second)

    def test_nothing_is_kept_of_those_who_left(self) -> None:
        work: Deferred[str] = Deferred()
        first = self.take("k", "a", work)
        for _ in range(100):
            left = self.take("k", "x", Deferred())
            left.cancel()
            self.failureResultOf(left, CancelledError)
        work.callback("A")
        self.successResultOf(first)
        self.assertEqual(self.turns._places, {})


class SharedTest(SynchronousTestCase):
    def test_all_get_the_result_before_and_after(self) -> None:
        work: Deferred[int] = Deferred()
        shared = Shared(work)
        before = [shared.wait(), shared.wait()]
        self.assertFalse(shared.finished)
        work.callback(7)
        self.assertEqual([self.successResultOf(d) for d in (*before, shared.wait())], [7, 7, 7])

    def test_all_get_the_failure_before_and_after(self) -> None:
        work: Deferred[int] = Deferred()
        shared = Shared(work)
        before = shared.wait()
        work.errback(ValueError("no"))
        for deferred in (before, shared.wait(), shared.wait()):
            self.failureResultOf(deferred, ValueError)

    def test_who_leaves_disturbs_nobody(self) -> None:
        work: Deferred[int] = Deferred()
        shared = Shared(work)
        first, second = shared.wait(), shared.wait()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.assertFalse(work.called)
        work.callback(7)
        self.assertEqual(self.successResultOf(second), 7)

    def test_a_failure_that_nobody_waits_for_is_no_unhandled_error(self) -> None:
        shared: Shared[int] = Shared(fail(Failure(ValueError())))
        self.assertTrue(shared.finished)
        self.assertEqual(self.flushLoggedErrors(), [])
