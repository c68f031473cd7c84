"""A legacy host's schedule: who gets a place, when, and how many there are. Played on a clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from proxy.migration.schedule import Errand, Limits, Place, Schedule, Urgency


class ScheduleCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()

    def tearDown(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def schedule(self, connections: int = 2, logins_per_minute: int | None = None) -> Schedule:
        return Schedule(Limits(connections, logins_per_minute), self.clock, chance=lambda: 0.5)

    @staticmethod
    def errand(urgency: Urgency = Urgency.HELD, domain: str = "a.example") -> Errand:
        return Errand(domain, urgency)

    def taken(self, schedule: Schedule, count: int, urgency: Urgency = Urgency.HELD) -> list[Place]:
        return [self.successResultOf(schedule.acquire(self.errand(urgency))) for _ in range(count)]


class Places(ScheduleCase):
    def test_first_come_first_served(self) -> None:
        schedule = self.schedule(2)
        first, second = self.taken(schedule, 2)
        third, fourth = schedule.acquire(self.errand()), schedule.acquire(self.errand())
        self.assertEqual(schedule.waiting, 2)
        second.release()
        self.successResultOf(third)
        self.assertNoResult(fourth)
        first.release()
        self.successResultOf(fourth)
        self.assertEqual((schedule.waiting, schedule.in_use), (0, 2))

    def test_giving_back_twice_does_not_take_it_from_the_next(self) -> None:
        schedule = self.schedule(1)
        (place,) = self.taken(schedule, 1)
        second, third = schedule.acquire(self.errand()), schedule.acquire(self.errand())
        place.release()
        place.release()
        self.successResultOf(second)
        self.assertNoResult(third)

    def test_who_gives_up_waiting_loses_the_place_and_nothing_else(self) -> None:
        schedule = self.schedule(1)
        (place,) = self.taken(schedule, 1)
        second, third = schedule.acquire(self.errand()), schedule.acquire(self.errand())
        second.cancel()
        self.failureResultOf(second, CancelledError)
        self.assertEqual(schedule.waiting, 1)
        place.release()
        self.successResultOf(third).release()
        self.taken(schedule, 1)

    def test_first_logins_then_refreshes_then_what_was_asked_for_then_the_rest(self) -> None:
        schedule = self.schedule(1)
        (place,) = self.taken(schedule, 1)
        waiting = {urgency: schedule.acquire(self.errand(urgency)) for urgency in reversed(Urgency)}
        for urgency in Urgency:
            place.release()
            place = self.successResultOf(waiting[urgency])
        place.release()

    def test_domains_of_one_host_take_turns(self) -> None:
        schedule = self.schedule(1)
        (place,) = self.taken(schedule, 1)
        order: list[str] = []
        for domain in ["a"] * 5 + ["b"] * 2 + ["c"]:
            schedule.acquire(self.errand(domain=domain)).addCallback(lambda p, d=domain: order.append(d) or p.release())
        place.release()
        self.assertEqual(order, ["a", "b", "c", "a", "b", "a", "a", "a"])

    def test_a_user_who_comes_to_wait_for_it_makes_it_urgent(self) -> None:
        schedule = self.schedule(1)
        (place,) = self.taken(schedule, 1)
        late = self.errand(Urgency.ROUND)
        asked, background = schedule.acquire(self.errand(Urgency.ASKED)), schedule.acquire(late)
        schedule.hasten(late)
        place.release()
        self.successResultOf(background)
        self.assertNoResult(asked)

    def test_ten_thousand_who_wait_and_leave_cost_no_more_each_than_ten(self) -> None:
        schedule = self.schedule(1)
        (place,) = self.taken(schedule, 1)
        waiting = [schedule.acquire(self.errand()) for _ in range(10_000)]
        for deferred in waiting[::2]:
            deferred.cancel()
            self.failureResultOf(deferred, CancelledError)
        for deferred in waiting[1::2]:
            place.release()
            place = self.successResultOf(deferred)
        self.assertEqual(schedule.waiting, 0)

    def test_those_who_give_a_place_back_at_once_do_not_pile_up(self) -> None:
        """Each is told in the midst of giving: a call within a call for each would end at a thousand."""
        schedule = self.schedule(1)
        (place,) = self.taken(schedule, 1)
        for _ in range(5_000):
            schedule.acquire(self.errand()).addCallback(Place.release)
        place.release()
        self.assertEqual((schedule.waiting, schedule.in_use), (0, 0))

    def test_at_the_end_nobody_waits_any_more(self) -> None:
        schedule = self.schedule(1, 1)
        (place,) = self.taken(schedule, 1)
        waiting = [schedule.acquire(self.errand(urgency)) for urgency in Urgency]
        schedule.stop()
        for deferred in waiting:
            self.failureResultOf(deferred, CancelledError)
        place.release()
        self.failureResultOf(schedule.acquire(self.errand()), CancelledError)


class LoginsPerMinute(ScheduleCase):
    def test_never_more_within_any_minute(self) -> None:
        schedule = self.schedule(100, 10)
        given: list[float] = []
        for _ in range(35):
            schedule.acquire(self.errand()).addCallback(lambda p: given.append(self.clock.seconds()) or p.release())
        self.clock.pump([1.0] * 200)
        self.assertEqual(len(given), 35)
        for at in given:
            self.assertLessEqual(sum(at <= other < at + 60 for other in given), 10)
        self.assertEqual(given[-1], 180.0)  # and no later than that

    def test_who_was_told_without_a_try_is_not_counted(self) -> None:
        schedule = self.schedule(1, 1)
        (place,) = self.taken(schedule, 1)
        place.unused()
        place.release()
        self.taken(schedule, 1)

    def test_what_nobody_waits_for_sees_that_there_is_nothing_to_spare(self) -> None:
        schedule = self.schedule(10, 3)
        self.taken(schedule, 2)
        self.assertEqual(schedule.spare, 1)
        self.taken(schedule, 1)
        self.assertEqual(schedule.spare, 0)
        self.clock.advance(60)
        self.assertEqual(schedule.spare, 3)


class GivingWay(ScheduleCase):
    def background(self, schedule: Schedule, urgency: Urgency, given: list[str], name: str) -> Place:
        errand = self.errand(urgency)
        place = self.successResultOf(schedule.acquire(errand))
        errand.give_way = lambda: given.append(name)
        return place

    def test_a_user_who_waits_has_the_least_urgent_give_way(self) -> None:
        schedule, gave = self.schedule(3), list[str]()
        self.background(schedule, Urgency.ROUND, gave, "old round")
        new = self.background(schedule, Urgency.ROUND, gave, "new round")
        self.background(schedule, Urgency.ASKED, gave, "asked")
        user = schedule.acquire(self.errand())
        self.assertEqual(gave, ["new round"])
        new.release()
        self.successResultOf(user)
        self.assertEqual(gave, ["new round"])

    def test_as_many_as_wait_and_no_more(self) -> None:
        schedule, gave = self.schedule(4), list[str]()
        for number in range(4):
            self.background(schedule, Urgency.ROUND, gave, str(number))
        for _ in range(2):
            schedule.acquire(self.errand())
        schedule.acquire(self.errand(Urgency.REFRESH))
        schedule.acquire(self.errand(Urgency.ASKED))
        self.assertEqual(gave, ["3", "2"])

    def test_what_a_user_has_come_to_wait_for_does_not_give_way(self) -> None:
        schedule, gave = self.schedule(1), list[str]()
        place = self.background(schedule, Urgency.ROUND, gave, "round")
        schedule.hasten(place.errand)
        schedule.acquire(self.errand())
        self.assertEqual(gave, [])

    def test_the_place_that_was_left_is_the_user_s_even_where_fewer_are_allowed_now(self) -> None:
        schedule, gave = self.schedule(4), list[str]()
        places = [self.background(schedule, Urgency.ROUND, gave, str(number)) for number in range(3)]
        (fourth,) = self.taken(schedule, 1)
        fourth.busy()
        fourth.release()
        self.assertEqual((schedule.allowed, schedule.in_use), (2, 3))
        self.clock.advance(1)
        user, next_user = schedule.acquire(self.errand()), schedule.acquire(self.errand())
        self.assertEqual(gave, ["2", "1"])
        places[2].release()
        self.successResultOf(user)
        self.assertNoResult(next_user)
        places[1].release()
        self.successResultOf(next_user)
        self.assertEqual(schedule.in_use, 3)
        places[0].release()
        self.assertEqual(schedule.in_use, 2)

    def test_giving_way_at_once_within_the_call(self) -> None:
        schedule = self.schedule(1)
        errand = self.errand(Urgency.ROUND)
        place = self.successResultOf(schedule.acquire(errand))
        errand.give_way = place.release
        self.successResultOf(schedule.acquire(self.errand()))


class Busy(ScheduleCase):
    def test_halved_once_for_all_that_were_on_their_way_together(self) -> None:
        schedule = self.schedule(20)
        places = self.taken(schedule, 20)
        self.assertEqual([place.busy() for place in places[10:]], [True] + [False] * 9)
        self.assertEqual(schedule.allowed, 10)
        for place in places[10:]:
            place.release()
        for place in places[:10]:
            place.welcomed()  # they say nothing of how many more there may be
        self.assertEqual(schedule.allowed, 10)

    def test_nobody_comes_in_for_a_while_that_grows_until_one_is_let_in(self) -> None:
        schedule = self.schedule(1)
        waits = []
        for _ in range(9):
            (place,) = self.taken(schedule, 1)
            place.busy()
            place.release()
            waiting = schedule.acquire(self.errand())
            began = self.clock.seconds()
            while not waiting.called:
                self.clock.advance(0.25)
            waits.append(self.clock.seconds() - began)
            self.successResultOf(waiting).release()
        self.assertEqual(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60])
        (place,) = self.taken(schedule, 1)
        place.welcomed()
        place.release()
        (place,) = self.taken(schedule, 1)
        place.busy()
        place.release()
        self.clock.advance(1)
        self.taken(schedule, 1)

    def test_each_success_allows_one_more_up_to_the_limit(self) -> None:
        schedule = self.schedule(8)
        places = self.taken(schedule, 8)
        places[0].busy()
        for place in places:
            place.release()
        self.clock.advance(1)
        seen = []
        for _ in range(4):
            (place,) = self.taken(schedule, 1)
            place.welcomed()
            place.release()
            seen.append(schedule.allowed)
        self.assertEqual(seen, [5, 6, 7, 7])  # at 8 it was busy: that is come to more slowly

    def test_a_host_that_allows_ten_is_soon_used_by_ten_and_seldom_by_eleven(self) -> None:
        """A server with a limit of its own, below what the configuration says: 400 moves of 20 s."""
        schedule = self.schedule(20)
        inside = 0
        refused = 0
        done = 0
        most_late = 0

        def arrive() -> None:
            schedule.acquire(self.errand()).addCallback(connect)

        def connect(place: Place) -> None:
            nonlocal inside, refused
            if inside < 10:
                inside += 1
                place.welcomed()
                self.clock.callLater(20, leave, place)
            else:
                refused += 1
                place.busy()
                place.release()
                arrive()

        def leave(place: Place) -> None:
            nonlocal inside, done
            inside -= 1
            done += 1
            place.release()

        for _ in range(400):
            arrive()
        elapsed = 0
        while done < 400:
            self.clock.advance(1)
            elapsed += 1
            if elapsed > 200:
                most_late = max(most_late, inside)
        self.assertEqual(most_late, 10)
        self.assertLess(elapsed, 1.3 * 400 / 10 * 20)  # as if ten had always been used, and a third
        self.assertLess(refused, 25)

    def test_a_wall_that_is_gone_is_forgotten(self) -> None:
        schedule = self.schedule(10)
        places = self.taken(schedule, 4)
        places[3].busy()
        places[3].release()
        self.clock.advance(1)
        for place in places[:3]:
            place.release()
        kept: deque[Place] = deque()
        for _ in range(60):
            if schedule.in_use >= schedule.allowed:
                kept.popleft().release()
            (place,) = self.taken(schedule, 1)
            place.welcomed()
            kept.append(place)
        self.assertEqual(schedule.allowed, 10)

    def test_a_host_that_is_not_there_is_left_alone_by_what_nobody_waits_for(self) -> None:
        schedule = self.schedule(4)
        for pause in (2, 4, 8, 16, 32, 60, 60):
            self.assertEqual(schedule.spare, 4 if pause == 2 else 1)
            schedule.unreachable()
            self.assertEqual(schedule.spare, 0)
            self.taken(schedule, 1)[0].release()  # a user may try
            self.clock.advance(pause - 0.5)
            self.assertEqual(schedule.spare, 0)
            self.clock.advance(0.5)
        schedule.answered()
        self.assertEqual(schedule.spare, 4)

    def test_one_at_a_time_tries_whether_it_is_there_again(self) -> None:
        schedule = self.schedule(4)
        schedule.unreachable()
        self.clock.advance(60)
        errand = self.errand(Urgency.ROUND)
        self.assertEqual(schedule.spare, 1)
        schedule.promise(errand)
        self.assertEqual(schedule.spare, 0)
        place = self.successResultOf(schedule.acquire(errand))
        self.assertEqual(schedule.spare, 0)
        place.welcomed()
        self.assertEqual(schedule.spare, 3)


class Anything(SynchronousTestCase):
    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 7)), max_size=60), st.integers(1, 4))
    def test_no_order_of_events_breaks_a_limit_or_loses_a_place(self, steps: list[tuple[int, int]], most: int) -> None:
        clock = Clock()
        schedule = Schedule(Limits(most, 5), clock, chance=lambda: 0.5)
        held: list[Place] = []
        waiting: list[Deferred[Place]] = []
        logins: list[float] = []

        def got(place: Place) -> None:
            held.append(place)
            logins.append(clock.seconds())

        def step(what: int, which: int) -> None:
            if what <= 1:
                errand = Errand("abc"[which % 3], Urgency(which % 4))
                deferred = schedule.acquire(errand)
                waiting.append(deferred.addCallback(got).addErrback(lambda f: f.trap(CancelledError)))  # type: ignore[arg-type]
            elif what == 2 and waiting:
                waiting.pop(which % len(waiting)).cancel()
            elif what == 3:
                clock.advance(which * 4)
            elif held and what >= 4:
                place = held[which % len(held)]
                actions: dict[int, Callable[[], object]] = {4: place.release, 5: place.welcomed, 6: place.busy}
                actions[what]()
                if what in {4, 6}:
                    held.remove(place)
                    place.release()

        for what, which in steps:
            step(what, which)
            self.assertLessEqual(len(held), most)
            self.assertEqual(schedule.in_use, len(held))
            self.assertTrue(1 <= schedule.allowed <= most)
            self.assertLessEqual(sum(clock.seconds() - at < 60 for at in logins), 5)
        while held:
            held.pop().release()
        while schedule.waiting:
            clock.advance(61)
            while held:
                held.pop().release()
        clock.advance(61)
        self.assertEqual(schedule.in_use, 0)
        self.assertEqual(clock.getDelayedCalls(), [])
