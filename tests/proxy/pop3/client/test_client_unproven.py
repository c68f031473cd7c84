"""A message of another size than LIST's counts when an answer behind it shows that it had ended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from proxy.legacy.errors import BareLineEnds
from proxy.pop3.client import CommandRefused, LegacyError, LegacyProtocolError, LegacyTimeout, LegacyUnreachable
from proxy.pop3.client.unproven import Unproven
from tests.legacy.shelf import Shelf


class UnprovenTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.shelf = Shelf()
        self.unproven = Unproven(self.shelf, {1: 3, 2: 3, 3: None})
        self.asked = 0

    def settle(self, error: LegacyError | None = None) -> Deferred[None]:
        async def ask() -> None:
            self.asked += 1
            if error is not None:
                raise error

        asking: Callable[[], Awaitable[None]] = ask
        return Deferred.fromCoroutine(self.unproven.settle(asking))

    def test_one_of_the_announced_size_is_handed_on_at_once(self) -> None:
        self.unproven.message(1, b"abc")
        self.assertEqual(self.shelf.messages, {1: b"abc"})
        self.successResultOf(self.settle())
        self.assertEqual(self.asked, 0)

    def test_one_of_another_size_when_the_next_answer_begins(self) -> None:
        for number, goes_on in enumerate((self.begins, self.comes_whole, self.is_missing)):
            with self.subTest(number):
                self.setUp()
                self.unproven.message(1, b"ab")
                self.assertEqual(self.shelf.messages, {})
                goes_on()
                self.assertEqual(self.shelf.messages[1], b"ab")

    def begins(self) -> None:
        self.unproven.begin(2)

    def comes_whole(self) -> None:
        self.unproven.message(2, b"abc")

    def is_missing(self) -> None:
        self.unproven.missing(2, "gone")
        self.assertEqual(self.shelf.gone, {2: "gone"})

    def test_one_whose_size_is_not_known_and_the_last(self) -> None:
        self.unproven.message(3, b"abc")
        self.assertEqual(self.shelf.messages, {})
        self.successResultOf(self.settle())
        self.assertEqual((self.shelf.messages, self.asked), ({3: b"abc"}, 1))

    def test_pieces_go_on_and_only_their_end_is_kept_back(self) -> None:
        for pieces, at_once in (((b"a", b"bc"), True), ((b"a", b"b"), False)):
            with self.subTest(pieces):
                self.setUp()
                self.unproven.begin(2)
                for piece in pieces:
                    self.unproven.piece(piece)
                self.unproven.end()
                self.assertEqual(self.shelf.messages[2], b"".join(pieces))
                self.assertEqual(self.shelf._number == 0, at_once)  # has it ended?
                self.successResultOf(self.settle())
                self.assertEqual((self.shelf._number, self.asked), (0, 0 if at_once else 1))

    def test_nonsense_behind_it_is_its_own_fault(self) -> None:
        self.unproven.message(1, b"ab")
        error = self.unproven.given_up(LegacyProtocolError("neither +OK nor -ERR", message=2))
        self.assertEqual((error.message, self.shelf.messages), (1, {}))
        self.assertIn("neither +OK nor -ERR; message 1 seems to have ended before its end", error.text)

    def test_nonsense_behind_one_that_is_proven_is_not(self) -> None:
        self.unproven.message(1, b"abc")
        error = LegacyProtocolError("neither +OK nor -ERR", message=2)
        self.assertIs(self.unproven.given_up(error), error)
        self.assertEqual(error.message, 2)

    def test_an_end_of_the_connection_proves_it(self) -> None:
        for error in (LegacyUnreachable("reset", message=2), LegacyTimeout("silent", message=2)):
            self.setUp()
            self.unproven.message(1, b"ab")
            self.assertIs(self.unproven.given_up(error), error)
            self.assertEqual((error.message, self.shelf.messages), (2, {1: b"ab"}))

    def test_any_answer_proves_the_last_and_so_does_none(self) -> None:
        for error in (CommandRefused("no NOOP here"), LegacyTimeout("silent"), LegacyUnreachable("closed")):
            self.setUp()
            self.unproven.message(1, b"ab")
            self.successResultOf(self.settle(error))
            self.assertEqual(self.shelf.messages, {1: b"ab"})

    def test_nonsense_disproves_the_last(self) -> None:
        self.unproven.message(1, b"ab")
        self.failureResultOf(self.settle(LegacyProtocolError("nonsense")), LegacyProtocolError)
        self.assertEqual(self.shelf.messages, {})

    def test_a_last_line_without_its_line_feed_is_no_end(self) -> None:
        wire = b"ab\r\n.\r+OK\r\nof the next\r\n"
        with self.assertRaises(LegacyProtocolError) as caught:
            self.unproven.message(1, wire)
        self.assertEqual((caught.exception.message, self.shelf.messages), (1, {}))
        for cut in range(1, len(wire)):
            self.setUp()
            self.unproven.begin(2)
            with self.assertRaises(LegacyProtocolError):
                self.unproven.piece(wire[:cut])
                self.unproven.piece(wire[cut:])

    def test_nor_is_one_behind_a_bare_line_feed(self) -> None:
        wire = b"ab\n.\r\n-ERR\r\n+OK\r\nof the next\r\n"
        with self.assertRaises(BareLineEnds) as caught:
            self.unproven.message(1, wire)
        self.assertIs(self.unproven.given_up(caught.exception), caught.exception)
        for cut in range(1, len(wire)):
            self.setUp()
            self.unproven.begin(2)
            with self.assertRaises(BareLineEnds):
                self.unproven.piece(wire[:cut])
                self.unproven.piece(wire[cut:])

    def test_what_is_not_more_than_announced_may_hold_what_it_likes(self) -> None:
        mail = b"An answer:\r\n\r\nbare\n.\r\n+OK\r\n"
        unproven = Unproven(self.shelf, {1: len(mail), 2: len(mail)})
        unproven.message(1, mail)
        unproven.begin(2)
        unproven.piece(mail)
        unproven.end()
        self.assertEqual(self.shelf.messages, {1: mail, 2: mail})

    def test_a_line_of_a_dot_and_more_is_what_it_is(self) -> None:
        for odd in (b"RETR 1:\r\n.\r\n+OK\r\n", b"a\r\n.\rb\r\n", b".\r+OK\r\n", b"a\n.+O\r\n", b"\r\n.\r"):
            self.setUp()
            self.unproven.message(1, odd)
            self.successResultOf(self.settle())
            self.assertEqual(self.shelf.messages, {1: odd})
