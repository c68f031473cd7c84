"""Under which names an account's user may log in, and under which the legacy server is asked."""

from __future__ import annotations

from sqlalchemy import update

from mailstore.accounts import State
from mailstore.roster import Entry, Roster
from mailstore.schema import accounts
from proxy.login.known_as import FRESH
from proxy.wire.door import Refusal
from tests.proxy.login.login_rig import PASSWORD, LoginTestCase

USER = Entry("user", "123.com", aliases=(("boss", "123.com"), ("b.user", "123.com")), legacy_login="CORP\\u.ser")


class NamesCase(LoginTestCase):
    def enrol(self, *entries: Entry) -> None:
        Roster(self.accounts._database, lambda local, _domain: local).enrol(
            {entry.address: entry for entry in entries}, ("aliases", "legacy_login")
        )


class Aliases(NamesCase):
    def test_an_alias_logs_in_as_its_account(self) -> None:
        self.old.add(1)
        self.enrol(USER)
        for name in (b"boss@123.com", b"B.User", b"user"):
            home = self.admitted(self.log_in(name))
            self.assertEqual(home.account, "user@123.com")
        self.assertEqual(self.legacy.asked, [("user@123.com", PASSWORD)])
        self.assertEqual([account.name for account in self.accounts.list()], ["user@123.com"])

    def test_a_wrong_password_is_wrong_under_every_name_and_asked_for_once(self) -> None:
        self.enrol(USER)
        for number, name in enumerate((b"boss", b"user", b"b.user@123.com")):
            self.assert_refused(Refusal.WRONG, self.log_in(name, b"guess", peer=f"192.0.2.{number}"))
        self.assertEqual(self.legacy.asked, [("user@123.com", b"guess")])

    def test_an_account_counts_before_an_alias(self) -> None:
        self.enrol(USER)
        self.legacy.passwords["boss@123.com"] = b"the boss's own"
        self.accounts.add("boss", "123.com")
        home = self.admitted(self.log_in(b"boss", b"the boss's own"))
        self.assertEqual(home.account, "boss@123.com")


class ListedAliases(NamesCase):
    accounts_are = "listed"

    def test_only_names_of_accounts_that_are_listed(self) -> None:
        self.enrol(USER)
        self.admitted(self.log_in(b"boss"))
        self.assert_refused(Refusal.WRONG, self.log_in(b"stranger"))
        self.assertEqual(len(self.legacy.asked), 1)


class LegacyLogins(NamesCase):
    def test_what_it_is_called_there_is_a_name_here(self) -> None:
        self.old.add(1)
        self.enrol(USER)
        for name in (b"CORP\\u.ser", b"corp\\u.ser@123.com", b" corp\\U.SER"):
            self.assertEqual(self.admitted(self.log_in(name)).account, "user@123.com")
        self.assertIs(self.account().state, State.MOVED)
        self.assertEqual(len(list(self.accounts.list())), 1)

    def test_one_that_is_two_accounts_is_neither(self) -> None:
        self.enrol(Entry("a", "123.com", legacy_login="same"), Entry("b", "123.com", legacy_login="other"))
        with self.accounts._database.write() as connection:  # as an import of an earlier version let it be
            connection.execute(update(accounts).where(accounts.c.local == "b").values(legacy_login="SAME"))
        self.assert_refused(Refusal.WRONG, self.log_in(b"same"))
        self.assertEqual(self.legacy.asked, [("same@123.com", PASSWORD)])

    def test_a_list_that_is_imported_later_counts_soon(self) -> None:
        self.assert_refused(Refusal.WRONG, self.log_in(b"corp\\u.ser"))
        self.enrol(USER)
        self.clock.advance(FRESH + 60)
        self.admitted(self.log_in(b"corp\\u.ser"))
