"""The pull: what overlaps, what waits, what is bounded, and what happens when the disk says no."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred

from mailstore.entries import Entry, Listed, Sums
from mailstore.errors import StorageFailed
from mailstore.landing import Arriving, Landing, Whole, Written
from mailstore.writing import Writer
from proxy.migration import pull as pulling
from proxy.migration.pull import HIGH_WATER, WRITE_OCTETS, Pull
from proxy.migration.source import SourceLost
from proxy.migration.stages import Stage
from proxy.migration.weighing import Scales
from tests.proxy.migration.scripted import MigrationTestCase, ScriptedSource, Threads, mail


class PullTestCase(MigrationTestCase):
    """A pull by hand: messages are handed in, and threads work when told to."""

    def setUp(self) -> None:
        super().setUp()
        self.threads = Threads()
        self.source = ScriptedSource(self.old)
        self.sums: list[Sums] = []

    def pull(self, messages: int, scales: Scales | None = None) -> tuple[Pull, list[Entry]]:
        listed = [Listed(n, f"u{n}", 100) for n in range(1, messages + 1)]
        entries = self.mail.ledger.record_listing(listed, (), hold_uids=True)
        self.landing = Landing(self.mail.maildir, self.mail.token, seen="headers", clock=self.mail.clock)
        self.addCleanup(self.landing.close)
        made = Pull(
            self.home,
            self.landing,
            self.source,
            in_thread=self.threads,
            clock=self.clock,
            entered=self.sums.append,
            scales=scales,
        )
        return made, entries


class Flow(PullTestCase):
    def test_what_arrives_while_the_writer_works_is_its_next_batch(self) -> None:
        pull, entries = self.pull(4)
        for number, entry in enumerate(entries, 1):
            pull.message(entry, mail(number))
        self.assertEqual(self.threads.names, ["hand_over"])
        self.threads.work()
        self.assertEqual(self.threads.names, ["hand_over"])
        finished = pull.finish()
        self.threads.work()
        self.assertEqual(self.threads.names, ["settle"])
        self.assertNoResult(finished)
        self.assertEqual(self.stored(), [])  # not before the barrier
        self.threads.work()
        self.successResultOf(finished)
        self.assert_stored(*(mail(n) for n in range(1, 5)))
        self.assertEqual(pull.stored, 4)

    def test_a_barrier_is_taken_while_the_next_messages_are_written(self) -> None:
        pull, entries = self.pull(3)
        pull.message(entries[0], mail(1))
        self.clock.advance(pulling.BATCH_SECONDS)
        self.threads.work()
        self.assertEqual(self.threads.names, ["settle"])
        pull.message(entries[1], mail(2))
        pull.message(entries[2], mail(3))
        self.assertEqual(self.threads.names, ["settle", "hand_over"])
        self.threads.work(1)
        self.threads.work(0)
        self.assertEqual(self.uids(), [1])
        finished = pull.finish()
        self.threads.work_off()
        self.successResultOf(finished)
        self.assertEqual([sums.messages_done for sums in self.sums], [1, 3])

    def test_a_batch_of_many_messages_does_not_wait_for_time(self) -> None:
        self.patch(pulling, "BATCH_MESSAGES", 2)
        pull, entries = self.pull(2)
        pull.message(entries[0], mail(1))
        self.threads.work()
        self.assertEqual(self.threads.names, [])
        pull.message(entries[1], mail(2))
        self.threads.work()
        self.assertEqual(self.threads.names, ["settle"])
        self.threads.work()

    def test_the_source_is_paused_while_too_much_waits_and_goes_on_after(self) -> None:
        pull, entries = self.pull(30)
        big = b"x" * (HIGH_WATER // 8)
        for entry in entries[:9]:  # the first of them is being written
            pull.message(entry, big)
        self.assertEqual(self.source.flow, [])
        pull.message(entries[9], big)
        self.assertEqual(self.source.flow, ["pause"])
        pull.message(entries[10], big)
        self.assertEqual(self.source.flow, ["pause"])
        while self.source.flow == ["pause"]:  # some at a time are with the writer
            self.threads.work()
        self.assertEqual(self.source.flow, ["pause", "resume"])
        finished = pull.finish()
        self.threads.work_off()
        self.successResultOf(finished)
        self.assertEqual(pull.stored, 11)

    def test_a_large_message_is_not_held_in_memory_whole(self) -> None:
        pull, entries = self.pull(1)
        pull.begin(entries[0])
        sent = waiting = most = 0
        piece = b"x" * 65_536
        while sent < 32 * 1024 * 1024:
            if self.source.flow[-1:] == ["pause"]:
                self.threads.work()
                waiting = 0
            pull.piece(piece)
            sent += len(piece)
            waiting += len(piece)
            most = max(most, waiting)
        pull.end()
        finished = pull.finish()
        self.threads.work_off()
        self.successResultOf(finished)
        self.assertLess(most, 2 * HIGH_WATER)
        self.assertEqual(self.mail.maildrop()[0].size, sent)
        self.assertGreater(self.source.flow.count("pause"), 3)

    def test_of_a_large_message_no_more_than_some_is_handed_over_at_once(self) -> None:
        """… or what came of it while the disk was busy would be in memory several times."""
        pull, entries = self.pull(2)
        handed: list[int] = []
        hand_over = self.landing.hand_over

        def noting(arrivals: Sequence[Whole | Arriving]) -> list[Written]:
            handed.append(sum(map(len, (b for a in arrivals for b in ([a[1]] if isinstance(a, tuple) else a.pieces)))))
            return hand_over(arrivals)

        self.patch(self.landing, "hand_over", noting)
        pull.begin(entries[0])
        for _ in range(40):
            pull.piece(b"x" * 99_998 + b"\r\n")
        pull.end()
        pull.message(entries[1], mail(2))
        finished = pull.finish()
        self.threads.work_off()
        self.successResultOf(finished)
        self.assertEqual(self.stored(), [(b"x" * 99_998 + b"\r\n") * 40, mail(2)])
        self.assertEqual(sum(handed), 4_000_000 + len(mail(2)))
        self.assertLess(max(handed), WRITE_OCTETS + 100_000)
        self.assertEqual(len(handed), 5)  # the first piece, when it came; the rest by the MiB

    def test_the_end_of_a_large_message_is_seen_by_a_writer_that_is_as_fast_as_can_be(self) -> None:
        """A thread may have written all of a batch before the one that handed it over gets on."""
        self.old.add(1, size=5000)
        self.old.add(2)
        self.carry()
        self.assert_stored(mail(1, 5000), mail(2))

    def test_finish_with_nothing_to_do(self) -> None:
        pull, _ = self.pull(0)
        self.successResultOf(pull.finish())
        self.successResultOf(pull.rest())
        self.assertEqual(self.threads.names, [])

    def test_half_a_large_message_does_not_hold_finish_up(self) -> None:
        pull, entries = self.pull(2)
        pull.message(entries[0], mail(1))
        pull.begin(entries[1])
        pull.piece(b"half")
        finished = pull.finish()
        self.threads.work_off()
        self.successResultOf(finished)
        self.assert_stored(mail(1))


class Ahead(PullTestCase):
    """A writer that goes on with one batch while the next is handed over, as one in another process does."""

    def test_who_is_told_of_the_end_finds_the_pull_at_work_on_what_is_under_way(self) -> None:
        self.patch(Writer, "ahead", 1)
        scales = Scales()
        pull, entries = self.pull(8, scales=scales)
        finished: list[Deferred[None]] = []
        self.patch(self.source, "abort", lambda: finished or finished.append(pull.finish()))
        pull.message(entries[0], mail(1))
        for batch in (entries[1:6], entries[6:]):  # each of another length than announced
            for entry in batch:  # it arrives while the batch before is handed over
                pull.message(entry, mail(entry.position))
            self.threads.work()
        self.threads.work()
        self.assertEqual(len(finished), 1)
        self.assertEqual(self.threads.names, ["handed_over"])
        self.assertNoResult(finished[0])
        self.threads.work_off()
        self.successResultOf(finished[0])
        self.assertTrue(all(map(scales.did_not_fit, entries)))
        self.assertFalse(self.landing.under_way)


class Failing(PullTestCase):
    def break_step(self, name: str) -> None:
        def refuse(*_: object) -> None:
            raise StorageFailed("the disk refused: No space left on device")

        refuse.__name__ = name
        self.patch(self.landing, name, refuse)

    def test_a_write_that_fails_ends_the_pull_when_the_barrier_under_way_is_over(self) -> None:
        pull, entries = self.pull(2)
        pull.message(entries[0], mail(1))
        self.clock.advance(pulling.BATCH_SECONDS)
        self.threads.work()
        self.break_step("hand_over")
        pull.message(entries[1], mail(2))
        self.assertEqual(self.threads.names, ["settle", "hand_over"])
        self.threads.work(1)
        self.assertTrue(self.source.over)
        finished = pull.finish()
        self.assertNoResult(finished)  # the barrier still works in the landing's directories
        self.threads.work()
        self.failureResultOf(finished, StorageFailed)
        self.assert_stored(mail(1))

    def test_a_barrier_that_fails_ends_the_pull_when_the_write_under_way_is_over(self) -> None:
        pull, entries = self.pull(2)
        self.break_step("settle")
        pull.message(entries[0], mail(1))
        self.clock.advance(pulling.BATCH_SECONDS)
        self.threads.work()
        pull.message(entries[1], mail(2))
        self.threads.work(0)
        self.assertTrue(self.source.over)
        finished = pull.finish()
        self.assertNoResult(finished)
        self.threads.work()
        self.failureResultOf(finished, StorageFailed)
        self.assertEqual(self.threads.names, [])
        self.assertEqual(self.stored(), [])

    def test_rest_waits_for_the_threads_and_begins_nothing(self) -> None:
        pull, entries = self.pull(3)
        pull.message(entries[0], mail(1))
        pull.message(entries[1], mail(2))
        resting = pull.rest()
        pull.message(entries[2], mail(3))
        self.assertNoResult(resting)
        self.threads.work()
        self.successResultOf(resting)
        self.assertEqual(self.threads.names, [])


class DiskTrouble(MigrationTestCase):
    """Whole moves on a disk that refuses at one step: nothing is lost, nothing comes twice, the next one goes on."""

    def refuse(self, owner: object, name: str, *, after: int) -> None:
        inner = getattr(owner, name)
        calls = 0

        def counted(*arguments: object, **named: object) -> object:
            nonlocal calls
            calls += 1
            if calls > after:
                raise StorageFailed("the disk refused: No space left on device")
            return inner(*arguments, **named)

        patch = self.patch(owner, name, counted)
        self.restore = patch.restore

    def fails_then_goes_on(self) -> None:
        move = self.move()
        self.failureResultOf(self.begin(move), StorageFailed)
        self.assertIs(move.stage, Stage.FAILED)
        self.assertTrue(self.old.sources[-1].over)
        self.assertEqual(self.old.openings, 0)  # another connection would not help
        self.restore()
        self.carry()
        self.assert_stored(*(mail(n) for n in range(1, 6)))
        self.assertEqual(self.uids(), [1, 2, 3, 4, 5])
        self.assertEqual(len(self.files("cur")), 5)
        self.assertEqual(self.files("tmp"), [])
        self.assertEqual({entry.attempts for entry in self.mail.ledger.entries()}, {0})

    def setUp(self) -> None:
        super().setUp()
        self.patch(pulling, "BATCH_SECONDS", 0.0)  # a barrier for each message
        self.old.add(*range(1, 6))

    def test_write(self) -> None:
        self.refuse(Writer, "_whole", after=2)
        self.fails_then_goes_on()

    def test_barrier(self) -> None:
        self.refuse(Landing, "settle", after=2)
        self.fails_then_goes_on()

    def test_enter(self) -> None:
        self.refuse(self.mail.ledger, "enter", after=2)
        self.fails_then_goes_on()

    def test_clear_leftovers(self) -> None:
        self.refuse(Landing, "clear_leftovers", after=0)
        self.fails_then_goes_on()

    def test_listing(self) -> None:
        self.refuse(self.mail.ledger, "record_listing", after=0)
        self.fails_then_goes_on()

    def test_the_last_sums(self) -> None:
        self.refuse(self.mail.ledger, "sums", after=1)
        self.fails_then_goes_on()

    def test_noting_a_refusal(self) -> None:
        """The next messages are on their way when this fails: their threads end before the landing does."""
        self.old.refusals = {"u2": 1}
        self.refuse(self.mail.ledger, "count_attempt", after=0)
        self.fails_then_goes_on()


class Landings(PullTestCase):
    def test_the_landing_outlives_every_thread_that_uses_it(self) -> None:
        """Closed descriptors get new owners: a late write would go into somebody else's file."""
        self.old.add(1, 2)
        self.old.refusals = {"u1": 1}
        self.patch(self.mail.ledger, "count_attempt", lambda *_: 1 / 0)
        running = self.begin(self.move(in_thread=self.threads))
        self.assertEqual(self.threads.names, ["clear_leftovers"])
        self.threads.work()
        self.assertEqual(self.threads.names, ["hand_over"])  # count_attempt has failed by now
        self.assertNoResult(running)
        self.threads.work()
        self.assertEqual(self.threads.names, ["close"])
        self.threads.work()
        self.failureResultOf(running, ZeroDivisionError)

    def test_a_server_that_gives_fewer_messages_than_it_was_asked_for(self) -> None:
        async def fetch(self: ScriptedSource, wanted: Sequence[object], *_: object, **__: object) -> None:
            pass

        self.old.add(1)
        self.patch(ScriptedSource, "fetch", fetch)
        running = self.begin(self.move())
        self.let_pass(60)
        self.failureResultOf(running, SourceLost)

    def test_the_connection_is_lost_with_a_barrier_under_way(self) -> None:
        self.old.add(1, 2, 3)
        self.old.breaks = {"u3": 1}
        running: Deferred[Sums] = self.begin(self.move(in_thread=self.threads))
        while self.threads.names != ["settle"]:
            self.threads.work()
        self.assertEqual(self.old.openings, 0)
        self.let_pass(5)
        self.assertEqual(self.old.openings, 0)  # first what is here is made durable
        self.threads.work_off()
        self.let_pass(5)
        self.threads.work_off()
        self.successResultOf(running)
        self.assert_stored(mail(1), mail(2), mail(3))
