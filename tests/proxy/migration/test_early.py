"""The way without waiting, against an old mailbox under the test's control: when the user is let in, what is fetched
in which order, and what happens where the old server does not play along."""

from __future__ import annotations

import errno
from typing import Any

from twisted.internet.defer import Deferred

from mailstore.entries import Sums
from mailstore.errors import StorageFailed
from mailstore.index.folders import INBOX_ID
from mailstore.index.rows import DELETED, NO_FLAGS, StoreMode
from mailstore.oncoming import Oncoming
from proxy.migration import early, pull
from proxy.migration.move import Move, Terms
from proxy.migration.source import SourceLost
from tests.proxy.migration.scripted import MigrationTestCase, Old, direct, mail
from tests.proxy.migration.scripted_errands import OldErrandMailbox

SIZE = 3000  # more than a message is fetched whole for


def letter(number: int) -> bytes:
    return mail(number, SIZE - 2) + b"\r\n"


class EarlyTestCase(MigrationTestCase):
    old: OldErrandMailbox

    def setUp(self) -> None:
        super().setUp()
        self.old = OldErrandMailbox()
        self.patch(early, "FIRST_HEADERS", 5)  # of which four are fetched whole
        self.said: list[str] = []  # what `when_listed` was told

    def put(self, *numbers: int) -> None:
        self.old.box += [Old(f"u{n}", letter(n)) for n in numbers]

    def hold(self, *names: str) -> None:
        for name in names:
            self.old.held = {**self.old.held, name: Deferred()}

    def release(self, *names: str) -> None:
        for name in names or tuple(self.old.held):
            if not self.old.held[name].called:
                self.old.held[name].callback(None)

    def early_move(self, *, first: bool = True, serve: bool = True) -> tuple[Move, Deferred[Sums]]:
        move = Move(
            self.home,
            self.old.connect(),
            self.old.reopen,
            Terms(first, serve=serve),
            in_thread=direct,
            clock=self.clock,
            told=self.told.append,
        )
        move.when_listed = self.said.append
        running = self.begin(move)
        self.let_pass(1)
        return move, running

    def whole(self, running: Deferred[Sums], count: int) -> None:
        self.let_pass(60)
        self.successResultOf(running)
        self.assert_stored(*[letter(n) for n in range(1, count + 1)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    @property
    def asked(self) -> str:
        return " ".join(self.old.asked)


class LettingIn(EarlyTestCase):
    def test_first_a_look_at_the_newest_then_headers_then_messages_newest_first(self) -> None:
        self.put(*range(1, 8))
        self.hold("tu2")
        _, running = self.early_move()
        self.assertEqual(self.said, [""])
        self.assertEqual(self.uidls(), [f"u{n}" for n in range(1, 8)])
        self.assertEqual(self.asked, "/ ru7 ru6 ru5 ru4 tu3 tu2")
        self.release()
        self.whole(running, 7)
        self.assertEqual(self.asked, "/ ru7 ru6 ru5 ru4 tu3 tu2 tu1 ru3 ru2 ru1")

    def test_not_before_the_first_look_is_over(self) -> None:
        self.put(*range(1, 8))
        self.hold("u5")
        _, running = self.early_move()
        self.assertEqual((self.said, self.uidls()), ([], []))
        self.release()
        self.let_pass(1)
        self.assertEqual(self.said, [""])
        self.whole(running, 7)

    def test_an_empty_mailbox(self) -> None:
        _, running = self.early_move()
        self.whole(running, 0)

    def test_what_somebody_waits_for_comes_next(self) -> None:
        self.put(*range(1, 10))
        self.hold("tu4")
        move, running = self.early_move()
        self.old.asked.clear()
        move.hurry([2, 3], whole=True)
        move.hurry([1], whole=False)
        self.release()
        self.whole(running, 9)
        self.assertEqual(self.asked, "tu1 ru2 ru3 ru5 ru4 ru1")

    def test_what_was_removed_meanwhile_is_not_asked_for(self) -> None:
        self.patch(pull, "BATCH_SECONDS", 0.0)
        self.put(*range(1, 10))
        self.hold("u5")
        _, running = self.early_move()
        self.mail.store_flags(INBOX_ID, [2, 3], StoreMode.ADD, [DELETED])
        self.mail.expunge(INBOX_ID)
        self.release()
        self.let_pass(60)
        self.assertEqual(self.successResultOf(running).messages_done, 9)
        self.assertEqual(self.stored(), [letter(n) for n in (1, 4, 5, 6, 7, 8, 9)])
        self.assertEqual(self.ledger()["u2"], "deleted")
        self.assertTrue(self.asked.endswith("tu1 ru5 ru4 ru1"), self.asked)

    def test_one_command_at_a_time(self) -> None:
        self.put(*range(1, 21))
        self.old.one_at_a_time = True
        self.patch(early, "FIRST_HEADERS", 50)
        _, running = self.early_move()
        self.whole(running, 20)
        self.assertEqual(self.asked.count("t"), early.FEW_HEADERS - early.SAMPLE)

    def test_a_server_without_top(self) -> None:
        self.put(*range(1, 8))
        self.old.no_top = True
        self.hold("u3")
        move, running = self.early_move()
        self.assertEqual(self.said, [""])
        move.hurry([1], whole=False)
        self.release()
        self.whole(running, 7)
        self.assertEqual(self.asked, "/ ru7 ru6 ru5 ru4 tu3 ru3 ru1 ru2")

    def test_a_header_that_is_refused(self) -> None:
        self.put(*range(1, 8))
        self.old.refused_headers = {"u2"}
        _, running = self.early_move()
        self.whole(running, 7)
        self.assertEqual(self.asked.count("ru2"), 1)

    def test_what_is_new_when_the_move_goes_on_is_listed_and_what_is_gone_is_not(self) -> None:
        self.put(*range(1, 8))
        self.old.breaks = {"u3": 1}
        self.old.opening = Deferred()
        _, running = self.early_move()
        self.old.remove("u1")
        self.put(8)
        self.old.opening.callback(None)
        self.let_pass(60)
        self.successResultOf(running)
        self.assertEqual(self.uidls(), [f"u{n}" for n in range(2, 9)])
        self.assertEqual(self.uids(), list(range(2, 9)))
        self.assertEqual(self.said, [""])

    def test_what_is_waited_for_is_asked_for_again_over_the_next_connection(self) -> None:
        self.put(*range(1, 10))
        self.hold("tu4")
        self.old.breaks = {"u2": 1}
        move, running = self.early_move()
        move.hurry([2, 3], whole=True)
        self.release()
        self.whole(running, 9)
        again = self.asked.split(" / ")[1]
        self.assertTrue(again.startswith("ru3"), again)  # u2 broke the connection, and is fetched by itself

    def test_one_that_was_listed_and_is_to_be_held_from_now_on_is_carried_over_all_the_same(self) -> None:
        self.put(*range(1, 8))
        self.hold("tu2")
        move, running = self.early_move()
        move.stop()
        self.failureResultOf(running, SourceLost)
        self.release()
        _, running = self.early_move(serve=False)
        self.whole(running, 7)
        self.assertEqual(self.uids(), list(range(1, 8)))

    def test_one_that_was_held_and_is_to_be_let_in_from_now_on(self) -> None:
        self.put(*range(1, 8))
        self.hold("u3")
        move, running = self.early_move(serve=False)
        move.stop()
        self.failureResultOf(running, SourceLost)
        self.assertEqual(self.said, [])
        _, running = self.early_move()
        self.assertEqual(self.said, [""])
        self.assertEqual(self.uidls(), [f"u{n}" for n in range(1, 8)])
        self.release()
        self.whole(running, 7)

    def test_what_was_in_quarantine_arrives_at_its_place_later(self) -> None:
        self.put(*range(1, 8))
        self.old.refusals = {"u2": 2}
        _, running = self.early_move()
        self.let_pass(60)
        self.assertEqual(self.successResultOf(running).quarantined, 1)
        self.assertEqual(self.uidls(), [f"u{n}" for n in range(1, 8)])
        self.later(7200)
        _, running = self.early_move(first=False)
        self.whole(running, 7)
        self.assertEqual(self.uids(), list(range(1, 8)))


class NotLettingIn(EarlyTestCase):
    def held(self, why: str, count: int = 7) -> None:
        _, running = self.early_move()
        self.assertEqual(self.said, [why])
        self.assertEqual(len(self.uidls()), len(self.stored()))  # whatever is in the index is here
        self.release()
        self.whole(running, count)

    def test_sizes_that_are_wrong(self) -> None:
        self.put(*range(1, 8))
        self.old.box = [Old(old.uidl, old.data, len(old.data) - 100) for old in self.old.box]
        self.hold("u3")
        self.held("the legacy server's sizes are not those of its messages")

    def test_sizes_that_all_lack_the_last_line_end(self) -> None:
        self.put(*range(1, 8))
        self.old.box = [Old(old.uidl, old.data, len(old.data) - 2) for old in self.old.box]
        self.held("the legacy server's sizes are not those of its messages")

    def test_a_line_end_that_one_of_them_lacks_is_no_reason(self) -> None:
        self.put(*range(1, 8))
        self.old.box[6].octets = len(self.old.box[6].data) - 2
        _, running = self.early_move()
        self.assertEqual(self.said, [""])
        self.whole(running, 7)

    def test_sizes_that_are_not_told(self) -> None:
        self.put(*range(1, 8))
        self.old.box[2].octets = 0
        self.held("the legacy server does not tell the sizes of messages")
        self.assertEqual(self.old.fetched, [tuple(f"u{n}" for n in range(1, 8))])

    def test_newest_messages_that_are_refused(self) -> None:
        self.put(*range(1, 8))
        self.old.refusals = {f"u{n}": 1 for n in (4, 5, 6, 7)}
        self.old.held = {"u3": Deferred()}
        self.held("the legacy server's sizes are not those of its messages")

    def test_an_index_that_was_lost(self) -> None:
        self.patch(self.mail.recognition, "needed", lambda: True)
        self.put(*range(1, 8))
        self.held("an index was lost, and what is here already has to be found first")

    def test_a_connection_that_breaks_in_the_first_look(self) -> None:
        self.put(*range(1, 8))
        self.old.breaks = {"u6": 1}
        _, running = self.early_move()
        self.let_pass(60)
        self.assertEqual(self.said, [""])
        self.whole(running, 7)

    def test_a_disk_that_refuses_the_headers(self) -> None:
        self.put(*range(1, 10))
        note = Oncoming.note

        def refused(*_: Any) -> Any:
            raise StorageFailed("the disk refused: " + errno.errorcode[errno.ENOSPC])

        self.patch(Oncoming, "note", refused)
        _, running = self.early_move()
        self.let_pass(10)
        self.failureResultOf(running, StorageFailed)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.patch(Oncoming, "note", note)
        _, running = self.early_move()
        self.whole(running, 9)
        self.assertEqual(self.mail.select("INBOX", writable=False).flags, [NO_FLAGS] * 9)
