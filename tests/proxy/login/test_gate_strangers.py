"""Where only listed accounts come in: a stranger learns nothing of who is on the list, by words or by time."""

from __future__ import annotations

from dataclasses import dataclass

from twisted.internet.defer import Deferred

from mailstore import secrets
from mailstore.accounts import State
from proxy.legacy.errors import LegacyBusy, LegacyUnreachable, MaildropInUse
from proxy.login import questions
from proxy.login.throttle import FAILURES, STUBBORN
from proxy.wire.door import Because, Credentials, Hold, LoginRefused, Refusal, Secret
from tests.proxy.login.login_rig import PASSWORD, LoginTestCase


@dataclass
class Answer:
    """What a client sees and measures: when it comes, after how many hashes, and what it says."""

    seconds: float
    hashes: int
    refusal: Refusal
    because: Because | None
    text: str
    ends: bool


class Strangers(LoginTestCase):
    accounts_are = "listed"
    took = 0.0  # seconds that the legacy server takes

    def setUp(self) -> None:
        super().setUp()
        self.accounts.add("user", "123.com")
        self.hashes = 0
        self.addresses = 0
        verify = secrets.verify_password

        def counted(stored: str, password: bytes) -> bool:
            self.hashes += 1
            return verify(stored, password)

        self.patch(secrets, "verify_password", counted)
        opened = self.legacy.open

        async def after_a_while(*arguments: object) -> object:
            if self.took:
                answer = self.legacy.hold_answer()
                self.clock.callLater(self.took, answer.callback, None)
            return await opened(*arguments)  # type: ignore[arg-type]

        self.patch(self.legacy, "open", after_a_while)

    def asks(self, name: str, password: bytes = b"a guess") -> Answer:
        """Each time from elsewhere, so that nobody is slowed by what others did."""
        self.addresses += 1
        peer = f"10.{self.addresses // 250}.{self.addresses % 250}.1"
        began, hashed = self.clock.seconds(), self.hashes
        credentials = Credentials(name.encode(), Secret(password), "imap", peer)
        login = Deferred.fromCoroutine(self.gate.login(credentials, Hold()))
        while not login.called:
            self.clock.advance(0.5)
        refused: LoginRefused = self.failureResultOf(login, LoginRefused).value
        return Answer(
            self.clock.seconds() - began,
            self.hashes - hashed,
            refused.refusal,
            refused.because,
            refused.text,
            refused.ends,
        )

    def assert_alike(self, known: Answer, stranger: Answer, refusal: Refusal, seconds: float = 0.0) -> None:
        self.assertEqual(known, stranger)
        self.assertIs(known.refusal, refusal)
        self.assertEqual((known.seconds, known.hashes), (seconds, 1))

    def test_wrong_passwords_one_after_the_other_to_the_end_of_the_questions_and_beyond(self) -> None:
        self.took = 2.5
        for number in range(FAILURES + 15):
            known = self.asks("user", b"guess %d" % number)
            stranger = self.asks("nobody", b"guess %d" % number)
            refusal = Refusal.WRONG if number < FAILURES else Refusal.UNAVAILABLE
            self.assert_alike(known, stranger, refusal, known.seconds)
        self.assertEqual({name for name, _ in self.legacy.asked}, {"user@123.com"})

    def test_the_same_wrong_password_again(self) -> None:
        self.took = 2.5
        for seconds in (2.5, 0.0, 0.0):
            self.assert_alike(self.asks("user"), self.asks("nobody"), Refusal.WRONG, seconds)

    def test_the_old_server_goes_down_and_comes_back(self) -> None:
        for refusal, trouble, seconds in (
            (Refusal.WRONG, None, 1.0),
            (Refusal.UNAVAILABLE, LegacyUnreachable("reset"), 3.0),
            (Refusal.UNAVAILABLE, LegacyBusy("later"), 1.5),
            (Refusal.WRONG, None, 1.0),
        ):
            with self.subTest(trouble=trouble, seconds=seconds):
                self.legacy.trouble, self.took = trouble, seconds
                password = b"guess at %f" % self.clock.seconds()
                self.assert_alike(self.asks("user", password), self.asks("nobody", password), refusal, seconds)

    def test_a_trouble_of_one_account_is_no_stranger_s(self) -> None:
        self.asks("user", b"first guess")
        self.legacy.trouble = MaildropInUse("locked")
        self.assertIs(self.asks("user").refusal, Refusal.IN_USE)
        self.assertIs(self.asks("nobody").refusal, Refusal.WRONG)

    def test_a_domain_that_is_paused(self) -> None:
        self.queue.pause_domain("123.com", paused=True)
        self.assert_alike(self.asks("user"), self.asks("nobody"), Refusal.UNAVAILABLE)

    def test_a_moved_account(self) -> None:
        self.moved()
        self.took = 2.0
        self.assert_alike(self.asks("user"), self.asks("nobody"), Refusal.WRONG, 2.0)

    def test_a_domain_that_is_final_is_decided_here_with_and_without_a_hash(self) -> None:
        self.moved()
        self.set_state(State.FINAL)
        self.legacy.trouble, self.took = LegacyUnreachable("gone for good"), 5.0
        self.assert_alike(self.asks("user"), self.asks("nobody"), Refusal.WRONG)
        self.accounts._change(self.account().id, password_hash=None)
        self.assert_alike(self.asks("user"), self.asks("nobody"), Refusal.WRONG)

    def test_an_account_that_is_imported_later_is_no_stranger_any_more(self) -> None:
        for seconds in STUBBORN:
            self.asks("new", PASSWORD)
            self.clock.advance(seconds)
        self.asks("new", PASSWORD)
        self.accounts.add("new", "123.com")
        self.legacy.passwords["new@123.com"] = PASSWORD
        self.admitted(self.log_in(b"new"))

    def test_who_leaves_and_comes_back_waits_behind_the_question_of_before(self) -> None:
        self.took = 2.0
        self.asks("user")
        answers = []
        for name in ("user", "nobody"):
            left = self.log_in(name.encode(), b"first guess")
            left.cancel()
            self.failureResultOf(left)
            answers.append(self.asks(name, b"second guess"))
        self.assert_alike(*answers, Refusal.WRONG, 4.0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_flood_of_strangers_leaves_no_more_than_so_many_questions(self) -> None:
        self.patch(questions, "MOST", 3)
        self.took = 2.0
        self.asks("user")
        logins = [self.log_in(b"nobody%d" % number, b"first guess", peer=f"10.{number}.0.1") for number in range(5)]
        self.assertEqual([login.called for login in logins], [False] * 3 + [True] * 2)
        self.clock.advance(2)
        refused = [self.refused(login)[0] for login in logins]
        self.assertEqual(refused, [Refusal.WRONG] * 3 + [Refusal.UNAVAILABLE] * 2)

    def test_nothing_is_made_for_a_stranger(self) -> None:
        self.asks("nobody", PASSWORD)
        self.assertEqual([account.name for account in self.accounts.list()], ["user@123.com"])
        self.assertEqual(self.legacy.asked, [])
