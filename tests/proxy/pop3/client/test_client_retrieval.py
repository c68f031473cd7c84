"""How far RETRs run ahead, seen from the server's end of a connection in memory."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from proxy.legacy.wire import Wire
from proxy.pop3.client import Connection, Legacy, LegacyTimeout, LegacyUnreachable, Pace, Pipelining, Window
from proxy.pop3.client.protocol import ClientProtocol

GREETED = b"+OK\r\n+OK\r\nUSER\r\nPIPELINING\r\n.\r\n"


class MemoryTransport(StringTransport):
    """A transport of a TCP connection that ends in the test."""

    def __init__(self) -> None:
        super().__init__()
        self.wire: Wire

    def setTcpNoDelay(self, enabled: bool) -> None: ...

    def setTcpKeepAlive(self, enabled: bool) -> None: ...

    def written(self) -> bytes:
        data: bytes = self.value()
        self.clear()
        return data

    def abortConnection(self) -> None:
        self.disconnecting = True


class Kept:
    """A sink that notes its calls."""

    def __init__(self) -> None:
        self.notes: list[tuple[object, ...]] = []

    def message(self, number: int, data: bytes) -> None:
        self.notes.append((number, data))

    def begin(self, number: int) -> None:
        self.notes.append((number, "begins"))

    def piece(self, data: bytes) -> None:
        self.notes.append((len(data),))

    def end(self) -> None:
        self.notes.append(("ends",))

    def missing(self, number: int, text: str) -> None:
        self.notes.append((number, "missing", text))


class MemoryCase(SynchronousTestCase):
    """A connection that is open, and whose server is the test."""

    legacy = Legacy("old.example", 110, "none")
    opening = GREETED

    def setUp(self) -> None:
        self.clock = Clock()
        self.transport = MemoryTransport()
        self.wire = Wire(self.clock, self.legacy, ClientProtocol())
        self.transport.wire = self.wire
        dialled: Deferred[Wire] = Deferred()

        async def dial() -> Wire:
            return await dialled

        opened = Deferred.fromCoroutine(Connection.open(dial, self.legacy, self.clock))
        self.wire.makeConnection(self.transport)
        dialled.callback(self.wire)
        for line in self.opening.splitlines(keepends=True):
            self.wire.dataReceived(line)
        self.connection = self.successResultOf(opened)
        self.transport.clear()
        self.sink = Kept()

    def retrieve(self, count: int, size: int, window: Window) -> Deferred[None]:
        sizes: dict[int, int | None] = dict.fromkeys(range(1, count + 1), size)
        return Deferred.fromCoroutine(self.connection.retrieve(list(sizes), sizes, self.sink, Pace(window)))

    def asked(self) -> list[int]:
        """The messages of the RETRs sent since the last call."""
        return [int(line[5:]) for line in self.transport.written().splitlines()]


class RetrievalTests(MemoryCase):
    def test_the_window_is_filled_at_once_and_topped_up_when_half_is_free(self) -> None:
        done = self.retrieve(10, 100, Window(messages=4))
        self.assertEqual(self.asked(), [1, 2, 3, 4])
        self.wire.dataReceived(b"+OK\r\none\r\n.\r\n")
        self.assertEqual(self.asked(), [])
        self.wire.dataReceived(b"+OK\r\ntwo\r\n.\r\n")
        self.assertEqual(self.asked(), [5, 6])
        self.wire.dataReceived(b"+OK\r\nmore\r\n.\r\n" * 4)
        self.assertEqual(self.asked(), [7, 8, 9, 10])
        self.assertNoResult(done)
        self.wire.dataReceived(b"+OK\r\nlast\r\n.\r\n" * 4)
        self.successResultOf(done)
        self.assertEqual([note[0] for note in self.sink.notes], list(range(1, 11)))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_window_counts_octets(self) -> None:
        self.retrieve(10, 1000, Window(octets=3500))
        self.assertEqual(self.asked(), [1, 2, 3])
        self.wire.dataReceived(b"+OK\r\n.\r\n")
        self.assertEqual(self.asked(), [])
        self.wire.dataReceived(b"+OK\r\n.\r\n")
        self.assertEqual(self.asked(), [4, 5])

    def test_one_message_is_always_asked_for(self) -> None:
        done = self.retrieve(3, 10**9, Window())
        for number in (1, 2, 3):
            self.assertEqual(self.asked(), [number])
            self.wire.dataReceived(b"+OK\r\n.\r\n")
        self.successResultOf(done)

    def test_commands_on_their_way_are_bounded(self) -> None:
        self.retrieve(5000, 1, Window(messages=5000))
        commands = self.transport.written()
        self.assertLessEqual(len(commands), 24 * 1024)
        self.assertGreater(len(commands), 20 * 1024)

    def test_one_at_a_time(self) -> None:
        done = self.retrieve(3, 10, Window(messages=1))
        for number in (1, 2, 3):
            self.assertEqual(self.asked(), [number])
            self.wire.dataReceived(b"+OK\r\n.\r\n")
        self.successResultOf(done)

    def test_sizes_that_are_not_known_weigh_something(self) -> None:
        sizes: dict[int, int | None] = {1: None}
        numbers = list(range(1, 2000))
        Deferred.fromCoroutine(self.connection.retrieve(numbers, sizes, self.sink, Pace(Window())))
        self.assertEqual(len(self.asked()), 1024)

    def test_the_window_grows_while_the_server_keeps_up_and_shrinks_when_it_does_not(self) -> None:
        pace = Pace(Window(messages=500), Window(messages=8))
        sizes: dict[int, int | None] = dict.fromkeys(range(1, 1001), 100)
        Deferred.fromCoroutine(self.connection.retrieve(list(sizes), sizes, self.sink, pace))
        widths = []
        for seconds in (0.5, 0.5, 2.0, 12.0, 12.0, 1.0, 0.1):
            asked = len(self.asked())
            self.clock.advance(seconds)
            self.wire.dataReceived(b"+OK\r\n.\r\n" * asked)
            widths.append(pace.messages)
        self.assertEqual(widths, [16, 64, 64, 4, 4, 16, 256])

    def test_nothing_to_retrieve_is_done_at_once(self) -> None:
        self.successResultOf(self.retrieve(0, 0, Window()))
        self.assertEqual(self.transport.written(), b"")

    def test_a_message_that_vanished_does_not_stop_the_others(self) -> None:
        done = self.retrieve(3, 10, Window())
        self.wire.dataReceived(b"+OK\r\na\r\n.\r\n-ERR no such message\r\n+OK\r\nc\r\n.\r\n")
        self.successResultOf(done)
        self.assertEqual(self.sink.notes, [(1, b"a\r\n"), (2, "missing", "no such message"), (3, b"c\r\n")])

    def test_a_large_message_comes_in_pieces(self) -> None:
        done = self.retrieve(1, 10, Window())
        self.wire.dataReceived(b"+OK\r\n")
        for _ in range(40):
            self.wire.dataReceived(b"x" * 9998 + b"\r\n")
        self.wire.dataReceived(b".\r\n")
        self.successResultOf(done)
        self.assertEqual((self.sink.notes[0], self.sink.notes[-1]), ((1, "begins"), ("ends",)))
        self.assertEqual(sum(int(str(note[0])) for note in self.sink.notes[1:-1]), 400_000)

    def test_the_end_of_the_connection_names_the_message_under_way(self) -> None:
        done = self.retrieve(9, 10, Window())
        self.wire.dataReceived(b"+OK\r\na\r\n.\r\n+OK\r\nhalf")
        self.wire.connectionLost(Failure(ConnectionDone()))
        error = self.failureResultOf(done, LegacyUnreachable).value
        self.assertEqual(error.message, 2)
        self.assertEqual(str(error), "the connection was closed by the server in the middle of message 2")

    def test_what_the_sink_raises_is_what_retrieve_raises(self) -> None:
        def full(number: int, data: bytes) -> None:
            raise OSError("disk full")

        self.sink.message = full  # type: ignore[method-assign]
        done = self.retrieve(9, 10, Window())
        self.wire.dataReceived(b"+OK\r\na\r\n.\r\n")
        self.failureResultOf(done, OSError)
        self.assertTrue(self.connection.over)
        self.assertTrue(self.transport.disconnecting)

    def test_the_same_when_it_is_told_of_a_missing_message(self) -> None:
        def full(number: int, text: str) -> None:
            raise OSError("disk full")

        self.sink.missing = full  # type: ignore[method-assign]
        done = self.retrieve(1, 10, Window())
        self.wire.dataReceived(b"-ERR gone\r\n")
        self.failureResultOf(done, OSError)

    def test_cancelling_drops_the_connection(self) -> None:
        done = self.retrieve(9, 10, Window())
        done.cancel()
        self.failureResultOf(done)
        self.assertTrue(self.transport.disconnecting)
        self.wire.dataReceived(b"+OK\r\na\r\n.\r\n")
        self.assertEqual(self.sink.notes, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])


class TimeTests(MemoryCase):
    def test_a_server_that_stops_in_the_middle_is_given_up(self) -> None:
        done = self.retrieve(9, 10, Window())
        self.wire.dataReceived(b"+OK\r\na\r\n.\r\n+OK\r\nhalf")
        self.clock.advance(61)
        error = self.failureResultOf(done, LegacyTimeout).value
        self.assertEqual(error.message, 2)
        self.assertEqual(str(error), "the server was silent for 60 s while it owed message 2")
        self.assertTrue(self.transport.disconnecting)

    def test_a_pause_is_not_the_servers_silence(self) -> None:
        done = self.retrieve(9, 10, Window())
        self.connection.pause()
        self.assertEqual(self.transport.producerState, "paused")
        self.clock.advance(10_000)
        self.connection.resume()
        self.assertEqual(self.transport.producerState, "producing")
        self.assertNoResult(done)
        self.clock.advance(61)
        self.failureResultOf(done, LegacyTimeout)
        self.connection.pause()
        self.connection.resume()

    def test_listing_may_take_longer(self) -> None:
        sizes = Deferred.fromCoroutine(self.connection.list_sizes())
        self.clock.advance(299)
        self.assertNoResult(sizes)
        self.clock.advance(2)
        self.failureResultOf(sizes, LegacyTimeout)


class OrderTests(MemoryCase):
    """Commands side by side, at a server that is not known to pipeline."""

    opening = b"+OK\r\n-ERR\r\n"

    def test_commands_wait_for_each_other(self) -> None:
        one = Deferred.fromCoroutine(self.connection.list_sizes())
        two = Deferred.fromCoroutine(self.connection.uidl())
        self.assertEqual(self.transport.written(), b"LIST\r\n")
        self.wire.dataReceived(b"+OK\r\n1 5\r\n.\r\n")
        self.assertEqual(self.transport.written(), b"UIDL\r\n")
        self.wire.dataReceived(b"+OK\r\n1 x\r\n.\r\n")
        self.assertEqual(self.successResultOf(one), {1: 5})
        self.assertEqual(self.successResultOf(two), [(1, b"x")])

    def test_who_waits_for_a_turn_is_told_of_the_end(self) -> None:
        one = Deferred.fromCoroutine(self.connection.list_sizes())
        two = Deferred.fromCoroutine(self.connection.uidl())
        self.wire.connectionLost(Failure(ConnectionDone()))
        self.failureResultOf(one, LegacyUnreachable)
        self.failureResultOf(two, LegacyUnreachable)
        three = Deferred.fromCoroutine(self.connection.noop())
        self.failureResultOf(three, LegacyUnreachable)

    def prove(self, *answers: bytes) -> Deferred[Pipelining]:
        proof = Deferred.fromCoroutine(self.connection.prove_pipelining())
        self.assertEqual(self.transport.written(), b"NOOP\r\nNOOP\r\n")
        for answer in answers:
            self.wire.dataReceived(answer)
        return proof

    def test_two_answers_prove_it(self) -> None:
        self.assertEqual(self.successResultOf(self.prove(b"+OK\r\n", b"+OK\r\n")), Pipelining.ABLE)
        again = Deferred.fromCoroutine(self.connection.prove_pipelining())
        self.assertEqual(self.successResultOf(again), Pipelining.ABLE)
        self.assertEqual(self.transport.written(), b"")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_server_that_objects_cannot(self) -> None:
        proof = self.prove(b"+OK\r\n-ERR one at a time, please\r\n")
        self.assertEqual(self.successResultOf(proof), Pipelining.UNABLE)
        self.assertFalse(self.connection.over)

    def test_a_second_answer_that_does_not_come_spoils_the_connection(self) -> None:
        proof = self.prove(b"+OK\r\n")
        self.clock.advance(4)
        self.assertNoResult(proof)
        self.clock.advance(2)
        self.assertEqual(self.successResultOf(proof), Pipelining.UNABLE_REOPEN)
        self.assertTrue(self.connection.over)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_no_answer_at_all_is_a_broken_server(self) -> None:
        proof = self.prove()
        self.clock.advance(61)
        self.failureResultOf(proof, LegacyTimeout)
