"""Moves that several wait for, each of whom may leave."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout

from mailstore.entries import Sums
from mailstore.errors import StorageFailed
from proxy.migration import pull
from proxy.migration.move import Move, Terms
from proxy.migration.moves import Moves, Running, Told
from proxy.migration.source import SourceLost, SourceUnusable
from proxy.wire.door import Hold
from tests.proxy.migration.scripted import MigrationTestCase, direct


class JoinedMoves(MigrationTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.moves = Moves()
        self.concluded: list[object] = []
        self.concluding: Deferred[None] | None = None
        self.patch(pull, "BATCH_SECONDS", 0.0)
        self.old.add(1, 2, 3)
        self.old.held = {"u2": Deferred(), "u3": Deferred()}

    def start(self) -> Running:
        async def concluded(result: Sums | Exception) -> None:
            if self.concluding is not None:
                await self.concluding
            self.concluded.append(result)

        def make(told: Told) -> Move:
            return Move(
                self.home,
                self.old.connect(),
                self.old.reopen,
                Terms(first=True),
                in_thread=direct,
                clock=self.clock,
                told=told,
            )

        return self.moves.start(1, make, concluded)

    def go_on(self, *uidls: str) -> None:
        for uidl in uidls:
            self.old.held[uidl].callback(None)

    def test_holds_are_kept_up_to_date(self) -> None:
        running = self.start()
        early, late = Hold(), Hold()
        first = running.join(early)
        self.assertEqual((early.accepted, early.done, early.total), (True, 1, 3))
        self.go_on("u2")
        second = running.join(late)
        self.assertEqual((early.done, late.done), (2, 2))
        self.go_on("u3")
        self.assertEqual(self.successResultOf(first).messages_done, 3)
        self.assertEqual(self.successResultOf(second).messages_done, 3)
        self.assertEqual((early.done, late.done), (3, 3))

    def test_who_leaves_takes_nobody_s_place(self) -> None:
        """Their holds are equal, and yet not the same."""
        running = self.start()
        staying, leaving = Hold(), Hold()
        first, second = running.join(staying), running.join(leaving)
        second.cancel()
        self.failureResultOf(second, CancelledError)
        self.go_on("u2")
        self.assertEqual((staying.done, leaving.done), (2, 1))
        self.go_on("u3")
        self.successResultOf(first)

    def test_everybody_leaves_and_the_move_goes_on(self) -> None:
        running = self.start()
        waiting = [running.join(Hold()) for _ in range(3)]
        for deferred in waiting:
            deferred.cancel()
            self.failureResultOf(deferred, CancelledError)
        self.assertIs(self.moves.of(1), running)
        self.go_on("u2", "u3")
        self.assertEqual(self.uids(), [1, 2, 3])
        self.assertIs(self.moves.of(1), None)
        self.assertEqual(len(self.concluded), 1)

    def test_a_time_limit_ends_one_wait(self) -> None:
        running = self.start()
        short, long = running.join(Hold()), running.join(Hold())
        short.addTimeout(10, self.clock)
        self.clock.advance(10)
        self.failureResultOf(short, DeferredTimeout)
        self.go_on("u2", "u3")
        self.successResultOf(long)

    def test_who_joins_a_move_that_is_over_gets_its_result(self) -> None:
        running = self.start()
        self.go_on("u2", "u3")
        hold = Hold()
        self.successResultOf(running.join(hold))
        self.assertEqual((hold.accepted, hold.done, hold.total), (True, 3, 3))

    def test_nobody_hears_of_the_end_before_it_is_written_down(self) -> None:
        self.concluding = Deferred()
        running = self.start()
        waiting = running.join(Hold())
        self.go_on("u2", "u3")
        self.assertNoResult(waiting)
        self.assertIs(self.moves.of(1), running)
        self.concluding.callback(None)
        self.successResultOf(waiting)
        self.assertIs(self.moves.of(1), None)

    def test_an_end_that_cannot_be_written_down_is_no_success(self) -> None:
        self.concluding = Deferred()
        waiting = self.start().join(Hold())
        self.go_on("u2", "u3")
        self.concluding.errback(StorageFailed("the database refused"))
        self.failureResultOf(waiting, StorageFailed)
        self.assertIs(self.moves.of(1), None)

    def test_all_are_told_of_a_failure(self) -> None:
        self.old.breaks = {"u2": 1}
        self.old.no_way_in.append(SourceUnusable("wrong password"))
        running = self.start()
        waiting = [running.join(Hold()), running.join(Hold())]
        self.go_on("u2")
        self.let_pass(60)
        for deferred in waiting:
            self.failureResultOf(deferred, SourceUnusable)
        self.assertIsInstance(self.concluded[0], SourceUnusable)

    def test_a_move_that_ends_at_once_is_not_kept(self) -> None:
        self.old.box.clear()
        running = self.start()
        self.assertTrue(running.result.finished)
        self.assertIs(self.moves.of(1), None)

    def test_one_at_a_time(self) -> None:
        self.start()
        self.assertRaises(AssertionError, self.start)

    def test_stop_ends_all_and_returns_when_they_have_ended(self) -> None:
        self.concluding = Deferred()
        waiting = self.start().join(Hold())
        stopped = Deferred.fromCoroutine(self.moves.stop())
        self.assertNoResult(stopped)
        self.concluding.callback(None)
        self.successResultOf(stopped)
        self.failureResultOf(waiting, SourceLost)
        self.assertEqual(self.uids(), [1])

    def test_stop_with_nothing_under_way(self) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.moves.stop()))
