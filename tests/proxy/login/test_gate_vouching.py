"""Password checks for another program: the same as at a login, but nobody waits for mail, nor for long."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from mailstore.accounts import State
from mailstore.roster import Entry, Roster
from proxy.legacy.errors import LegacyUnreachable, LoginRejected, MaildropInUse
from proxy.login.hashes import AT_ONCE
from proxy.wire.door import Because, Credentials, LoginRefused, Refusal, Secret
from proxy.wire.tally import LOGINS
from tests.proxy.login.login_rig import PASSWORD, LoginTestCase

SECONDS = 8.0


class VouchingTestCase(LoginTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.old.add(1, 2)

    def ask(self, username: bytes = b"user", password: bytes = PASSWORD, *, peer: str = "192.0.2.1") -> Deferred[str]:
        credentials = Credentials(username, Secret(password), "submission", peer)
        return Deferred.fromCoroutine(self.gate.vouch(credentials, SECONDS))

    def vouched(self, asked: Deferred[str] | None = None) -> None:
        self.assertEqual(self.successResultOf(self.ask() if asked is None else asked), "user@123.com")

    def why_not(self, asked: Deferred[str]) -> tuple[Refusal, Because | None]:
        refused = self.failureResultOf(asked, LoginRefused).value
        return refused.refusal, refused.because

    def go_final(self) -> None:
        self.moved()
        self.set_state(State.FINAL)


class Waiting(VouchingTestCase):
    def test_it_is_the_first_login_and_the_move_is_not_waited_for(self) -> None:
        hold_up: Deferred[None] = Deferred()
        self.old.held = {"u2": hold_up}
        self.vouched()
        account = self.account()
        self.assertIs(account.state, State.MOVING)
        self.assertIsNotNone(account.password_hash)
        self.assertIsNotNone(account.last_login)
        login = self.log_in()
        self.assertNoResult(login)
        hold_up.callback(None)
        self.assertEqual(len(self.inbox(self.admitted(login))), 2)
        self.assertEqual(self.legacy.asked, [("user@123.com", PASSWORD)])

    def test_a_wrong_one_is_wrong_when_the_legacy_server_says_so(self) -> None:
        self.assertEqual(self.why_not(self.ask(password=b"guess")), (Refusal.WRONG, None))
        self.assertEqual(self.gate._tally.counts[LOGINS, "submission", "wrong", ""], 1)
        self.assertEqual(self.mover.recently.refusals("user@123.com")[0].protocol, "submission")

    def test_what_the_legacy_server_cannot_say_is_temporary(self) -> None:
        for trouble, because in ((LegacyUnreachable("down"), Because.DOWN), (MaildropInUse("locked"), None)):
            self.legacy.trouble = trouble
            refusal, found = self.why_not(self.ask())
            self.assertIn(refusal, {Refusal.UNAVAILABLE, Refusal.IN_USE})
            self.assertIs(found, because)

    def test_an_answer_that_does_not_come_is_not_waited_for_and_the_check_goes_on(self) -> None:
        answer = self.legacy.hold_answer()
        asked = self.ask()
        self.clock.advance(SECONDS - 0.1)
        self.assertNoResult(asked)
        self.clock.advance(0.1)
        self.assertEqual(self.why_not(asked), (Refusal.UNAVAILABLE, Because.BUSY))
        answer.callback(None)
        self.assertIs(self.account().state, State.MOVED)
        self.vouched()  # the next try is right at once
        self.assertEqual(len(self.legacy.asked), 1)

    def test_paused_is_temporary(self) -> None:
        self.queue.pause_domain("123.com", paused=True)
        self.assertEqual(self.why_not(self.ask()), (Refusal.UNAVAILABLE, Because.PAUSED))
        self.assertEqual(self.legacy.asked, [])

    def test_who_leaves_before_the_turn_is_not_asked_about(self) -> None:
        answer = self.legacy.hold_answer()
        first, second = self.ask(), self.ask(password=b"guess")
        second.cancel()
        self.failureResultOf(second, CancelledError)
        answer.callback(None)
        self.vouched(first)
        self.assertEqual(len(self.legacy.asked), 1)


class Moving(VouchingTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.hold_up: Deferred[None] = Deferred()
        self.old.held = {"u2": self.hold_up}
        self.login = self.log_in()
        self.assertNoResult(self.login)
        self.legacy.asked.clear()

    def finish(self) -> None:
        self.hold_up.callback(None)
        self.admitted(self.login)

    def test_who_is_held_can_send(self) -> None:
        self.vouched()
        self.assertEqual(self.legacy.asked, [])
        self.assertEqual(self.why_not(self.ask(password=b"guess")), (Refusal.WRONG, None))
        self.assertEqual(len(self.legacy.asked), 1)
        self.assertNoResult(self.login)
        self.finish()

    def test_a_move_that_broke_off_goes_on_and_is_not_waited_for(self) -> None:
        self.login.cancel()
        self.failureResultOf(self.login, CancelledError)
        self.mover.pause(self.account().id)
        self.hold_up.callback(None)
        self.assertIs(self.account().state, State.MOVING)
        self.assertIsNone(self.mover.moves.of(self.account().id))
        again: Deferred[None] = Deferred()
        self.old.held = {"u2": again}
        self.vouched()
        self.assertIsNotNone(self.mover.moves.of(self.account().id))
        again.callback(None)
        self.assertIs(self.account().state, State.MOVED)

    def test_one_that_cannot_go_on_now_keeps_nobody_from_sending(self) -> None:
        self.login.cancel()
        self.failureResultOf(self.login, CancelledError)
        self.mover.pause(self.account().id)
        self.hold_up.callback(None)
        self.legacy.trouble = LegacyUnreachable("down")
        self.vouched()
        self.legacy.trouble = LoginRejected("no")  # by the sealed password, in the background
        self.vouched()
        self.assertEqual(self.why_not(self.ask()), (Refusal.WRONG, None))  # from now on it is asked


class Here(VouchingTestCase):
    def test_moved_and_the_legacy_server_is_down(self) -> None:
        self.moved()
        self.legacy.trouble = LegacyUnreachable("down")
        self.vouched()
        self.assertEqual(self.why_not(self.ask(password=b"guess")), (Refusal.UNAVAILABLE, Because.DOWN))

    def test_final(self) -> None:
        self.go_final()
        self.legacy.trouble = LegacyUnreachable("gone")
        self.vouched()
        self.assertEqual(self.why_not(self.ask(password=b"guess")), (Refusal.WRONG, None))
        self.assertEqual(self.legacy.asked, [])

    def test_blocked(self) -> None:
        self.moved()
        self.set_state(State.BLOCKED)
        self.assertEqual(self.why_not(self.ask())[0], Refusal.BLOCKED)

    def test_an_alias_is_vouched_for_by_the_accounts_own_name(self) -> None:
        entry = Entry("user", "123.com", aliases=(("info", "123.com"),))
        Roster(self.accounts._database, lambda local, _domain: local).enrol({entry.address: entry}, ("aliases",))
        self.vouched(self.ask(b"info@123.com"))
        self.vouched(self.ask(b"USER@123.COM"))


class Guesses(VouchingTestCase):
    def test_they_count_with_those_at_other_protocols_and_come_no_later_than_may_be(self) -> None:
        self.go_final()
        for n in range(8):
            login = self.log_in(password=b"guess %d" % n)
            self.clock.pump([1.0] * 17)
            self.assert_refused(Refusal.WRONG, login)
        asked = self.ask(password=b"one more")
        self.clock.advance(SECONDS - 0.1)
        self.assertNoResult(asked)
        self.clock.advance(0.1)
        self.assertEqual(self.why_not(asked), (Refusal.WRONG, None))
        self.vouched()  # who is right waits for nothing

    def test_threads_are_left_to_mail_clients_and_nobody_is_hashed_for_who_has_gone(self) -> None:
        self.go_final()
        waiting: list[tuple[Deferred[bool], bool]] = []

        def in_thread(function: Callable[..., bool], *arguments: Any) -> Deferred[bool]:
            waiting.append((Deferred(), function(*arguments)))
            return waiting[-1][0]

        self.patch(self.gate._hashing, "_in_thread", in_thread)
        asked = [self.ask(password=b"guess %d" % n) for n in range(AT_ONCE + 2)]
        asked.append(self.ask(b"user@elsewhere.example"))
        self.assertEqual(len(waiting), AT_ONCE)
        login = self.log_in(password=b"another")
        self.assertEqual(len(waiting), AT_ONCE + 1)  # there is room for that one
        self.clock.advance(SECONDS)
        for each in asked:
            self.assertEqual(self.why_not(each), (Refusal.UNAVAILABLE, Because.BUSY))
        self.assertEqual(len(waiting), AT_ONCE + 1)
        right = self.ask()
        while waiting:
            deferred, fits = waiting.pop(0)
            deferred.callback(fits)
        self.vouched(right)
        self.clock.pump([1.0] * 17)
        self.assert_refused(Refusal.WRONG, login)
