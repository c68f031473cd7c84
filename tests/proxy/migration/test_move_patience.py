"""How long a move waits for a server that is gone, and for one that is busy; and what a listing of nothing means."""

from __future__ import annotations

from collections import deque

from proxy.migration.pauses import PAUSES, WAITS, Pauses
from proxy.migration.source import SourceBusy, SourceLost
from tests.proxy.migration.scripted import ALWAYS, MigrationTestCase, mail

AUTOLOGOUT = 600  # RFC 1939 3: at least ten minutes
LOST, BUSY = SourceLost("reset"), SourceBusy("in use")


def test_a_server_that_is_gone_is_tried_a_few_times() -> None:
    pauses = Pauses()
    assert [pauses.after(LOST, 0) for _ in range(len(PAUSES))] == [*PAUSES[1:], None]
    assert pauses.after(LOST, 7) == PAUSES[0]  # it gave something in between


def test_a_mailbox_in_use_is_waited_for_longer_than_any_autologout() -> None:
    pauses = Pauses()
    waited = 0.0
    while (seconds := pauses.after(BUSY, 0)) is not None:
        waited += seconds
    assert AUTOLOGOUT < waited < 2 * AUTOLOGOUT
    assert pauses.after(BUSY, 1) == WAITS[0]


class Busy(MigrationTestCase):
    def test_the_lock_that_a_lost_connection_leaves_is_sat_out(self) -> None:
        self.old.add(1, 2, 3)
        self.old.breaks = {"u2": 1}
        self.old.no_way_in = deque([SourceBusy("the mailbox is in use")] * 12)
        running = self.begin(self.move())
        self.let_pass(AUTOLOGOUT - 60)
        self.assertNoResult(running)
        self.let_pass(120)
        self.successResultOf(running)
        self.assert_stored(mail(1), mail(2), mail(3))
        self.assertEqual(self.old.openings, 13)

    def test_a_server_that_stays_busy_is_given_up_in_its_own_words(self) -> None:
        self.old.add(1)
        self.old.lists_broken = 1
        self.old.no_way_in = deque([SourceBusy("Download exceed. msg=10")] * ALWAYS)
        running = self.begin(self.move())
        self.let_pass(sum(WAITS) + 60)
        self.assertEqual(str(self.failureResultOf(running, SourceBusy).value), "Download exceed. msg=10")

    def test_a_few_refusals_are_no_faults_of_messages_where_nothing_is_given_any_more(self) -> None:
        self.old.add(1, 2, 3)
        self.old.refusals = {"u3": 2, "u1": 0}
        move = self.move()
        running = self.begin(move)
        self.let_pass(1)
        self.successResultOf(running)
        self.assertEqual(self.ledger()["u3"], "quarantined")  # u1 was given again: it is the message
        self.assertEqual(self.old.fetched[-1], ("u1",))


class Nothing(MigrationTestCase):
    def interrupted(self) -> None:
        self.old.add(1, 2, 3)
        self.old.breaks = {"u2": 1}
        self.old.no_way_in = deque([SourceLost("gone")] * 4)
        self.failureResultOf(self.carried(), SourceLost)

    def carried(self):  # type: ignore[no-untyped-def]
        running = self.begin(self.move())
        self.let_pass(120)
        return running

    def test_a_listing_of_nothing_is_asked_for_again(self) -> None:
        self.interrupted()
        box, self.old.box = self.old.box, []
        running = self.begin(self.move())
        self.old.box = box
        self.let_pass(60)
        self.successResultOf(running)
        self.assert_stored(mail(1), mail(2), mail(3))

    def test_twice_nothing_is_believed(self) -> None:
        self.interrupted()
        self.old.box = []
        move = self.move()
        running = self.begin(move)
        self.let_pass(60)
        self.successResultOf(running)
        self.assertEqual(self.ledger(), {"u1": "stored", "u2": "gone", "u3": "gone"})
        (remark,) = move.remarks
        self.assertIn("of 3 that it listed before; 1 came over and are kept", remark)

    def test_an_empty_mailbox_is_no_matter(self) -> None:
        move = self.move()
        self.successResultOf(self.begin(move))
        self.assertEqual(list(move.remarks), [])

    def test_remarks_of_the_source_are_handed_on(self) -> None:
        move = self.move()
        self.old.sources[-1].remarks = ["it lists a part"]
        self.successResultOf(self.begin(move))
        self.assertEqual(list(move.remarks), ["it lists a part"])
