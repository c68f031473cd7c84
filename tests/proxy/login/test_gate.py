"""Who is let in, when, and with what: first logins, those that join them, and later ones."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred

from mailstore.accounts import State
from mailstore.errors import StorageFailed
from mailstore.leases import Lease
from mailstore.mailhome import MailHome
from mailstore.secrets import verify_password
from proxy.legacy.errors import LegacyUnreachable, MaildropInUse
from proxy.login import homes
from proxy.login.leasing import Tenure
from proxy.login.names import Name
from proxy.wire.door import Hold, Home, Refusal
from tests.proxy.login.login_rig import PASSWORD, LoginTestCase
from tests.proxy.migration.scripted import ALWAYS, mail


class FirstLogin(LoginTestCase):
    def test_the_old_mailbox_is_here_and_the_password_is_kept(self) -> None:
        self.old.add(1, 2)
        home = self.admitted()
        self.assertEqual(self.inbox(home), [mail(1), mail(2)])
        self.assertEqual(home.account, "user@123.com")
        account = self.account()
        self.assertIs(account.state, State.MOVED)
        self.assertEqual((account.messages_done, account.messages_total), (2, 2))
        self.assertIsNotNone(account.last_login)
        assert account.password_hash is not None and account.sealed_password is not None
        self.assertTrue(verify_password(account.password_hash, PASSWORD))
        self.assertEqual(self.sealer.open("user@123.com", account.sealed_password), PASSWORD)

    def test_the_connection_that_checked_the_password_goes_on_to_pull(self) -> None:
        self.old.add(1)
        self.admitted()
        self.assertEqual(self.legacy.asked, [("user@123.com", PASSWORD)])
        self.assertEqual((len(self.old.sources), self.old.sources[0].closed), (1, True))

    def test_nobody_is_let_in_before_all_is_here(self) -> None:
        self.old.add(1, 2)
        self.old.held = {"u2": Deferred()}
        hold = Hold()
        login = self.log_in(hold=hold)
        self.assertNoResult(login)
        self.assertEqual((hold.accepted, hold.done, hold.total), (True, 0, 2))
        self.assertIs(self.account().state, State.MOVING)
        self.old.held["u2"].callback(None)
        self.assertEqual(len(self.inbox(self.admitted(login))), 2)

    def test_hold_says_nothing_before_the_legacy_server_has_said_yes(self) -> None:
        answer = self.legacy.hold_answer()
        hold = Hold()
        login = self.log_in(hold=hold)
        self.assertFalse(hold.accepted)
        answer.callback(None)
        self.assertTrue(hold.accepted)
        self.admitted(login)

    def test_names_in_any_case_with_and_without_domain_are_one_account(self) -> None:
        for name in (b"user@123.com", b"User@123.COM", b"USER", b"user", b"user@123.com."):
            self.admitted(self.log_in(name)).close()
        self.assertEqual(len(self.legacy.asked), 1)
        self.assertEqual([account.name for account in self.accounts.list()], ["user@123.com"])

    def test_messages_in_quarantine_are_told_to_the_administrator(self) -> None:
        self.old.add(1, 2)
        self.old.refusals = {"u2": ALWAYS}
        self.admitted()
        self.assertIs(self.account().state, State.MOVED)
        self.assertIn("1 message could", self.account().reason)


class Together(LoginTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.old.add(1, 2)
        self.hold_up: Deferred[None] = Deferred()
        self.old.held = {"u2": self.hold_up}

    def test_two_first_logins_share_one_check_and_one_move(self) -> None:
        answer = self.legacy.hold_answer()
        first, second = self.log_in(), self.log_in()
        answer.callback(None)
        self.assertNoResult(first)
        self.assertNoResult(second)
        self.hold_up.callback(None)
        for login in (first, second):
            self.assertEqual(len(self.inbox(self.admitted(login))), 2)
        self.assertEqual((len(self.legacy.asked), len(self.old.sources)), (1, 1))

    def test_a_wrong_password_beside_the_right_one(self) -> None:
        answer = self.legacy.hold_answer()
        right, wrong = self.log_in(), self.log_in(password=b"a guess")
        answer.callback(None)
        self.assert_refused(Refusal.WRONG, wrong)
        self.hold_up.callback(None)
        self.admitted(right)
        self.assertEqual(len(self.old.sources), 1)

    def test_the_right_password_behind_a_wrong_one(self) -> None:
        answer = self.legacy.hold_answer()
        wrong, right = self.log_in(password=b"a guess"), self.log_in()
        answer.callback(None)
        self.assert_refused(Refusal.WRONG, wrong)
        self.hold_up.callback(None)
        self.admitted(right)

    def test_a_wrong_password_while_the_legacy_mailbox_is_locked_by_our_own_move(self) -> None:
        right = self.log_in()
        self.legacy.trouble = MaildropInUse("locked")
        self.assert_refused(Refusal.IN_USE, self.log_in(password=b"a guess"))
        self.hold_up.callback(None)
        self.admitted(right)

    def test_another_password_that_the_legacy_server_takes_joins_the_move(self) -> None:
        first = self.log_in()
        self.legacy.passwords["user@123.com"] = b"new password"
        second = self.log_in(password=b"new password")
        self.assertNoResult(second)
        self.assertTrue(self.old.sources[1].over)  # the move has its own connection
        self.hold_up.callback(None)
        self.admitted(first)
        self.admitted(second)
        self.assertTrue(verify_password(self.account().password_hash or "", b"new password"))

    def test_a_client_that_leaves_while_held_stops_nothing(self) -> None:
        login = self.log_in()
        login.cancel()
        self.failureResultOf(login, CancelledError)
        self.hold_up.callback(None)
        self.assertIs(self.account().state, State.MOVED)
        self.assertEqual(self.homes._open, {})
        self.assertEqual(len(self.legacy.asked), 1)

    def test_a_client_that_leaves_during_the_check_stops_nothing(self) -> None:
        answer = self.legacy.hold_answer()
        login = self.log_in()
        login.cancel()
        self.failureResultOf(login, CancelledError)
        answer.callback(None)
        self.assertIs(self.account().state, State.MOVING)
        self.hold_up.callback(None)
        self.assertIs(self.account().state, State.MOVED)

    def test_the_password_of_a_client_that_leaves_before_its_turn_is_not_asked(self) -> None:
        answer = self.legacy.hold_answer()
        first, second, third = self.log_in(), self.log_in(password=b"guess"), self.log_in()
        second.cancel()
        self.failureResultOf(second, CancelledError)
        answer.callback(None)
        self.hold_up.callback(None)
        self.admitted(first)
        self.admitted(third)
        self.assertEqual(self.legacy.asked, [("user@123.com", PASSWORD)])

    def test_the_first_of_two_leaves_and_the_other_is_let_in(self) -> None:
        self.leaves_and_the_other_is_let_in(0)

    def test_the_second_of_two_leaves_and_the_other_is_let_in(self) -> None:
        self.leaves_and_the_other_is_let_in(1)

    def leaves_and_the_other_is_let_in(self, leaver: int) -> None:
        logins = [self.log_in(), self.log_in()]
        leaving = logins.pop(leaver)
        leaving.cancel()
        self.failureResultOf(leaving, CancelledError)
        self.assertNoResult(logins[0])
        self.hold_up.callback(None)
        self.admitted(logins[0])


class HoldLimit(LoginTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.old.add(1, 2)

    def test_past_it_the_login_is_refused_as_temporary_and_the_next_one_joins(self) -> None:
        hold_up: Deferred[None] = Deferred()
        self.old.held = {"u2": hold_up}
        login = self.log_in()
        self.clock.advance(1199)
        self.assertNoResult(login)
        self.clock.advance(1)
        refusal, text = self.refused(login)
        self.assertIs(refusal, Refusal.UNAVAILABLE)
        self.assertIn("0 of 2 messages", text)
        again = self.log_in()
        self.assertNoResult(again)
        hold_up.callback(None)
        self.admitted(again)
        self.assertEqual(len(self.legacy.asked), 1)

    def test_it_covers_the_wait_for_a_legacy_connection_too(self) -> None:
        answer = self.legacy.hold_answer()
        login = self.log_in()
        self.clock.advance(1200)
        self.assert_refused(Refusal.UNAVAILABLE, login)
        answer.callback(None)  # what was begun goes on
        self.assertIs(self.account().state, State.MOVED)

    def test_it_is_over_when_the_mailbox_is_here(self) -> None:
        self.admitted()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class LaterLogin(LoginTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.old.add(1)
        self.moved()

    def test_it_needs_nobody_else(self) -> None:
        self.legacy.trouble = LegacyUnreachable("down")
        self.assertEqual(self.inbox(self.admitted()), [mail(1)])
        self.assertEqual(self.legacy.asked, [])

    def test_also_after_a_restart_with_the_legacy_server_down(self) -> None:
        self.restart()
        self.legacy.trouble = LegacyUnreachable("down")
        self.later = -3600  # so that looking for what is new is due
        self.accounts.moved(self.account().id)
        self.assertEqual(self.inbox(self.admitted()), [mail(1)])
        self.assertEqual(self.inbox(self.admitted()), [mail(1)])
        self.assertEqual(len(self.legacy.asked), 1)
        self.assertIn("nothing new fetched", self.log.events("warning"))

    def test_a_legacy_server_that_never_answers_holds_nobody_up(self) -> None:
        self.later = -3600
        self.accounts.moved(self.account().id)
        silence = self.legacy.hold_answer()
        for _ in range(3):
            self.admitted()
        self.assertEqual(len(self.legacy.asked), 1)
        silence.errback(LegacyUnreachable("at last"))

    def test_a_password_changed_at_the_legacy_server_is_taken_over(self) -> None:
        self.legacy.passwords["user@123.com"] = b"new password"
        self.old.add(2)
        home = self.admitted(self.log_in(password=b"new password"))
        self.assertEqual(self.inbox(home), [mail(1), mail(2)])  # the connection goes on to look for what is new
        self.assertTrue(verify_password(self.account().password_hash or "", b"new password"))
        self.assert_refused(Refusal.WRONG, self.log_in())

    def test_a_wrong_password_is_the_legacy_server_s_to_refuse(self) -> None:
        self.assert_refused(Refusal.WRONG, self.log_in(password=b"a guess"))
        self.legacy.trouble = LegacyUnreachable("down")
        self.assert_refused(Refusal.UNAVAILABLE, self.log_in(password=b"another guess"))

    def test_with_a_new_password_nobody_waits_for_what_is_new(self) -> None:
        self.legacy.passwords["user@123.com"] = b"new password"
        self.old.add(2)
        self.old.held = {"u2": Deferred()}
        self.assertEqual(self.inbox(self.admitted(self.log_in(password=b"new password"))), [mail(1)])
        self.old.held["u2"].callback(None)


class TroubleInTheMove(LoginTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.old.add(1, 2, 3)

    def test_a_legacy_server_that_goes_away_for_good(self) -> None:
        self.old.breaks = {"u2": 1}
        login = self.log_in()
        self.legacy.trouble = LegacyUnreachable("connection refused")
        self.let_pass(60)
        self.assert_refused(Refusal.UNAVAILABLE, login)
        account = self.account()
        self.assertIs(account.state, State.MOVING)
        self.assertTrue(account.reason.startswith("connection refused; "), account.reason)
        self.assert_refused(Refusal.UNAVAILABLE, self.log_in())
        self.legacy.trouble = None
        self.assertEqual(self.inbox(self.admitted()), [mail(1), mail(2), mail(3)])
        self.assertEqual(self.account().reason, "")

    def test_the_password_is_changed_in_the_middle(self) -> None:
        self.old.breaks = {"u2": 1}
        login = self.log_in()
        self.legacy.passwords["user@123.com"] = b"new password"
        self.let_pass(60)
        self.assert_refused(Refusal.UNAVAILABLE, login)
        self.assert_refused(Refusal.WRONG, self.log_in())  # the legacy server says so
        self.assertEqual(len(self.inbox(self.admitted(self.log_in(password=b"new password")))), 3)

    def test_a_connection_that_is_replaced_is_not_noticed(self) -> None:
        self.old.breaks = {"u2": 1}
        login = self.log_in()
        self.let_pass(10)
        self.assertEqual(len(self.inbox(self.admitted(login))), 3)
        self.assertEqual(self.old.openings, 1)

    def test_a_full_disk_leaves_the_account_moving_and_the_next_login_goes_on(self) -> None:
        def full(*_: object) -> None:
            raise StorageFailed("the disk refused: No space left on device")

        patch = self.patch(MailHome, "maildir", property(full))
        self.assert_refused(Refusal.UNAVAILABLE, self.log_in())
        patch.restore()
        self.assertIs(self.account().state, State.MOVING)
        self.assertIn("No space left", self.account().reason)
        self.assertEqual(len(self.inbox(self.admitted())), 3)

    def test_a_home_that_cannot_be_opened(self) -> None:
        def broken(*_: object, **__: object) -> None:
            raise StorageFailed("the database refused: disk I/O error")

        patch = self.patch(homes, "MailHome", broken)
        self.assert_refused(Refusal.UNAVAILABLE, self.log_in())
        self.assertTrue(self.old.sources[0].over)
        patch.restore()
        self.assertEqual(len(self.inbox(self.admitted())), 3)

    def test_a_login_that_cannot_be_noted_is_a_login(self) -> None:
        def broken(*_: object) -> None:
            raise StorageFailed("the database refused: database or disk is full")

        self.patch(self.accounts, "logged_in", broken)
        self.assertEqual(len(self.inbox(self.admitted())), 3)
        self.assertIn("login not noted", self.log.events("error"))

    def test_an_error_that_nobody_foresaw_leaks_nothing(self) -> None:
        def bug(*_: object) -> None:
            raise ZeroDivisionError

        patch = self.patch(MailHome, "maildir", property(bug))
        self.failureResultOf(self.log_in(), ZeroDivisionError)
        patch.restore()
        self.assertEqual(self.homes._open, {})
        self.assertIn("unexpected", self.log.events("error"))
        self.log.lines.clear()
        self.assertEqual(len(self.inbox(self.admitted())), 3)

    def test_a_client_that_leaves_while_its_home_is_opened(self) -> None:
        self.admitted().close()
        opening: Deferred[Home] = Deferred()
        self.patch(self.accounts, "logged_in", lambda _account: opening)
        login = self.log_in()
        login.cancel()
        self.failureResultOf(login, CancelledError)
        self.assertEqual(self.homes._open, {})

    def test_a_move_that_is_stopped_refuses_as_temporary(self) -> None:
        self.old.held = {"u2": Deferred()}
        login = self.log_in()
        self.successResultOf(Deferred.fromCoroutine(self.mover.stop()))
        self.assert_refused(Refusal.UNAVAILABLE, login)
        self.assertEqual(self.account().reason, "")
        self.assertIs(self.account().state, State.MOVING)

    def test_no_move_is_started_when_the_daemon_stops(self) -> None:
        answer = self.legacy.hold_answer()
        login = self.log_in()
        self.successResultOf(Deferred.fromCoroutine(self.mover.stop()))
        answer.callback(None)
        self.assert_refused(Refusal.UNAVAILABLE, login)
        self.assertEqual(self.homes._open, {})
        self.assertIs(self.account().state, State.MOVING)


class JustNowElsewhere(LoginTestCase):
    def test_what_another_node_has_found_out_is_not_asked_again(self) -> None:
        """It had the account when this login looked at it, and let go of it before this one took it."""
        self.old.add(1, 2)
        self.admitted().close()
        before = self.account()
        self.accounts._change(before.id, password_hash=None)
        left: list[None] = []

        async def take(name: Name) -> Tenure:
            self.accounts._change(before.id, password_hash=before.password_hash)
            return Tenure(name, Lease(1), lambda: left.append(None))

        self.patch(self.mover.leasing, "take", take)
        self.assertEqual(len(self.inbox(self.admitted())), 2)
        self.assertEqual(len(self.legacy.asked), 1)
        self.assertEqual(len(left), 1)
