"""The stages of a move, and how it is stopped in each."""

from __future__ import annotations

from itertools import product

from twisted.internet.defer import Deferred

from proxy.migration.source import SourceLost
from proxy.migration.stages import NEXT, Stage
from tests.proxy.migration.scripted import MigrationTestCase, mail


class Stopping(MigrationTestCase):
    def test_stop_in_the_middle_keeps_what_has_arrived(self) -> None:
        self.old.add(1, 2, 3)
        self.old.held = {"u3": Deferred()}
        move = self.move()
        running = self.begin(move)
        self.assertNoResult(running)
        move.stop()
        self.failureResultOf(running, SourceLost)
        self.assert_stored(mail(1), mail(2))
        self.assertEqual(self.entry("u3").attempts, 0)  # it is not to blame
        self.assertEqual((self.old.openings, self.clock.getDelayedCalls()), (0, []))

    def test_stop_during_a_pause(self) -> None:
        self.old.lists_broken = 1
        move = self.move()
        running = self.begin(move)
        self.assertIs(move.stage, Stage.PAUSING)
        move.stop()
        self.failureResultOf(running, SourceLost)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop_does_not_wait_for_a_new_connection(self) -> None:
        self.old.lists_broken = 1
        self.old.opening = Deferred()
        move = self.move()
        running = self.begin(move)
        self.let_pass(5)
        self.assertIs(move.stage, Stage.OPENING)
        move.stop()
        self.failureResultOf(running, SourceLost)
        self.assertIs(move.stage, Stage.FAILED)

    def test_stop_before_the_first_message(self) -> None:
        self.old.add(1)
        self.old.held = {"u1": Deferred()}
        move = self.move()
        running = self.begin(move)
        move.stop()
        move.stop()
        self.failureResultOf(running, SourceLost)
        self.assert_stored()


class StateMachine(MigrationTestCase):
    def test_only_the_table_s_ways_can_be_gone(self) -> None:
        for here, there in product(Stage, Stage):
            move = self.move()
            move.stage = here
            if there in NEXT[here]:
                move._enter(there)
                self.assertIs(move.stage, there)
            else:
                self.assertRaises(AssertionError, move._enter, there)
                self.assertIs(move.stage, here)

    def test_every_stage_leads_to_an_end(self) -> None:
        reached = {Stage.DONE, Stage.FAILED}
        while grown := {s for s in Stage if NEXT[s] & reached} - reached:
            reached |= grown
        self.assertEqual(reached, set(Stage))
        self.assertEqual(NEXT[Stage.DONE] | NEXT[Stage.FAILED], frozenset())

    def test_stages_of_a_move_that_meets_no_trouble(self) -> None:
        stages = [Stage.LISTING]
        self.old.add(1)
        move = self.move()
        enter = move._enter

        def noted(stage: Stage) -> None:
            enter(stage)
            stages.append(stage)

        self.patch(move, "_enter", noted)
        self.successResultOf(self.begin(move))
        self.assertEqual(stages, [Stage.LISTING, Stage.PLANNING, Stage.PULLING, Stage.CLOSING, Stage.DONE])

    def test_a_failure_that_nobody_foresaw_drops_the_connection(self) -> None:
        self.old.add(1)
        self.patch(self.mail.ledger, "entries", lambda: 1 / 0)
        move = self.move()
        self.failureResultOf(self.begin(move), ZeroDivisionError)
        self.assertTrue(self.old.sources[0].over)
        self.assertIs(move.stage, Stage.FAILED)
