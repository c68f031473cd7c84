"""What becomes of homes that nobody asks for anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mailstore.errors import StorageFailed
from mailstore.mailhome import MailHome
from proxy.login.quiet import AT_ONCE, INDEXED_AFTER, PAUSE, RESTS_AFTER, TICK, QuietTimes


class Home:
    """Keeps what it is asked to run, and answers when it is told to."""

    def __init__(self, *, searched: bool = False) -> None:
        self.account = "user@123.com"
        self.ticks = 0
        self.resting = self.indexed = False
        self.searched = searched
        self.free = True
        self.asked: list[tuple[Callable[[MailHome], Any], Deferred[Any]]] = []

    def run(self, operation: Callable[[MailHome], Any]) -> Deferred[Any]:
        result: Deferred[Any] = Deferred()
        self.asked.append((operation, result))
        return result

    def answer(self, value: Any) -> None:
        self.asked.pop()[1].callback(value)

    @property
    def rested(self) -> bool:
        return [operation for operation, _ in self.asked] == [MailHome.rest]


class Quiet(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.homes: list[Home] = []
        self.reports: list[str] = []
        self.idle = True
        self.quiet = QuietTimes(
            self.clock, lambda: self.homes, lambda event, **_about: self.reports.append(event), lambda: self.idle
        )

    def open(self, *, searched: bool = False) -> Home:
        home = Home(searched=searched)
        self.homes.append(home)
        self.quiet.begin()
        return home

    def wait(self, ticks: int) -> None:
        self.clock.pump([TICK] * ticks)

    def test_one_that_is_quiet_for_long_rests_once(self) -> None:
        home = self.open()
        self.wait(RESTS_AFTER - 1)
        self.assertEqual(home.asked, [])
        self.wait(5)
        self.assertTrue(home.rested)

    def test_one_that_is_asked_in_between_does_not(self) -> None:
        home = self.open()
        for _ in range(3):
            self.wait(RESTS_AFTER - 1)
            home.ticks = 0
        self.assertEqual(home.asked, [])

    def test_one_that_is_at_work_does_not(self) -> None:
        home = self.open()
        home.free = False
        self.wait(2 * RESTS_AFTER)
        self.assertEqual(home.asked, [])
        home.free = True
        self.wait(1)
        self.assertTrue(home.rested)

    def test_only_so_many_at_once(self) -> None:
        homes = [self.open() for _ in range(AT_ONCE + 1)]
        self.wait(RESTS_AFTER)
        self.assertEqual(sum(home.rested for home in homes), AT_ONCE)
        self.wait(1)
        self.assertTrue(all(home.rested for home in homes))

    def test_texts_are_entered_a_slice_at_a_time_until_all_are(self) -> None:
        home = self.open(searched=True)
        self.wait(INDEXED_AFTER)
        self.assertEqual(len(home.asked), 1)
        home.answer(True)
        self.assertEqual(home.asked, [])
        self.clock.advance(PAUSE)
        self.assertEqual(len(home.asked), 1)
        home.answer(False)
        self.wait(1)
        self.assertEqual(home.asked, [])
        self.assertTrue(home.indexed)
        self.wait(RESTS_AFTER)
        self.assertTrue(home.rested)

    def test_who_comes_ends_it(self) -> None:
        home = self.open(searched=True)
        self.wait(INDEXED_AFTER)
        home.ticks = 0
        home.answer(True)
        self.clock.advance(PAUSE)
        self.assertEqual(home.asked, [])
        self.wait(INDEXED_AFTER)
        self.assertEqual(len(home.asked), 1)

    def test_one_home_at_a_time(self) -> None:
        first, second = self.open(searched=True), self.open(searched=True)
        self.wait(INDEXED_AFTER + 2)
        self.assertEqual((len(first.asked), len(second.asked)), (1, 0))
        first.answer(False)
        self.wait(1)
        self.assertEqual((len(first.asked), len(second.asked)), (0, 1))

    def test_not_while_the_machine_has_enough_to_do(self) -> None:
        home = self.open(searched=True)
        self.idle = False
        self.wait(INDEXED_AFTER + 1)
        self.assertEqual(home.asked, [])
        self.wait(RESTS_AFTER)
        self.assertTrue(home.rested)

    def test_not_for_sessions_that_do_not_search(self) -> None:
        home = self.open()
        self.wait(INDEXED_AFTER + 1)
        self.assertEqual(home.asked, [])

    def test_what_goes_wrong_is_said_once_and_not_tried_again(self) -> None:
        home = self.open(searched=True)
        self.wait(INDEXED_AFTER)
        home.asked.pop()[1].errback(StorageFailed("the disk refused: Input/output error"))
        self.wait(2)
        self.assertEqual(home.asked, [])
        self.assertEqual(self.reports, ["home cannot be seen to"])

    def test_it_ends_with_the_last_home_and_begins_with_the_next(self) -> None:
        self.open()
        self.homes.clear()
        self.wait(1)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        home = self.open()
        self.wait(RESTS_AFTER)
        self.assertTrue(home.rested)
        self.quiet.stop()
        self.quiet.begin()
        self.assertEqual(self.clock.getDelayedCalls(), [])
