"""A legacy server that gives its messages other UIDLs: nothing comes twice, nothing comes back, nothing is lost."""

from __future__ import annotations

import io

from mailstore.index.folders import INBOX_ID
from proxy.migration.comparing import SAMPLE
from tests.proxy.migration.later_rig import LaterTestCase, letter
from tests.proxy.migration.scripted import Old, mail

MANY = 20


class RenamedTestCase(LaterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.old.box = [Old(f"u{n}", letter(n)) for n in range(1, MANY + 1)]
        self.carry()
        self.keep()


class Renamed(RenamedTestCase):
    def test_all_names_change(self) -> None:
        self.rename()
        sums = self.look()
        self.assert_untouched()
        self.assertEqual((sums.messages_done, sums.messages_total), (MANY, MANY))
        self.assertEqual(len(self.fetched()), MANY)
        self.look()
        self.assertEqual(self.fetched(), [])
        self.assertEqual(set(self.ledger()), {f"v{n}" for n in range(1, MANY + 1)})

    def test_the_administrator_is_told_once(self) -> None:
        self.rename()
        self.look()
        self.look()
        told = [(event, figures) for event, figures in self.reports if "UIDL" in event]
        self.assertEqual(told, [("legacy server changed UIDLs; messages recognised by content", {"messages": MANY})])

    def test_with_what_came_meanwhile(self) -> None:
        self.rename()
        self.old.box.insert(3, Old("x", letter(99)))
        self.look()
        self.assertEqual(self.stored()[:-1], [letter(n) for n in range(1, MANY + 1)])
        self.assertEqual((self.stored()[-1], self.uidls()[-1], self.uids()[-1]), (letter(99), "x", MANY + 1))

    def test_what_the_user_deleted_here_stays_deleted(self) -> None:
        self.mail.remove([3, 7])
        self.rename()
        self.look()
        self.assertEqual(self.uids(), [n for n in range(1, MANY + 1) if n not in {3, 7}])
        self.assertEqual((self.ledger()["v3"], self.ledger()["v4"]), ("deleted", "stored"))

    def test_what_the_user_moved_is_where_it_was_moved_to(self) -> None:
        self.mail.create("kept")
        self.mail.move(INBOX_ID, [3], "kept")
        self.rename()
        self.look()
        self.assertNotIn(letter(3), self.stored())
        self.assertEqual(self.mail.status("kept").messages, 1)

    def test_a_name_that_is_another_message_s_now(self) -> None:
        """The server counts its messages and calls them by their numbers."""
        self.rename("")
        self.look()
        del self.old.box[0]
        self.rename("")
        self.old.box.append(Old(str(MANY), letter(50)))
        self.later(60)
        self.look()
        self.assertEqual(self.stored(), [letter(n) for n in (*range(1, MANY + 1), 50)])
        self.assertEqual(len(set(self.uidls())), MANY + 1)

    def test_one_name_that_is_used_again_for_a_message_of_another_size(self) -> None:
        self.old.box[4] = Old("u5", letter(77, body=b"of another size"))
        self.look()
        self.assertEqual(self.fetched(), ["u5", "u5"])  # once to compare it
        self.assertEqual(self.stored(), [letter(n) for n in range(1, MANY + 1)] + [letter(77, body=b"of another size")])
        self.assertEqual(len(set(self.uidls())), MANY + 1)  # POP3 clients here know u5 as another message
        self.assertEqual(self.uidls()[:MANY], [f"u{n}" for n in range(1, MANY + 1)])
        self.look()
        self.assertEqual(self.fetched(), [])

    def test_the_same_message_with_another_size_in_the_listing(self) -> None:
        self.old.box[4].octets = 9999
        self.look()
        self.assert_untouched()
        self.assertEqual(self.fetched(), ["u5"])
        self.look()
        self.assertEqual(self.fetched(), [])

    def test_a_server_that_counts_octets_otherwise_now(self) -> None:
        for old in self.old.box:
            old.octets = len(old.data) + 7
        self.look()
        self.assert_untouched()
        self.assertEqual(len(self.fetched()), SAMPLE)
        self.look()
        self.assertEqual(self.fetched(), [])

    def test_many_names_that_are_used_again(self) -> None:
        for n, old in enumerate(self.old.box[:-1], 1):
            old.data = letter(1000 + n, body=b"another")
        self.look()
        self.assertEqual(len(self.stored()), 2 * MANY - 1)
        self.assertEqual(len(set(self.uidls())), 2 * MANY - 1)
        self.assertEqual(self.uidls()[:MANY], [f"u{n}" for n in range(1, MANY + 1)])

    def test_another_program_serves_the_mail_and_writes_into_its_headers(self) -> None:
        for n, old in enumerate(self.old.box, 1):
            old.uidl, old.data = f"v{n}", letter(n, added=b"Return-Path: <a@example>\r\nStatus: RO\r\n")
        self.look()
        self.assert_untouched()

    def test_and_what_the_user_deleted_stays_deleted_then_too(self) -> None:
        self.mail.remove([2])
        for n, old in enumerate(self.old.box, 1):
            old.uidl, old.data = f"v{n}", letter(n, added=b"Status: RO\r\n")
        self.look()
        self.assertNotIn(2, self.uids())
        self.assertEqual(len(self.uids()), MANY - 1)

    def test_a_copy_of_a_message_that_went_long_ago_is_a_message(self) -> None:
        """Other bytes: it came another way. That it looks like one that is gone from there says nothing."""
        del self.old.box[4]
        self.look()
        self.later(7 * 24 * 3600)
        self.old.box.append(Old("copy", letter(5, added=b"Delivered-To: list@example\r\n")))
        self.look()
        self.assertEqual(len(self.uids()), MANY + 1)

    def test_a_body_that_differs_is_another_message(self) -> None:
        self.old.box[4] = Old("w", letter(5, body=b"text of letter 6\r\n"))
        self.look()
        self.assertEqual(len(self.uids()), MANY + 1)

    def test_a_backup_is_restored_there(self) -> None:
        """Mail that was deleted at both ends comes back at the other, under names of its own."""
        self.mail.remove([1, 2, 3])
        del self.old.box[:5]
        self.look()
        self.old.box = [Old(f"r{n}", letter(n)) for n in range(1, MANY + 1)]
        self.look()
        self.assertEqual(self.uids(), list(range(4, MANY + 1)))

    def test_a_window_that_comes_and_goes(self) -> None:
        """Some servers list the last thirty days, or the last so many messages, and change their minds."""
        whole = self.old.box
        for first, last in ((10, 20), (0, 5), (0, 20), (19, 20), (0, 0), (3, 17), (0, 20)):
            self.old.box = whole[first:last]
            self.look()
            self.assert_untouched()
        self.assertEqual(self.fetched(), [])

    def test_the_connection_breaks_in_the_middle(self) -> None:
        self.rename()
        self.old.breaks = {"v5": 1, "v11": 1}
        self.later(3600)
        self.carry(first=False)
        self.assert_untouched()
        self.assertEqual(set(self.ledger().values()), {"stored"})

    def test_a_first_move_that_is_renamed_in_the_middle(self) -> None:
        self.old.box += [Old(f"u{n}", letter(n)) for n in range(MANY + 1, 2 * MANY + 1)]
        self.old.breaks = {f"u{MANY + 5}": 1}
        move = self.begin(self.move())
        self.rename()
        self.let_pass(60)
        self.successResultOf(move)
        self.assertEqual(self.stored(), [letter(n) for n in range(1, 2 * MANY + 1)])
        self.assertEqual(self.uids(), sorted(self.uids()))
        self.assertEqual(self.uids()[:MANY], list(range(1, MANY + 1)))

    def test_what_is_in_quarantine_is_tried_again_under_its_new_name(self) -> None:
        self.old.box.append(Old("bad", letter(66)))
        self.old.refusals = {"bad": 2}
        self.carry()
        self.assertEqual([row.uidl for row in self.mail.ledger.quarantined()], ["bad"])
        self.rename()
        self.look()
        self.assertEqual(self.mail.ledger.quarantined(), [])
        self.assertEqual((self.stored()[-1], self.uidls()[-1]), (letter(66), f"v{MANY + 1}"))

    def test_mail_of_the_same_bytes_stays_as_many(self) -> None:
        self.old.box = [Old(f"s{n}", mail(1)) for n in range(5)]
        self.look()
        self.rename()
        self.old.box.append(Old("sixth", mail(1)))
        self.look()
        self.assertEqual(self.stored().count(mail(1)), 6)

    def test_mail_that_came_here_otherwise_is_no_legacy_mail(self) -> None:
        self.mail.append("INBOX", io.BytesIO(letter(50)), (), None)
        self.old.box.append(Old("u50", letter(50)))
        self.look()
        self.assertEqual(self.stored().count(letter(50)), 2)


class ChangingNames(RenamedTestCase):
    """A known defect: some servers make up new UIDLs for every session."""

    def sessions(self, count: int) -> list[int]:
        """How many messages each of so many sessions fetched."""
        fetched = []
        for session in range(count):
            self.rename(f"session {session} ")
            self.look()
            self.assert_untouched()
            fetched.append(len(self.fetched()))
        return fetched

    def test_cost_is_bounded(self) -> None:
        self.assertEqual(self.sessions(5), [MANY, 0, 0, 0, 0])
        self.assertEqual(self.old.headers, 4 * MANY)

    def test_without_top_one_message_is_compared(self) -> None:
        self.old.top = False
        self.assertEqual(self.sessions(5), [MANY, 1, 1, 1, 1])

    def test_what_is_new_is_fetched(self) -> None:
        self.sessions(2)
        self.old.box.append(Old("", letter(50)))
        self.rename("again ")
        self.look()
        self.assertEqual(len(self.fetched()), 1)
        self.assertEqual(self.stored()[-1], letter(50))

    def test_what_goes_there_stays_here(self) -> None:
        self.sessions(2)
        del self.old.box[3]
        self.sessions(2)

    def test_a_server_that_was_mended_is_believed_again(self) -> None:
        self.sessions(3)
        self.look()
        self.look()
        self.assertEqual(self.old.headers, 2 * MANY)
        self.assertFalse(self.mail.names.changing())
