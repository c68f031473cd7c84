"""So many octets a second from a host, over all connections: a clock, and readers that always have more to read."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from proxy.legacy.bandwidth import Bandwidth
from proxy.legacy.settings import Legacy
from proxy.legacy.wire import Wire
from proxy.pop3.client.protocol import ClientProtocol

RATE = 100_000


class Reader:
    """A connection whose server sends as fast as it is read from."""

    def __init__(self, bandwidth: Bandwidth, chunk: int) -> None:
        self.bandwidth = bandwidth
        self.chunk = chunk
        self.octets = 0
        self.paused = False

    def pause(self, why: object) -> None:
        self.paused = True

    def resume(self, why: object) -> None:
        self.paused = False

    def read(self) -> None:
        if not self.paused:
            self.octets += self.chunk
            self.bandwidth.took(self, self.chunk)


class BandwidthTest(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.bandwidth = Bandwidth(RATE, self.clock)

    def read_for(self, readers: list[Reader], seconds: float) -> None:
        for _ in range(round(seconds / 0.01)):
            for reader in readers:
                reader.read()
            self.clock.advance(0.01)

    def test_no_faster_whatever_is_there(self) -> None:
        readers = [Reader(self.bandwidth, 65_536)]
        self.read_for(readers, 60)
        self.assertLess(abs(readers[0].octets / 60 - RATE), 0.03 * RATE)

    def test_all_connections_share_it_evenly(self) -> None:
        readers = [Reader(self.bandwidth, 16_384) for _ in range(5)]
        self.read_for(readers, 60)
        shares = [reader.octets for reader in readers]
        self.assertLess(abs(sum(shares) / 60 - RATE), 0.03 * RATE)
        self.assertLessEqual(max(shares) - min(shares), 2 * 16_384)

    def test_what_one_does_not_use_the_others_have(self) -> None:
        slow, fast = Reader(self.bandwidth, 10), Reader(self.bandwidth, 16_384)
        self.read_for([slow, fast], 60)
        self.assertLess(abs((slow.octets + fast.octets) / 60 - RATE), 0.03 * RATE)

    def test_small_answers_wait_for_nobody(self) -> None:
        large, small = Reader(self.bandwidth, 65_536), Reader(self.bandwidth, 100)
        large.read()
        self.assertTrue(large.paused)
        small.read()
        self.assertFalse(small.paused)
        self.bandwidth.stop()

    def test_a_time_of_nothing_is_not_saved_up(self) -> None:
        reader = Reader(self.bandwidth, 2_000)
        self.clock.advance(3_600)
        while not reader.paused:
            reader.read()
        self.assertLessEqual(reader.octets, RATE / 4 + 2_000)
        self.bandwidth.stop()
        self.assertFalse(reader.paused)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class SharedTest(BandwidthTest):
    """… where other nodes ask the same host."""

    def setUp(self) -> None:
        super().setUp()
        self.asked: list[float] = []
        self.bandwidth.lacking = lambda: self.asked.append(self.clock.seconds())

    def test_a_share_is_kept_to(self) -> None:
        self.bandwidth.share(RATE // 4)
        reader = Reader(self.bandwidth, 16_384)
        self.read_for([reader], 60)
        self.assertLess(abs(reader.octets / 60 - RATE / 4), 0.03 * RATE)

    def test_without_a_share_whoever_reads_a_message_waits_and_asks_once(self) -> None:
        self.bandwidth.share(0)
        readers = [Reader(self.bandwidth, 5_000) for _ in range(3)]
        self.read_for(readers, 10)
        self.assertEqual([reader.octets for reader in readers], [5_000] * 3)
        self.assertEqual(self.asked, [0.0])
        self.assertEqual(self.bandwidth.wanted(), RATE)
        self.bandwidth.share(RATE)
        self.read_for(readers, 10)
        self.assertGreater(sum(reader.octets for reader in readers), 9 * RATE)

    def test_more_and_less_from_one_moment_to_the_next(self) -> None:
        reader = Reader(self.bandwidth, 16_384)
        for share in (RATE, RATE // 10, RATE // 2):
            self.bandwidth.share(share)
            before = reader.octets
            self.read_for([reader], 60)
            self.assertLess(abs((reader.octets - before) / 60 - share), 0.03 * RATE)

    def test_what_is_wanted_is_twice_what_was_taken_lately(self) -> None:
        self.assertEqual(self.bandwidth.wanted(), 0)
        for _ in range(101):
            self.bandwidth.took(Reader(self.bandwidth, 0), RATE // 200)  # a tenth of it
            self.clock.advance(0.05)
        self.assertEqual(self.bandwidth.wanted(), RATE // 4)
        self.clock.advance(1)
        self.assertEqual(self.bandwidth.wanted(), RATE // 4)  # it is too early to say
        self.clock.advance(60)
        self.assertEqual(self.bandwidth.wanted(), 0)

    def test_who_waits_wants_all_of_it(self) -> None:
        reader = Reader(self.bandwidth, RATE)
        reader.read()
        self.assertTrue(reader.paused)
        self.assertEqual(self.bandwidth.wanted(), RATE)
        self.assertEqual(self.asked, [])  # it has all of it
        self.bandwidth.stop()


class Transport:
    """What a `Wire` does to its transport."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def pauseProducing(self) -> None:
        self.said.append("pause")

    def resumeProducing(self) -> None:
        self.said.append("resume")


class TwoReasons(SynchronousTestCase):
    def test_a_connection_is_read_from_when_nothing_speaks_against_it_any_more(self) -> None:
        wire = Wire(Clock(), Legacy("pop.old.example", 110, "none"), ClientProtocol())
        wire.transport = transport = Transport()  # type: ignore[assignment]
        bandwidth = object()
        wire.pause()
        wire.pause(bandwidth)
        wire.pause(bandwidth)
        wire.resume()
        wire.resume()
        self.assertEqual(transport.said, ["pause"])
        wire.resume(bandwidth)
        wire.resume(bandwidth)
        self.assertEqual(transport.said, ["pause", "resume"])
