"""How long a server is waited for, by a clock that the test winds."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from proxy.legacy.patience import Patience


class PatienceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.answers = 0
        self.ends: list[str] = []
        self.patience = Patience(self.clock, lambda: 60.0, lambda: self.answers, self.ends.append)

    def test_silence_ends_it(self) -> None:
        self.patience.wait()
        self.clock.advance(59)
        self.assertEqual(self.ends, [])
        self.clock.advance(2)
        self.assertEqual(self.ends, ["was silent for 60 s"])

    def test_silence_counts_from_the_last_octet(self) -> None:
        self.patience.wait()
        for _ in range(4):
            self.clock.advance(40)
            self.patience.heard(1)
        self.clock.pump([1] * 59)
        self.assertEqual(self.ends, [])
        self.clock.pump([1] * 20)
        self.assertEqual(len(self.ends), 1)

    def test_a_trickle_ends_it_too(self) -> None:
        self.patience.wait()
        for _ in range(40):
            self.clock.advance(10)
            self.patience.heard(1)
            if self.ends:
                break
        self.assertIn("octets in", self.ends[0])
        self.assertGreaterEqual(self.clock.seconds(), 300)

    def test_a_slow_line_that_gets_on_is_waited_for(self) -> None:
        self.patience.wait()
        for _ in range(200):
            self.clock.advance(10)
            self.patience.heard(200)
        self.assertEqual(self.ends, [])

    def test_short_answers_are_progress(self) -> None:
        self.patience.wait()
        for _ in range(200):
            self.clock.advance(10)
            self.answers += 1
            self.patience.heard(5)
        self.assertEqual(self.ends, [])

    def test_a_pause_does_not_count(self) -> None:
        self.patience.wait()
        self.clock.advance(50)
        self.patience.pause()
        self.patience.wait()
        self.clock.advance(10_000)
        self.patience.resume(owed=True)
        self.clock.advance(59)
        self.assertEqual(self.ends, [])
        self.clock.advance(2)
        self.assertEqual(len(self.ends), 1)

    def test_nothing_owed_leaves_no_timer(self) -> None:
        self.patience.wait()
        self.patience.settled()
        self.patience.pause()
        self.patience.resume(owed=False)
        self.assertEqual(self.clock.getDelayedCalls(), [])
