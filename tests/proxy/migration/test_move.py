"""Moves from an old mailbox to an account: what is there afterwards, whatever went wrong."""

from __future__ import annotations

from collections import deque

from mailstore.index.folders import INBOX_ID
from mailstore.index.rows import SEEN
from proxy.migration import plan
from proxy.migration.pauses import PAUSES
from proxy.migration.source import SourceLost, SourceUnusable
from proxy.migration.stages import Stage
from tests.proxy.migration.scripted import ALWAYS, NOW, MigrationTestCase, Old, mail


class FirstMoves(MigrationTestCase):
    def test_everything_is_here_in_order_with_its_bytes_and_names(self) -> None:
        self.old.add(1, 2, 3)
        sums = self.carry()
        self.assert_stored(mail(1), mail(2), mail(3))
        self.assertEqual(self.uidls(), ["u1", "u2", "u3"])
        self.assertEqual(self.uids(), [1, 2, 3])
        self.assertEqual((sums.messages_done, sums.messages_total, sums.quarantined), (3, 3, 0))
        self.assertTrue(self.old.sources[0].closed)

    def test_an_empty_mailbox_is_moved_without_a_fetch(self) -> None:
        sums = self.carry()
        self.assertEqual((sums.messages_done, sums.messages_total), (0, 0))
        self.assertEqual(self.old.fetched, [])
        self.assertTrue(self.old.sources[0].closed)

    def test_bytes_are_kept_as_they_came(self) -> None:
        odd = [b"", b"\n", b"no header", b"A: b\n\nbare\nlines", b"\0\xff\r\r\n.\r\n", b"\r\n", b"x" * 9999]
        self.old.box = [Old(f"u{n}", data) for n, data in enumerate(odd)]
        self.carry()
        self.assert_stored(*odd)

    def test_a_large_message_comes_in_pieces_between_small_ones(self) -> None:
        self.old.add(1)
        self.old.add(2, size=50_000)
        self.old.add(3)
        self.carry()
        self.assert_stored(mail(1), mail(2, 50_000), mail(3))
        self.assertEqual(self.files("tmp"), [])

    def test_date_and_flags_come_from_the_header(self) -> None:
        read = b"Status: RO\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\n\r\n"
        self.old.box = [Old("a", read), Old("b", b"Subject: no date\r\n\r\n")]
        self.carry()
        first, second = self.mail.maildrop()
        self.assertEqual((first.internal_date, first.flags), (1_700_000_000, {SEEN}))
        self.assertEqual((second.internal_date, second.flags), (NOW, frozenset()))

    def test_seen_all_and_none(self) -> None:
        for seen, flags in (("all", {SEEN}), ("none", frozenset())):
            with self.subTest(seen=seen):
                self.old.box = [Old(seen, b"Subject: %b\r\nStatus: RO\r\n\r\n" % seen.encode())]
                self.successResultOf(self.begin(self.move(seen=seen)))
                self.assertEqual(self.mail.maildrop()[-1].flags, flags)

    def test_the_octets_that_list_announces_need_not_be_true(self) -> None:
        self.old.add(1, 2)
        self.old.box[0].octets, self.old.box[1].octets = 0, 1_000_000
        sums = self.carry()
        self.assert_stored(mail(1), mail(2))
        self.assertEqual(sums.bytes_done, sums.bytes_total)

    def test_progress_is_told_from_the_listing_on(self) -> None:
        self.old.add(1, 2, 3)
        self.carry()
        self.assertEqual((self.told[0].messages_done, self.told[0].messages_total), (0, 3))
        self.assertEqual((self.told[-1].messages_done, self.told[-1].messages_total), (3, 3))
        done = [sums.messages_done for sums in self.told]
        self.assertEqual(done, sorted(done))


class LaterMoves(MigrationTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.old.add(1, 2, 3)
        self.carry()
        self.old.fetched.clear()

    def test_what_is_here_is_not_fetched_again(self) -> None:
        self.carry(first=False)
        self.assertEqual(self.old.fetched, [])

    def test_what_arrived_since_gets_higher_uids(self) -> None:
        self.old.add(4, 5)
        self.carry(first=False)
        self.assertEqual(self.old.fetched, [("u4", "u5")])
        self.assertEqual(self.uids(), [1, 2, 3, 4, 5])

    def test_the_old_server_renumbers_after_somebody_deleted_there(self) -> None:
        self.old.remove("u1")
        self.old.add(4)
        self.carry(first=False)
        self.assertEqual(self.old.fetched, [("u4",)])
        self.assertEqual(self.uidls(), ["u1", "u2", "u3", "u4"])

    def test_what_is_listed_in_front_still_comes_behind(self) -> None:
        self.old.box.insert(0, Old("u0", mail(0)))
        self.carry(first=False)
        self.assertEqual(self.uidls(), ["u1", "u2", "u3", "u0"])
        self.assertEqual(self.uids(), [1, 2, 3, 4])

    def test_what_the_user_deleted_stays_deleted(self) -> None:
        self.mail.remove([2])
        self.old.add(4)
        sums = self.carry(first=False)
        self.assertEqual(self.old.fetched, [("u4",)])
        self.assertEqual(self.uidls(), ["u1", "u3", "u4"])
        self.assertEqual(self.ledger()["u2"], "deleted")
        self.assertEqual((sums.messages_done, sums.messages_total), (4, 4))

    def test_mail_that_arrived_here_keeps_its_uid_and_the_old_mail_comes_behind(self) -> None:
        (self.root / "new").write_bytes(b"Subject: here\r\n\r\n")
        with (self.root / "new").open("rb") as file:
            self.assertEqual(self.mail.append("INBOX", file, (), None).uid, 4)
        self.old.add(4)
        self.carry(first=False)
        self.assertEqual(self.uids(), [1, 2, 3, 4, 5])
        self.assertEqual(self.uidls()[-1], "u4")

    def test_an_old_mailbox_that_is_empty_all_at_once_takes_nothing_away(self) -> None:
        self.old.box.clear()
        self.carry(first=False)
        self.assertEqual(self.uidls(), ["u1", "u2", "u3"])

    def test_a_session_is_told_of_what_is_new(self) -> None:
        self.announced.clear()
        self.old.add(4)
        self.carry(first=False)
        self.assertEqual(set(self.announced), {INBOX_ID})


class NamesOfTheOldServer(MigrationTestCase):
    def test_without_uidl_nothing_comes_twice(self) -> None:
        self.old.box = [Old("", mail(1)), Old("", mail(2))]
        self.carry()
        self.old.box.append(Old("", mail(3)))
        self.carry(first=False)
        self.assert_stored(mail(1), mail(2), mail(3))
        self.assertEqual(len(set(self.uidls())), 3)  # POP3 has names of our own for them

    def test_the_same_uidl_for_several_messages(self) -> None:
        self.old.box = [Old("same", mail(1)), Old("same", mail(2)), Old("same", mail(3))]
        self.carry()
        self.assert_stored(mail(1), mail(2), mail(3))
        self.old.fetched.clear()
        self.old.box.append(Old("same", mail(4)))
        self.carry(first=False)
        self.assertEqual(self.old.fetched, [("same",)] * 2)  # the last that is known, to compare it, and the new one
        self.assert_stored(mail(1), mail(2), mail(3), mail(4))
        self.assertEqual(len(set(self.uidls())), 4)  # POP3 shows no name twice


class LostConnections(MigrationTestCase):
    def test_a_connection_lost_between_messages_is_replaced(self) -> None:
        self.old.add(1, 2, 3)
        self.old.breaks = {"u2": 1}
        self.carry()
        self.assert_stored(mail(1), mail(2), mail(3))
        self.assertEqual(self.old.fetched, [("u1", "u2", "u3"), ("u3",), ("u2",)])
        self.assertEqual(self.uids(), [1, 2, 3])  # in the old order, though the second came last
        self.assertEqual(self.old.openings, 1)
        self.assertEqual([source.over for source in self.old.sources], [True, True])

    def test_what_reached_the_barrier_is_not_fetched_again(self) -> None:
        self.old.add(*range(1, 6))
        self.old.breaks = {"u5": 1}
        self.carry()
        self.assertEqual(self.old.fetched[1:], [("u5",)])

    def test_half_a_large_message_leaves_nothing(self) -> None:
        self.old.add(1)
        self.old.add(2, size=50_000)
        self.old.breaks = {"u2": 1}
        self.carry()
        self.assert_stored(mail(1), mail(2, 50_000))
        self.assertEqual(self.files("tmp"), [])
        self.assertEqual(len(self.files("cur")), 2)

    def test_a_message_that_always_breaks_the_connection_is_given_up(self) -> None:
        self.old.add(1, 2, 3)
        self.old.breaks = {"u2": ALWAYS}
        sums = self.carry()
        self.assert_stored(mail(1), mail(3))
        self.assertEqual(self.uids(), [1, 3])  # its place is held
        self.assertEqual(self.ledger()["u2"], "quarantined")
        self.assertEqual((sums.messages_done, sums.messages_total, sums.quarantined), (2, 3, 1))
        self.assertEqual(self.entry("u2").attempts, plan.ATTEMPTS)
        self.assertEqual(self.old.fetched.count(("u2",)), 2)

    def test_many_bad_messages_do_not_stop_the_mailbox_either(self) -> None:
        self.old.add(*range(1, 13))
        self.old.breaks = dict.fromkeys(("u2", "u3", "u7", "u8", "u9", "u12"), ALWAYS)
        sums = self.carry()
        self.assertEqual(self.uids(), [1, 4, 5, 6, 10, 11])
        self.assertEqual(sums.quarantined, 6)

    def test_a_message_given_up_is_left_alone_afterwards(self) -> None:
        self.old.add(1, 2)
        self.old.breaks = {"u2": ALWAYS}
        self.carry()
        self.old.fetched.clear()
        self.carry(first=False)
        self.assertEqual(self.old.fetched, [])

    def test_pauses_grow_while_nothing_is_stored_and_then_it_fails(self) -> None:
        self.old.add(1)
        self.old.lists_broken = ALWAYS
        move = self.move()
        running = self.begin(move)
        for seconds in PAUSES[1:]:
            self.assertIs(move.stage, Stage.PAUSING)
            before = self.old.openings
            self.clock.advance(seconds - 0.1)
            self.assertEqual(self.old.openings, before)
            self.clock.advance(0.1)
            self.assertEqual(self.old.openings, before + 1)
        self.failureResultOf(running, SourceLost)
        self.assertIs(move.stage, Stage.FAILED)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertTrue(all(source.over for source in self.old.sources))

    def test_a_server_that_comes_back_is_gone_on_with(self) -> None:
        self.old.add(1, 2)
        self.old.lists_broken = 1
        self.old.no_way_in = deque([SourceLost("refused"), SourceLost("in use")])
        self.carry()
        self.assert_stored(mail(1), mail(2))
        self.assertEqual(self.old.openings, 3)

    def test_a_password_changed_in_the_middle_ends_the_move(self) -> None:
        self.old.add(1, 2, 3)
        self.old.breaks = {"u2": 1}
        self.old.no_way_in = deque([SourceUnusable("wrong password")])
        running = self.begin(self.move())
        self.let_pass(60)
        self.failureResultOf(running, SourceUnusable)
        self.assert_stored(mail(1))
        self.assertEqual(self.old.openings, 1)

    def test_the_next_move_goes_on_where_the_last_one_stopped(self) -> None:
        self.test_a_password_changed_in_the_middle_ends_the_move()
        self.old.fetched.clear()
        self.old.add(4)
        self.carry()
        self.assert_stored(mail(1), mail(2), mail(3), mail(4))
        self.assertEqual(self.uids(), [1, 2, 3, 4])
        self.assertEqual(self.old.fetched, [("u3", "u4"), ("u2",)])

    def test_a_restart_in_between_makes_no_difference(self) -> None:
        self.test_a_password_changed_in_the_middle_ends_the_move()
        self.mail.close()
        self.mail = self.open_mail()
        self.home.mail = self.mail
        self.carry()
        self.assert_stored(mail(1), mail(2), mail(3))

    def test_the_connection_breaks_again_and_again_while_something_gets_stored(self) -> None:
        self.old.add(*range(1, 41))
        self.old.breaks = {f"u{n}": 1 for n in range(2, 41, 2)}
        sums = self.carry()
        self.assertEqual((sums.messages_done, sums.quarantined), (40, 0))
        self.assertEqual(self.uids(), list(range(1, 41)))
        self.assert_stored(*(mail(n) for n in range(1, 41)))


class RefusedMessages(MigrationTestCase):
    def test_one_that_is_refused_once_is_asked_for_again(self) -> None:
        self.old.add(1, 2, 3)
        self.old.refusals = {"u2": 1}
        sums = self.carry()
        self.assert_stored(mail(1), mail(2), mail(3))
        self.assertEqual(self.old.fetched, [("u1", "u2", "u3"), ("u2",)])
        self.assertEqual(sums.quarantined, 0)

    def test_one_that_is_refused_again_is_quarantined_with_the_servers_words(self) -> None:
        self.old.add(1, 2, 3)
        self.old.refusals = {"u2": ALWAYS}
        sums = self.carry()
        self.assertEqual(self.uids(), [1, 3])
        self.assertEqual((self.ledger()["u2"], sums.quarantined), ("quarantined", 1))
        self.assertEqual(len(self.old.sources), 1)

    def test_a_quarantined_message_is_tried_again_by_the_next_move_in_front_of_nothing(self) -> None:
        """It gets a UID above those that sessions have seen (RFC 3501 2.3.1.1)."""
        self.old.add(1, 2, 3)
        self.old.refusals = {"u2": 2}
        self.carry()
        seen = self.mail.select("INBOX", writable=True)
        sums = self.carry(first=False)
        self.assertEqual(self.uids(), [1, 3, 4])
        self.assert_stored(mail(1), mail(3), mail(2))
        self.assertEqual((self.entry("u2").uid, sums.quarantined), (4, 0))
        changes = self.mail.changes(INBOX_ID, seen.highestmodseq, claim_recent=False)
        self.assertEqual([message.uid for message in changes.changed], [4])
        self.mail.remove([4])
        self.assertEqual(self.ledger()["u2"], "deleted")

    def test_one_that_vanished_between_list_and_retr_is_gone_when_it_is_no_longer_listed(self) -> None:
        self.old.add(1, 2, 3)
        self.old.refusals = {"u2": ALWAYS}
        self.carry()
        self.old.remove("u2")
        sums = self.carry(first=False)
        self.assertEqual(self.ledger(), {"u1": "stored", "u2": "gone", "u3": "stored"})
        self.assertEqual((sums.messages_done, sums.messages_total, sums.quarantined), (2, 2, 0))

    def test_one_that_is_listed_again_was_not_gone(self) -> None:
        self.test_one_that_vanished_between_list_and_retr_is_gone_when_it_is_no_longer_listed()
        self.old.refusals.clear()
        self.old.add(2)
        self.carry(first=False)
        self.assertEqual(self.uidls(), ["u1", "u3", "u2"])

    def test_refusals_and_broken_connections_together(self) -> None:
        self.old.add(*range(1, 9))
        self.old.refusals = {"u2": ALWAYS, "u5": 1}
        self.old.breaks = {"u4": 1, "u7": ALWAYS}
        sums = self.carry()
        self.assertEqual(self.uids(), [1, 3, 4, 5, 6, 8])
        self.assertEqual((self.ledger()["u2"], self.ledger()["u7"]), ("quarantined", "quarantined"))
        self.assertEqual(sums.messages_done, 6)

    def test_a_server_that_gives_nothing_any_more_is_come_back_to(self) -> None:
        """Nothing is quarantined, and nobody sees a part as the whole (invariant 3)."""
        self.old.add(1)
        self.carry()
        self.old.add(*range(2, 11))
        self.old.refusals = {f"u{n}": ALWAYS for n in range(1, 11)}
        running = self.begin(self.move())
        self.let_pass(60)
        self.failureResultOf(running, SourceLost)
        self.assertEqual(set(self.ledger().values()), {"stored", "listed"})
        self.old.refusals.clear()
        sums = self.carry()
        self.assert_stored(*(mail(n) for n in range(1, 11)))
        self.assertEqual((self.uids(), sums.quarantined), (list(range(1, 11)), 0))

    def test_many_refused_by_a_server_that_gives_the_others_are_quarantined(self) -> None:
        self.old.add(*range(1, 11))
        self.old.refusals = {f"u{n}": ALWAYS for n in range(6, 11)}
        sums = self.carry()
        self.assertEqual((self.uids(), sums.quarantined), ([1, 2, 3, 4, 5], 5))

    def test_a_message_that_broke_connections_comes_when_the_fault_is_over(self) -> None:
        self.old.add(1, 2)
        self.old.breaks = {"u2": plan.ATTEMPTS}
        self.assertEqual(self.carry().quarantined, 1)
        self.later(plan.AGAIN)
        self.assertEqual(self.carry(first=False).quarantined, 0)
        self.assert_stored(mail(1), mail(2))

    def test_a_server_that_refuses_everything_leaves_everything_in_quarantine(self) -> None:
        self.old.add(1, 2)
        self.old.refusals = {"u1": ALWAYS, "u2": ALWAYS}
        sums = self.carry()
        self.assertEqual((sums.messages_done, sums.messages_total, sums.quarantined), (0, 2, 2))
