"""The index was lost or damaged, and the ledger with it: what the legacy server lists again is known again."""

from __future__ import annotations

import io
from pathlib import Path
from unittest import mock

from mailstore.index.folders import INBOX_ID
from mailstore.index.rows import DELETED, StoreMode
from mailstore.mailhome import MailHome
from tests.mailstore import index_damage
from tests.mailstore.index_damage import Damage, table
from tests.proxy.migration.scripted import ALWAYS, DirectHome, MigrationTestCase, Old, mail

MANY = 300  # so many rows that a table has several pages


class AfterLoss(MigrationTestCase):
    def lose_index(self, damage: Damage) -> None:
        self.mail.close()
        damage(self.root)
        Path(self.root / "Maildir.db.suspect").touch()
        self.now += 1000
        self.reopen()

    def reopen(self) -> None:
        self.mail = self.open_mail()
        self.home = DirectHome(self.mail)
        self.old.fetched.clear()

    def assert_nothing_twice(self, expected: list[bytes]) -> None:
        self.assertEqual(sorted(self.stored()), sorted(expected))
        self.assertEqual(self.files("tmp"), [])
        self.assertEqual(len(self.files("cur")), len(expected))
        self.assertEqual(
            {entry.uid: entry.uidl for entry in self.mail.ledger.entries() if entry.outcome == "stored"},
            {row.uid: row.uidl for row in self.mail.maildrop()},
        )

    def test_every_kind_of_damage_and_a_refresh(self) -> None:
        self.old.add(*range(1, MANY + 1))
        self.carry()
        expected = self.stored()
        for damage in (
            index_damage.deleted,
            index_damage.header,
            index_damage.truncated,
            table("ledger"),
            table("ledger", leaves=True),
            table("messages"),
            table("messages", leaves=True),
            table("mailboxes"),
        ):
            with self.subTest(damage=damage.__name__):
                self.lose_index(damage)
                self.assertEqual(sorted(self.stored()), sorted(expected))
                sums = self.carry(first=False)
                self.assert_nothing_twice(expected)
                self.assertEqual(sorted(self.uidls()), sorted(f"u{n}" for n in range(1, MANY + 1)))
                self.assertEqual((sums.messages_done, sums.messages_total), (MANY, MANY))
                self.old.fetched.clear()
                self.carry(first=False)
                self.assertEqual(self.old.fetched, [])

    def test_a_salvaged_ledger_spares_the_legacy_server(self) -> None:
        self.old.add(*range(1, MANY + 1))
        self.carry()
        self.lose_index(table("messages"))
        self.old.add(MANY + 1)
        self.carry(first=False)
        self.assertEqual(self.old.fetched, [(f"u{MANY + 1}",)])

    def test_what_the_user_deleted_or_moved_stays_where_it_is(self) -> None:
        self.old.add(*range(1, MANY + 1))
        self.carry()
        self.mail.create("kept")
        self.mail.move(INBOX_ID, [3], "kept")
        self.mail.store_flags(INBOX_ID, [5], StoreMode.ADD, [DELETED])
        self.mail.expunge(INBOX_ID)
        expected = self.stored()
        self.lose_index(table("messages"))  # the ledger can be read
        self.carry(first=False)
        self.assert_nothing_twice(expected)
        self.lose_index(index_damage.deleted)  # nothing can: what was deleted for good is fetched once more
        self.carry(first=False)
        self.assert_nothing_twice([*expected, mail(5)])
        self.assertEqual(self.mail.status("kept").messages, 1)
        self.assertEqual(self.ledger()["u3"], "deleted")

    def test_messages_of_the_same_bytes_stay_as_many(self) -> None:
        self.old.box = [Old(f"u{n}", mail(1)) for n in range(1, 6)] + [Old(f"v{n}", mail(1, 20_000)) for n in range(3)]
        self.carry()
        expected = self.stored()
        self.lose_index(index_damage.deleted)
        self.old.box.append(Old("one more", mail(1)))
        self.carry(first=False)
        self.assert_nothing_twice([*expected, mail(1)])

    def test_an_interrupted_first_move_goes_on(self) -> None:
        self.old.add(*range(1, 11))
        self.old.breaks = {"u6": ALWAYS}
        self.old.no_way_in.extend([])
        self.carry()
        self.old.breaks.clear()
        self.lose_index(index_damage.deleted)
        self.carry()
        self.assert_nothing_twice([mail(n) for n in range(1, 11)])

    def test_a_server_without_uidl(self) -> None:
        self.old.add(1, 2, 3)
        for old in self.old.box:
            old.uidl = ""
        self.carry()
        self.lose_index(index_damage.deleted)
        self.carry(first=False)
        self.assertEqual(self.stored(), [mail(1), mail(2), mail(3)])

    def test_a_server_that_renames_everything_afterwards(self) -> None:
        """Rows that were made anew know no digests: the files here do."""
        self.old.add(*range(1, MANY + 1))
        self.carry()
        expected = self.stored()
        self.lose_index(table("ledger"))
        self.carry(first=False)
        for old in self.old.box:
            old.uidl = f"other {old.uidl}"
        self.carry(first=False)
        self.assertEqual(sorted(self.stored()), sorted(expected))
        self.assertEqual(len(self.files("cur")), len(expected))

    def test_or_has_one_name_for_all(self) -> None:
        self.old.add(*range(1, MANY + 1))
        self.carry()
        expected = self.stored()
        self.lose_index(table("ledger"))
        for old in self.old.box:
            old.uidl = "same"
        self.old.top = False
        for _ in range(2):
            self.carry(first=False)
            self.assertEqual(sorted(self.stored()), sorted(expected))

    def test_a_crash_after_the_message_was_known_again(self) -> None:
        """Its new file is still there, and has to go without being taken for one more message."""
        self.old.add(1, 2)
        self.carry()
        self.lose_index(index_damage.deleted)
        self.mail._work_off_pending = lambda: None  # type: ignore[method-assign]
        self.carry(first=False)
        self.mail.close()
        self.assertEqual(len(self.files("cur")), 4)
        self.reopen()
        self.mail.reconcile()
        self.assert_nothing_twice([mail(1), mail(2)])

    def test_mail_that_came_here_meanwhile_is_no_old_mail(self) -> None:
        self.old.add(1)
        self.carry()
        self.lose_index(index_damage.deleted)
        self.mail.append("INBOX", io.BytesIO(mail(9)), (), None)
        self.old.add(2)
        self.carry(first=False)
        self.assertEqual(self.stored(), [mail(1), mail(9), mail(2)])
        self.assertEqual(self.uidls()[0], "u1")

    def test_a_move_that_comes_before_the_first_look(self) -> None:
        """The disk was full at the opening: nothing of what is here is in the new index yet."""
        self.old.add(1, 2)
        self.carry()
        with mock.patch.object(MailHome, "reconcile", return_value=False):
            self.lose_index(index_damage.deleted)
        self.assertEqual(self.stored(), [])
        self.carry(first=False)
        self.assert_nothing_twice([mail(1), mail(2)])

    def test_a_message_whose_file_was_cut_is_fetched_again(self) -> None:
        self.old.add(1, 2)
        self.carry()
        self.mail.close()
        name = self.files("cur")[0]
        (self.root / "Maildir" / "cur" / name).write_bytes(b"cut")
        self.mail = self.open_mail()
        self.lose_index(index_damage.deleted)
        self.carry(first=False)
        self.assertEqual(sorted(self.stored()), sorted([b"cut", mail(1), mail(2)]))
