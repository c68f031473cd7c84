"""Headers and messages in an order that is decided late, seen from the server's end of a connection in memory."""

from __future__ import annotations

from collections import deque

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from proxy.pop3.client import LegacyProtocolError, LegacyUnreachable, Window
from proxy.pop3.client.errands import HEAD_LIMIT, Errand
from tests.proxy.pop3.client.test_client_retrieval import Kept, MemoryCase

HEADER = b"+OK\r\nSubject: a\r\n\r\n.\r\n"
MESSAGE = b"+OK\r\nSubject: a\r\n\r\n..body\r\n.\r\n"


class KeptWithHeaders(Kept):
    def header(self, number: int, data: bytes) -> None:
        self.notes.append((number, "header", data))

    def no_header(self, number: int, text: str) -> None:
        self.notes.append((number, "no header", text))


class List:
    """An agenda that is a list."""

    def __init__(self, window: Window, *errands: Errand) -> None:
        self.left = deque(errands)
        self.urgent = False
        self._window = window

    def next(self) -> Errand | None:
        return self.left.popleft() if self.left else None

    def window(self) -> Window:
        return self._window


def head(number: int, weight: int = 100) -> Errand:
    return Errand(number, header=True, weight=weight)


def body(number: int, weight: int = 100) -> Errand:
    return Errand(number, header=False, weight=weight)


class ErrandTests(MemoryCase):
    def setUp(self) -> None:
        super().setUp()
        self.kept = KeptWithHeaders()

    def run_errands(self, agenda: List) -> Deferred[None]:
        return Deferred.fromCoroutine(self.connection.run_errands(agenda, self.kept))

    def said(self) -> list[bytes]:
        return self.transport.written().splitlines()

    def test_headers_and_messages_in_one_stream(self) -> None:
        done = self.run_errands(List(Window(), head(2), body(1), head(3)))
        self.assertEqual(self.said(), [b"TOP 2 0", b"RETR 1", b"TOP 3 0"])
        self.wire.dataReceived(HEADER + MESSAGE + b"-ERR no TOP\r\n")
        self.successResultOf(done)
        self.assertEqual(
            self.kept.notes,
            [
                (2, "header", b"Subject: a\r\n\r\n"),
                (1, b"Subject: a\r\n\r\n.body\r\n"),
                (3, "no header", "no TOP"),
            ],
        )
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nothing_to_do(self) -> None:
        self.successResultOf(self.run_errands(List(Window())))
        self.assertEqual(self.said(), [])

    def test_what_comes_next_is_asked_only_when_there_is_room(self) -> None:
        agenda = List(Window(messages=4), *[body(n) for n in range(1, 9)])
        self.run_errands(agenda).addErrback(lambda _: None)
        self.assertEqual(self.said(), [b"RETR %d" % n for n in (1, 2, 3, 4)])
        self.wire.dataReceived(MESSAGE)
        self.assertEqual(self.said(), [])  # until half of the window is free
        agenda.left.appendleft(head(20))
        self.wire.dataReceived(MESSAGE)
        self.assertEqual(self.said(), [b"TOP 20 0", b"RETR 5"])
        agenda.left.appendleft(head(21))
        agenda.urgent = True  # somebody waits: as soon as there is any room
        self.wire.dataReceived(MESSAGE)
        self.assertEqual(self.said(), [b"TOP 21 0"])

    def test_the_window_counts_octets_and_may_change(self) -> None:
        agenda = List(Window(octets=1000), body(1, 900), body(2, 200), body(3, 5000), body(4, 1))
        done = self.run_errands(agenda)
        self.assertEqual(self.said(), [b"RETR 1"])
        self.wire.dataReceived(MESSAGE)
        self.assertEqual(self.said(), [b"RETR 2"])
        agenda._window = Window(octets=10_000)
        self.wire.dataReceived(MESSAGE)
        self.assertEqual(self.said(), [b"RETR 3", b"RETR 4"])
        self.wire.dataReceived(MESSAGE * 2)
        self.successResultOf(done)

    def test_long_ones_come_in_pieces_and_of_a_header_the_beginning_is_enough(self) -> None:
        done = self.run_errands(List(Window(), head(1), body(2)))
        long = b"x" * 1000 + b"\r\n"
        for data in (b"+OK\r\n", *[long] * 300, b".\r\n"):
            self.wire.dataReceived(data)
        ((number, kind, data),) = self.kept.notes
        self.assertEqual((number, kind, len(data)), (1, "header", HEAD_LIMIT))  # type: ignore[arg-type]
        self.kept.notes.clear()
        for data in (b"+OK\r\n", *[long] * 300, b".\r\n"):
            self.wire.dataReceived(data)
        self.assertEqual((self.kept.notes[0], self.kept.notes[-1]), ((2, "begins"), ("ends",)))
        self.successResultOf(done)

    def test_which_message_was_under_way_when_the_connection_ends(self) -> None:
        done = self.run_errands(List(Window(), head(7), body(3)))
        self.wire.dataReceived(HEADER + b"+OK\r\nhalf of")
        self.wire.connectionLost(Failure(ConnectionDone()))
        error = self.failureResultOf(done, LegacyUnreachable).value
        self.assertEqual(error.message, 3)
        self.assertIn("in the middle of message 3", str(error))

    def test_an_answer_that_makes_no_sense(self) -> None:
        done = self.run_errands(List(Window(), head(7)))
        self.wire.dataReceived(b"250 what?\r\n")
        self.assertIn("for the header of message 7", str(self.failureResultOf(done, LegacyProtocolError).value))

    def test_who_gives_up_drops_the_connection(self) -> None:
        done = self.run_errands(List(Window(), body(1)))
        done.addErrback(lambda _: None)
        done.cancel()
        self.assertTrue(self.connection.over)
