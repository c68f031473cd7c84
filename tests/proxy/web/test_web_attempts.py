"""Logins that take their time: who gets an answer when, and what becomes of those that nobody asks about."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred

from mailstore.accounts import State
from proxy.legacy.errors import LegacyUnreachable
from proxy.login.asking import ask
from proxy.login.names import Name
from proxy.web.portal.arriving import EACH, FORGOTTEN, PATIENCE, Attempt, Attempts
from proxy.web.visit import Refused
from proxy.wire.door import Refusal, Secret
from tests.proxy.login.login_rig import PASSWORD, LoginTestCase, direct

USER = Name("user", "123.com")


class TakingTime(LoginTestCase):
    def setUp(self) -> None:
        super().setUp()
        web: Any = SimpleNamespace(accounts=self.accounts, gate=self.gate, reactor=self.clock, log=self.log)
        web.ask = lambda store, question, *about: ask(store, direct, question, *about)
        self.web = web
        self.attempts = Attempts(web)

    def begin(self, password: bytes = PASSWORD, name: Name = USER) -> tuple[str, Attempt]:
        return self.attempts.begin(name, Secret(password), "192.0.2.1")

    def decided(self, attempt: Attempt) -> bool:
        """As a page that waits for it."""
        waiting = Deferred.fromCoroutine(self.attempts.decided(attempt))
        self.clock.pump([0.1] * int(PATIENCE * 10 + 2))
        return self.successResultOf(waiting)

    def test_yes_is_known_before_the_mail_is_here(self) -> None:
        self.old.add(1, 2)
        self.old.held = {"u1": Deferred()}
        ticket, attempt = self.begin()
        self.assertTrue(self.decided(attempt))
        assert attempt.account is not None
        self.assertIs(attempt.account.state, State.MOVING)
        self.attempts.done(ticket)
        self.old.held["u1"].callback(None)
        self.assertIs(self.account().state, State.MOVED)

    def test_no_is_known_at_once(self) -> None:
        ticket, attempt = self.begin(b"a guess")
        self.assertTrue(self.decided(attempt))
        assert attempt.refused is not None
        self.assertIs(attempt.refused.refusal, Refusal.WRONG)
        self.attempts.done(ticket)
        self.assertIsNone(self.attempts.find(ticket))

    def test_what_takes_long_is_asked_about_again(self) -> None:
        answer = self.legacy.hold_answer()
        ticket, attempt = self.begin()
        self.assertFalse(self.decided(attempt))
        self.clock.advance(FORGOTTEN - 5)
        self.assertIs(self.attempts.find(ticket), attempt)
        self.clock.advance(FORGOTTEN - 5)
        answer.callback(None)
        self.assertTrue(self.decided(attempt))
        self.attempts.done(ticket)

    def test_what_nobody_asks_about_is_dropped(self) -> None:
        answer = self.legacy.hold_answer()
        ticket, attempt = self.begin()
        self.clock.advance(FORGOTTEN)
        self.assertIsNone(self.attempts.find(ticket))
        self.assertTrue(self.successResultOf(Deferred.fromCoroutine(attempt.look(self.web))))
        answer.errback(LegacyUnreachable("reset"))  # the question itself had been asked
        self.assertIsNone(self.accounts.find("user", "123.com"))

    def test_a_move_goes_on_whoever_asks_about_it(self) -> None:
        self.old.add(1)
        self.old.held = {"u1": Deferred()}
        ticket, _ = self.begin()
        self.clock.advance(FORGOTTEN)
        self.assertIsNone(self.attempts.find(ticket))
        self.old.held["u1"].callback(None)
        self.assertIs(self.account().state, State.MOVED)

    def test_so_many_from_one_address(self) -> None:
        answers = [self.legacy.hold_answer() for _ in range(EACH)]
        for number in range(EACH):
            self.begin(name=Name(f"user{number}", "123.com"))
        self.assertRaises(Refused, self.begin)
        self.attempts.begin(USER, Secret(b"a guess"), "192.0.2.2")
        self.clock.advance(FORGOTTEN)
        self.attempts.done(self.begin(b"a guess")[0])  # there is room again
        for answer in answers:
            answer.errback(LegacyUnreachable("reset"))

    def test_those_whose_mail_is_on_its_way_are_not_counted(self) -> None:
        """An office may be behind one address."""
        self.old.add(1)
        self.old.held = {"u1": Deferred()}
        for _ in range(EACH + 5):
            ticket, attempt = self.begin()
            self.assertTrue(self.successResultOf(Deferred.fromCoroutine(attempt.look(self.web))))
            self.attempts.done(ticket)
        self.old.held["u1"].callback(None)
