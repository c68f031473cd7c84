"""Accounts that become final, and accounts that are no longer: who is asked, and with what."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from mailstore.accounts import PasswordState, State
from mailstore.finishing import Finish, Finishing
from proxy.legacy.errors import LegacyUnreachable
from proxy.wire.door import Refusal
from tests.proxy.login.login_rig import PASSWORD, LoginTestCase
from tests.proxy.migration.scripted import mail


class Opened(LoginTestCase):
    def final(self) -> None:
        """The account is here, and final."""
        self.old.add(1, 2)
        account = self.moved()
        Finishing(self.accounts._database).finish([Finish(account, "", account.password_hash)])

    def reopen(self) -> None:
        self.assertEqual(Finishing(self.accounts._database).reopen([self.account().id]), 1)

    def test_a_final_account_is_let_in_by_its_hash_alone(self) -> None:
        self.final()
        self.old.add(3)
        self.assertEqual(len(self.inbox(self.admitted())), 2)
        self.assert_refused(Refusal.WRONG, self.log_in(password=b"another"))
        self.assertEqual(self.legacy.asked, [])

    def test_opened_again_its_next_login_asks_at_once_and_seals_the_password_anew(self) -> None:
        self.final()
        self.reopen()
        self.old.add(3)
        home = self.admitted()
        self.assertEqual(self.legacy.asked, [("user@123.com", PASSWORD)])
        self.assertEqual(self.inbox(home), [mail(1), mail(2), mail(3)])
        account = self.account()
        assert account.sealed_password is not None
        self.assertEqual(self.sealer.open(account.name, account.sealed_password), PASSWORD)
        self.admitted()
        self.assertEqual(len(self.legacy.asked), 1)  # and from then on as often as any other

    def test_opened_again_it_lets_in_while_the_old_server_is_away(self) -> None:
        self.final()
        self.reopen()
        self.legacy.trouble = LegacyUnreachable("it is away")
        self.assertEqual(len(self.inbox(self.admitted())), 2)
        self.assertIsNone(self.account().sealed_password)

    def test_a_password_that_the_old_server_does_not_take_is_sent_there_once(self) -> None:
        self.final()
        self.legacy.passwords["user@123.com"] = b"another"
        self.reopen()
        self.admitted()
        self.admitted()
        self.assertEqual(len(self.legacy.asked), 1)
        self.assertIs(self.account().password_state, PasswordState.REJECTED)
        self.admitted(self.log_in(password=b"another"))
        self.assertIs(self.account().password_state, PasswordState.KNOWN)

    def test_what_was_never_here_waits_again_and_no_password_of_ours_lets_in(self) -> None:
        account = self.accounts.add("user", "123.com")
        Finishing(self.accounts._database).finish([Finish(account, "left behind", None)])
        self.assert_refused(Refusal.WRONG, self.log_in())
        self.accounts.password_hashed(account.id, "of an administrator")
        self.reopen()
        self.assertEqual((self.account().state, self.account().password_hash), (State.WAITING, None))
        self.old.add(1)
        self.assertEqual(len(self.inbox(self.admitted())), 1)

    def test_a_login_that_was_being_checked_when_the_account_became_final_leaves_it_a_hash(self) -> None:
        self.old.add(1)
        account = self.moved()
        self.legacy.passwords["user@123.com"] = b"another"
        answer: Deferred[None] = self.legacy.hold_answer()
        login = self.log_in(password=b"another")
        Finishing(self.accounts._database).finish([Finish(account, "", account.password_hash)])
        answer.callback(None)
        self.admitted(login)
        self.assertIs(self.account().state, State.FINAL)
        self.assertIsNone(self.account().sealed_password)
        self.assertIsNotNone(self.account().password_hash)
