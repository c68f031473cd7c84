"""What is behind a refusal, for whoever can tell people more than a protocol does."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from mailstore.accounts import State
from mailstore.errors import StorageFailed
from proxy.legacy.errors import LegacyBusy, LegacyTimeout, LegacyUnreachable, LoginNotPossible, MaildropInUse, TlsFailed
from proxy.login.throttle import FAILURES
from proxy.wire.door import Because, Home, LoginRefused, Refusal
from tests.proxy.login.login_rig import LoginTestCase

# What mail programs show, which know nothing but a text.
SAID = {
    Because.DOWN: "the old mail server does not answer, so the password cannot be checked; try again later",
    Because.BUSY: "the old mail server is busy; try again later",
    Because.NOT_POSSIBLE: "the old mail server does not let this account in; ask the administrator",
    Because.PAUSED: "the administrator has paused the move of this mailbox; try again later",
    Because.TOO_MANY: "too many wrong passwords for this account, try again later",
    Because.HELD: "your old mail is still being carried over",
    Because.BROKEN: "this mailbox cannot be stored here at the moment, which the administrator sees; try again later",
}


class WhatIsBehind(LoginTestCase):
    def because(self, login: Deferred[Home]) -> Because | None:
        """Which is what the text says, too."""
        refused: LoginRefused = self.failureResultOf(login, LoginRefused).value
        if refused.because is not None:
            self.assertIs(refused.refusal, Refusal.UNAVAILABLE)
            self.assertEqual(refused.text.partition(", 0 of")[0], SAID[refused.because])
            self.assertTrue(refused.text.isascii())
        return refused.because

    def test_the_legacy_server(self) -> None:
        for trouble, because in (
            (LegacyUnreachable("reset"), Because.DOWN),
            (LegacyTimeout("silent"), Because.DOWN),
            (TlsFailed("expired", "renew it"), Because.DOWN),
            (LegacyBusy("later"), Because.BUSY),
            (LoginNotPossible("off"), Because.NOT_POSSIBLE),
            (MaildropInUse("locked"), None),
        ):
            with self.subTest(trouble=type(trouble).__name__):
                self.legacy.trouble = trouble
                self.assertIs(self.because(self.log_in()), because)

    def test_wrong_and_blocked_say_all_there_is(self) -> None:
        self.assertIsNone(self.because(self.log_in(password=b"a guess")))
        self.moved()
        self.set_state(State.BLOCKED)
        self.assertIsNone(self.because(self.log_in()))

    def test_too_many_guesses(self) -> None:
        for number in range(FAILURES):
            self.log_in(password=b"guess %d" % number, peer=f"192.0.2.{number}").addErrback(lambda _refused: None)
        self.assertIs(self.because(self.log_in()), Because.TOO_MANY)

    def test_paused(self) -> None:
        self.patch(self.accounts, "is_paused", lambda _local, _domain: True)
        self.assertIs(self.because(self.log_in()), Because.PAUSED)

    def test_the_store(self) -> None:
        def fail(*_arguments: object) -> None:
            raise StorageFailed("the disk refused: no")

        self.patch(self.accounts, "find", fail)
        self.assertIs(self.because(self.log_in()), Because.BROKEN)

    def test_a_mailbox_that_takes_longer_than_anybody_waits(self) -> None:
        self.old.add(1)
        self.old.held = {"u1": Deferred()}
        login = self.log_in()
        self.let_pass(self.config.migration.hold_limit)
        self.assertIs(self.because(login), Because.HELD)
        self.old.held["u1"].callback(None)

    def test_a_server_that_says_nothing_for_as_long(self) -> None:
        answer = self.legacy.hold_answer()
        login = self.log_in()
        self.let_pass(self.config.migration.hold_limit)
        self.assertIs(self.because(login), Because.BUSY)
        if not answer.called:
            answer.callback(None)
