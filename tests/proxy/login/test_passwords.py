"""Passwords that are changed at the legacy server, and clients that do not know it yet."""

from __future__ import annotations

from collections import deque

from twisted.internet.defer import Deferred

from mailstore.accounts import PasswordState, State
from mailstore.secrets import verify_password
from proxy.legacy.errors import LegacyUnreachable
from proxy.login.throttle import FAILURES, SLOWEST, WRONG_SECONDS
from proxy.migration.pop3_source import CHANGED
from proxy.wire.door import Refusal
from tests.proxy.login.login_rig import PASSWORD, LoginTestCase
from tests.proxy.migration.scripted import mail

NEW = b"new password"
DAY = 24 * 3600


class PasswordTestCase(LoginTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.old.add(1)

    def change(self, password: bytes = NEW) -> None:
        """At the legacy server, by the user."""
        self.legacy.passwords["user@123.com"] = password

    def fits(self, password: bytes) -> bool:
        return verify_password(self.account().password_hash or "", password)

    def asked_for(self, password: bytes) -> int:
        """How often the legacy server was asked for it."""
        return sum(asked == password for _, asked in self.legacy.asked)

    def comes_in(self, password: bytes) -> None:
        self.admitted(self.log_in(password=password)).close()

    def is_wrong(self, password: bytes, peer: str = "192.0.2.7") -> None:
        login = self.log_in(password=password, peer=peer)
        self.let_pass(20)  # an answer to an address that fails again and again is held back
        self.assert_refused(Refusal.WRONG, login)

    def pass_refresh(self) -> None:
        """So much time goes by that the next login looks for what is new."""
        self.later = -301
        self.accounts.moved(self.account().id)
        self.later = 0
        self.clock.advance(301)


class Changed(PasswordTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.moved()
        self.change()

    def test_the_old_one_is_good_here_until_the_new_one_is_used(self) -> None:
        self.comes_in(PASSWORD)
        self.comes_in(NEW)
        self.is_wrong(PASSWORD)
        self.comes_in(NEW)
        self.assertTrue(self.fits(NEW))

    def test_the_new_one_is_sealed(self) -> None:
        self.comes_in(NEW)
        sealed = self.account().sealed_password
        assert sealed is not None
        self.assertEqual(self.sealer.open("user@123.com", sealed), NEW)

    def test_a_telephone_with_the_old_one_does_not_lock_the_account_there(self) -> None:
        """It looks for mail every five minutes, for a day; many servers lock an account after some wrong passwords
        within half an hour."""
        self.comes_in(NEW)
        asked = []
        for _ in range(DAY // 300):
            before = self.asked_for(PASSWORD)
            self.is_wrong(PASSWORD)
            asked.append(self.asked_for(PASSWORD) - before)
            self.comes_in(NEW)
            self.clock.advance(280)
        within = [sum(asked[at : at + 6]) for at in range(len(asked))]  # half an hour
        self.assertLessEqual(max(within), 3)
        self.assertLessEqual(sum(asked[6:]), 24)
        self.assertEqual(sum(asked[:1]), 1)

    def test_several_devices_with_the_old_one_are_like_one(self) -> None:
        self.comes_in(NEW)
        for device in range(10):
            self.is_wrong(PASSWORD, peer=f"192.0.2.{device}")
        self.assertLessEqual(self.asked_for(PASSWORD), 2)  # in three minutes

    def test_and_who_has_the_new_one_comes_in_all_the_time(self) -> None:
        self.comes_in(NEW)
        for guess in range(2 * FAILURES):
            login = self.log_in(password=b"guess %d" % guess, peer=f"192.0.2.{guess}")
            self.comes_in(NEW)
            self.clock.advance(SLOWEST)
            self.assertIn(self.refused(login)[0], {Refusal.WRONG, Refusal.UNAVAILABLE})
        self.assertLessEqual(len(self.legacy.asked), FAILURES + 2)

    def test_back_to_the_old_one(self) -> None:
        self.comes_in(NEW)
        self.is_wrong(PASSWORD)
        self.clock.advance(WRONG_SECONDS)
        self.change(PASSWORD)
        self.comes_in(PASSWORD)
        self.is_wrong(NEW)

    def test_back_to_the_old_one_that_was_wrong_for_long(self) -> None:
        """It is asked again at once when the legacy server has said no to the new one."""
        self.comes_in(NEW)
        for _ in range(3):
            self.is_wrong(PASSWORD)
            self.clock.advance(1200)
        self.change(PASSWORD)
        self.is_wrong(PASSWORD)  # remembered
        self.pass_refresh()
        self.comes_in(NEW)  # as long as nobody has told; this look for what is new does
        self.assertIn("no longer takes the password", self.account().reason)
        self.comes_in(PASSWORD)
        self.is_wrong(NEW)
        self.assertEqual(self.account().reason, "")

    def test_two_clients_with_different_ones_at_the_same_time(self) -> None:
        answer = self.legacy.hold_answer()
        old, new = self.log_in(), self.log_in(password=NEW)
        self.admitted(old).close()  # it needs no legacy server
        answer.callback(None)
        self.admitted(new).close()
        self.is_wrong(PASSWORD)

    def test_two_clients_neither_of_whom_fits(self) -> None:
        self.comes_in(NEW)
        self.change(b"third")
        answers = [self.legacy.hold_answer(), self.legacy.hold_answer()]
        old, third = self.log_in(), self.log_in(password=b"third")
        for answer in answers:
            answer.callback(None)
        self.assert_refused(Refusal.WRONG, old)
        self.admitted(third).close()

    def test_what_is_new_comes_with_the_new_one(self) -> None:
        self.old.add(2)
        self.pass_refresh()
        self.comes_in(PASSWORD)
        self.assertEqual(self.inbox(self.admitted()), [mail(1)])
        self.comes_in(NEW)
        self.assertEqual(self.inbox(self.admitted(self.log_in(password=NEW))), [mail(1), mail(2)])

    def test_a_mailbox_whose_password_is_no_longer_taken_is_moved_with_a_warning(self) -> None:
        self.pass_refresh()
        for _ in range(10):
            self.comes_in(PASSWORD)
            self.clock.advance(3600)
        account = self.account()
        self.assertIs(account.state, State.MOVED)
        self.assertTrue(account.reason)
        self.assertEqual(self.asked_for(PASSWORD), 1)

    def test_then_final(self) -> None:
        """What was good here last stays good, though the legacy server would say otherwise."""
        self.pass_refresh()
        self.comes_in(PASSWORD)
        self.set_state(State.FINAL)
        self.legacy.asked.clear()
        self.comes_in(PASSWORD)
        self.is_wrong(NEW)
        self.assertEqual(self.legacy.asked, [])

    def test_the_legacy_server_is_down_when_the_new_one_comes(self) -> None:
        self.legacy.trouble = LegacyUnreachable("down")
        self.assert_refused(Refusal.UNAVAILABLE, self.log_in(password=NEW))
        self.comes_in(PASSWORD)
        self.legacy.trouble = None
        self.comes_in(NEW)


class ChangedInTheMiddle(PasswordTestCase):
    """Of a first move."""

    def setUp(self) -> None:
        super().setUp()
        self.old.add(2, 3)
        self.old.breaks = {"u2": 1}

    def test_it_pauses_and_goes_on_with_the_new_one(self) -> None:
        login = self.log_in()
        self.change()
        self.let_pass(60)
        self.assert_refused(Refusal.UNAVAILABLE, login)
        account = self.account()
        self.assertIs(account.state, State.MOVING)
        self.assertIn(CHANGED, account.reason)
        self.assertEqual((account.password_state, account.due), (PasswordState.REJECTED, None))
        self.is_wrong(PASSWORD)
        self.assertEqual(self.inbox(self.admitted(self.log_in(password=NEW))), [mail(1), mail(2), mail(3)])
        self.assertEqual((self.account().state, self.account().reason), (State.MOVED, ""))
        self.assertEqual(sum("u1" in call for call in self.old.fetched), 1)  # what was here is not fetched again

    def test_clients_with_the_old_one_ask_for_it_seldom(self) -> None:
        login = self.log_in()
        self.change()
        self.let_pass(60)
        self.assert_refused(Refusal.UNAVAILABLE, login)
        self.legacy.asked.clear()
        for _ in range(60):
            self.is_wrong(PASSWORD)
            self.clock.advance(40)
        self.assertLessEqual(self.asked_for(PASSWORD), 3)

    def test_a_move_under_way_goes_on_with_the_new_one_as_soon_as_it_is_known(self) -> None:
        hold_up: Deferred[None] = Deferred()
        self.old.held = {"u2": hold_up}
        first = self.log_in()
        self.change()
        second = self.log_in(password=NEW)
        hold_up.callback(None)  # and the connection breaks
        self.let_pass(60)
        self.assertEqual(len(self.inbox(self.admitted(first))), 3)
        self.assertEqual(len(self.inbox(self.admitted(second))), 3)
        self.assertEqual([password for _, password in self.legacy.asked], [PASSWORD, NEW, NEW])
        self.assertEqual(self.mover._passwords, {})

    def test_a_connection_that_is_refused_otherwise_says_nothing_of_passwords(self) -> None:
        login = self.log_in()
        self.legacy.trouble = LegacyUnreachable("down")
        self.let_pass(60)
        self.assert_refused(Refusal.UNAVAILABLE, login)
        self.assertNotIn("password", self.account().reason)

    def test_answers_in_the_wrong_order(self) -> None:
        """The old password's answer, which says yes, comes when it is not right any more."""
        self.old.breaks = {}
        answer = self.legacy.hold_answer()
        self.legacy.answers = deque([answer])
        first, second = self.log_in(), self.log_in(password=NEW)
        answer.callback(None)
        self.admitted(first).close()
        self.assert_refused(Refusal.WRONG, second)
        self.change()
        self.clock.advance(WRONG_SECONDS)
        self.comes_in(NEW)
