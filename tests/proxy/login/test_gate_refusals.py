"""Who is refused, with which word, and how guesses are kept from the legacy server (invariants 5 and 10)."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred, succeed

from mailstore import secrets
from mailstore.accounts import State
from mailstore.custody import Note, Step, write_note
from mailstore.errors import StorageFailed
from proxy.legacy.errors import (
    LegacyBusy,
    LegacyProtocolError,
    LegacyTimeout,
    LegacyUnreachable,
    LoginNotPossible,
    MaildropInUse,
    ServerRefused,
    TlsFailed,
)
from proxy.login.throttle import (
    ACCOUNT_SLOW_AFTER,
    FAILURE_SECONDS,
    FAILURES,
    HELD_EACH,
    NETWORK_SLOW_AFTER,
    SLOW_AFTER,
    SLOWEST,
    WRONG_SECONDS,
)
from proxy.wire.door import Home, LoginRefused, Refusal
from proxy.wire.tally import THROTTLED
from tests.proxy.login.login_rig import PASSWORD, LoginTestCase

UNAVAILABLE = [
    LegacyUnreachable("reset"),
    LegacyTimeout("silent"),
    LegacyProtocolError("nonsense"),
    LegacyBusy("try later"),
    LoginNotPossible("POP3 is switched off"),
    TlsFailed("expired", "renew it"),
    ServerRefused("something else"),
]


class WhatTheLegacyServerSays(LoginTestCase):
    def test_wrong_is_said_when_it_says_so_and_nothing_is_kept(self) -> None:
        self.assert_refused(Refusal.WRONG, self.log_in(password=b"a guess"))
        self.assertEqual(list(self.accounts.list()), [])
        self.assertFalse((self.state / "mail").exists())

    def test_in_use_is_not_wrong(self) -> None:
        self.legacy.trouble = MaildropInUse("locked by another session")
        self.assert_refused(Refusal.IN_USE, self.log_in())

    def test_everything_else_is_temporary(self) -> None:
        for trouble in UNAVAILABLE:
            with self.subTest(trouble=type(trouble).__name__):
                self.legacy.trouble = trouble
                refusal, text = self.refused(self.log_in())
                self.assertIs(refusal, Refusal.UNAVAILABLE)
                self.assertNotIn(str(trouble), text)  # the legacy server's words are for the administrator
        self.assertEqual(list(self.accounts.list()), [])

    def test_the_administrator_reads_why(self) -> None:
        self.legacy.trouble = LoginNotPossible("POP3 is switched off")
        self.assert_refused(Refusal.UNAVAILABLE, self.log_in())
        self.assertIn("POP3 is switched off", repr(self.log.lines))

    def test_trouble_is_over_when_it_is_over(self) -> None:
        for trouble in (*UNAVAILABLE, MaildropInUse("locked")):  # none of these counts as a guess
            self.legacy.trouble = trouble
            self.refused(self.log_in())
        self.legacy.trouble = None
        self.admitted()


class Names(LoginTestCase):
    def test_another_domain_and_nonsense_are_wrong_and_nobody_is_asked(self) -> None:
        for name in (
            b"user@other.example",
            b"",
            b"@",
            b"@123.com",
            b"user@",
            b"\xff@123.com",
            b"a b",
            b"a\0b",
            b"x" * 65,
        ):
            with self.subTest(name=name):
                self.assert_refused(Refusal.WRONG, self.log_in(name, peer=repr(name)))
        self.assertEqual(self.legacy.asked, [])

    def test_a_name_that_is_none_takes_as_long_as_one_that_is(self) -> None:
        checked = []
        self.patch(secrets, "verify_password", lambda *arguments: checked.append(arguments))
        self.assert_refused(Refusal.WRONG, self.log_in(b"user@other.example"))
        self.assertEqual(len(checked), 1)


class ListedDomain(LoginTestCase):
    accounts_are = "listed"

    def test_who_is_not_listed_is_wrong_and_the_legacy_server_is_not_asked(self) -> None:
        self.assert_refused(Refusal.WRONG, self.log_in())
        self.assertEqual(self.legacy.asked, [])
        self.assertEqual(list(self.accounts.list()), [])

    def test_who_is_listed_comes_in(self) -> None:
        self.assertIs(self.accounts.add("user", "123.com").state, State.WAITING)
        self.admitted(self.log_in(b"USER"))
        self.assertIs(self.account().state, State.MOVED)

    def test_a_wrong_password_leaves_a_listed_account_waiting(self) -> None:
        self.accounts.add("user", "123.com")
        self.assert_refused(Refusal.WRONG, self.log_in(password=b"a guess"))
        self.assertIs(self.account().state, State.WAITING)


class States(LoginTestCase):
    def test_final_is_decided_here_alone(self) -> None:
        self.moved()
        self.set_state(State.FINAL)
        self.later = 3600
        self.admitted()
        self.assert_refused(Refusal.WRONG, self.log_in(password=b"a guess"))
        self.assertEqual(self.legacy.asked, [])

    def test_final_without_a_password_lets_nobody_in(self) -> None:
        self.accounts.add("user", "123.com")
        self.set_state(State.FINAL)
        self.assert_refused(Refusal.WRONG, self.log_in())
        self.assertEqual(self.legacy.asked, [])

    def test_blocked_needs_a_person_whatever_the_password(self) -> None:
        self.moved()
        self.set_state(State.BLOCKED)
        for password in (PASSWORD, b"a guess"):
            self.assert_refused(Refusal.BLOCKED, self.log_in(password=password))
        self.assertEqual(self.legacy.asked, [])

    def test_one_that_another_server_has_is_told_so(self) -> None:
        self.moved()
        self.set_state(State.BLOCKED)
        maildir = self.config.maildir_for("user", "123.com")
        write_note(maildir, Note(Step.GONE, 1, "final", ""))
        refusal, text = self.refused(self.log_in())
        self.assertIs(refusal, Refusal.UNAVAILABLE)
        self.assertEqual(text, "the mailbox has been handed over to another mail server")
        self.set_state(State.FINAL)  # whatever the database says
        self.assert_refused(Refusal.UNAVAILABLE, self.log_in())

    def test_an_account_blocked_while_its_login_waited_is_refused(self) -> None:
        answer = self.legacy.hold_answer()
        first, second = self.log_in(), self.log_in(password=b"a guess")
        self.accounts.add("user", "123.com")
        self.set_state(State.BLOCKED)
        answer.errback(LegacyUnreachable("down"))
        self.assert_refused(Refusal.UNAVAILABLE, first)
        self.assert_refused(Refusal.BLOCKED, second)
        self.assertEqual(len(self.legacy.asked), 1)

    def test_a_stored_hash_that_cannot_be_read_fits_nothing(self) -> None:
        self.moved()
        self.accounts._change(self.account().id, password_hash="damaged")
        self.admitted()  # the legacy server says yes, and the hash is made anew
        self.assertEqual(len(self.legacy.asked), 1)
        self.assertTrue(secrets.verify_password(self.account().password_hash or "", PASSWORD))

    def test_a_database_that_refuses_is_temporary(self) -> None:
        def broken(*_: object) -> None:
            raise StorageFailed("the database refused: database is locked")

        self.patch(self.accounts, "find", broken)
        self.assert_refused(Refusal.UNAVAILABLE, self.log_in())
        self.assertIn("login failed", self.log.events("error"))


class Guesses(LoginTestCase):
    def guess(self, number: int, peer: str | None = None) -> Deferred[Home]:
        return self.log_in(password=b"guess %d" % number, peer=peer or f"198.51.100.{number}")

    def test_the_same_wrong_password_is_asked_once_a_minute(self) -> None:
        for _ in range(3):
            self.assert_refused(Refusal.WRONG, self.log_in(password=b"a guess"))
        self.assertEqual(len(self.legacy.asked), 1)
        self.clock.advance(WRONG_SECONDS)
        self.assert_refused(Refusal.WRONG, self.log_in(password=b"a guess", peer="198.51.100.9"))
        self.assertEqual(len(self.legacy.asked), 2)

    def test_an_account_s_guesses_at_the_legacy_server_are_counted(self) -> None:
        for number in range(FAILURES):
            self.assert_refused(Refusal.WRONG, self.guess(number))
        self.assert_refused(Refusal.UNAVAILABLE, self.guess(99))  # not known to be wrong
        self.assert_refused(Refusal.WRONG, self.guess(FAILURES - 1))  # known
        self.assertEqual(len(self.legacy.asked), FAILURES)
        self.legacy.passwords["other@123.com"] = PASSWORD
        self.admitted(self.log_in(b"other"))
        self.clock.advance(FAILURE_SECONDS)
        self.admitted()

    def test_guesses_side_by_side_are_counted_too(self) -> None:
        answer = self.legacy.hold_answer()
        guesses = [self.guess(number) for number in range(3 * FAILURES)]
        answer.callback(None)
        self.clock.advance(SLOWEST)
        refused = [self.refused(guess)[0] for guess in guesses]
        self.assertEqual(refused.count(Refusal.WRONG), FAILURES)
        self.assertEqual(refused.count(Refusal.UNAVAILABLE), 2 * FAILURES)
        self.assertEqual(len(self.legacy.asked), FAILURES)

    def test_a_user_whose_password_is_known_here_is_not_locked_out_by_guesses(self) -> None:
        self.moved()
        for number in range(FAILURES + 1):
            self.refused(self.guess(number))
        self.admitted()

    def test_a_right_password_ends_the_counting(self) -> None:
        for number in range(FAILURES - 1):
            self.refused(self.guess(number))
        self.admitted()
        for number in range(FAILURES):
            self.assert_refused(Refusal.WRONG, self.guess(100 + number))

    def test_refusals_to_an_address_come_slower_and_slower(self) -> None:
        self.moved()
        for number in range(SLOW_AFTER + 1):
            self.assert_refused(Refusal.WRONG, self.guess(number, "192.0.2.9"))
        slow = self.guess(50, "192.0.2.9")
        self.assertNoResult(slow)
        self.clock.advance(0.9)
        self.assertNoResult(slow)
        self.clock.advance(0.1)
        self.assert_refused(Refusal.WRONG, slow)
        self.assert_refused(Refusal.WRONG, self.guess(51, "192.0.2.10"))  # another address is not to blame
        self.admitted(self.log_in(peer="192.0.2.9"))  # nor is a right password

    def test_a_guesser_that_leaves_during_the_delay(self) -> None:
        self.moved()
        for number in range(SLOW_AFTER + 1):
            self.refused(self.guess(number, "192.0.2.9"))
        slow = self.guess(50, "192.0.2.9")
        slow.cancel()
        self.failureResultOf(slow, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_trouble_slows_nobody_down(self) -> None:
        self.legacy.trouble = LegacyUnreachable("down")
        for number in range(ACCOUNT_SLOW_AFTER):
            self.assert_refused(Refusal.UNAVAILABLE, self.log_in())
            self.assert_refused(Refusal.UNAVAILABLE, self.log_in(b"user%d" % number))

    def test_trouble_gives_no_free_guesses_at_what_is_known_here(self) -> None:
        self.moved()
        self.legacy.trouble = LegacyUnreachable("down")
        for number in range(ACCOUNT_SLOW_AFTER + 1):
            self.assert_refused(Refusal.UNAVAILABLE, self.guess(number, f"10.{number}.0.1"))
        slow = self.guess(50, "10.50.0.1")
        self.assertNoResult(slow)
        self.admitted()
        self.clock.advance(1)
        self.assert_refused(Refusal.UNAVAILABLE, slow)

    def test_nor_does_the_end_of_the_questions(self) -> None:
        self.moved()
        for number in range(ACCOUNT_SLOW_AFTER + 1):
            self.refused(self.guess(number, f"10.{number}.0.1"))
        self.assertEqual(len(self.legacy.asked), FAILURES)
        slow = self.guess(50, "10.50.0.1")
        self.assertNoResult(slow)
        self.clock.advance(1)
        self.assert_refused(Refusal.UNAVAILABLE, slow)

    def test_many_addresses_of_one_network_are_slowed_as_one(self) -> None:
        self.moved()
        for number in range(NETWORK_SLOW_AFTER + 1):
            self.assert_refused(Refusal.WRONG, self.log_in(b"user%d" % number, b"guess", peer=f"198.51.100.{number}"))
        slow = self.log_in(b"user99", b"guess", peer="198.51.100.99")
        self.assertNoResult(slow)
        self.admitted(self.log_in(peer="198.51.100.100"))  # a right password is not to blame
        self.legacy.passwords["new@123.com"] = PASSWORD
        self.admitted(self.log_in(b"new", peer="198.51.100.101"))  # nor is one that is not known yet
        self.assertNoResult(slow)
        self.clock.advance(1)
        self.assert_refused(Refusal.WRONG, slow)

    def test_so_many_refusals_are_held_back_at_once_and_the_next_end_their_connections(self) -> None:
        self.moved()
        logins = [
            self.log_in(b"user%d" % (number // FAILURES), b"guess %d" % number, peer="192.0.2.9")
            for number in range(SLOW_AFTER + 1 + HELD_EACH + 5)
        ]
        held = [login for login in logins if not login.called]
        self.assertEqual(len(held), HELD_EACH)
        self.assertEqual(len(self.clock.getDelayedCalls()), HELD_EACH)
        self.admitted(self.log_in(peer="192.0.2.9"))
        logins.remove(held[-1])
        held[-1].cancel()
        self.failureResultOf(held[-1], CancelledError)
        another = self.log_in(b"another", b"guess", peer="192.0.2.9")  # in the place of who has left
        self.assertNoResult(another)
        self.clock.advance(SLOWEST)
        self.assert_refused(Refusal.WRONG, another)
        refused = [self.failureResultOf(login, LoginRefused).value for login in logins]
        self.assertEqual({each.refusal for each in refused}, {Refusal.WRONG})
        self.assertEqual(sum(each.ends for each in refused), 5)
        self.assertEqual(self.tally.counts[THROTTLED, "delayed"], HELD_EACH + 1)
        self.assertEqual(self.tally.counts[THROTTLED, "closed"], 5)

    def test_accounts_that_are_one_mailbox_there_have_its_questions_together(self) -> None:
        for number in range(3 * FAILURES):
            self.legacy.same[f"user{number}@123.com"] = "the same"
            self.refused(self.log_in(b"user%d" % number, b"guess %d" % number, peer=f"10.{number}.0.1"))
        self.assertEqual(len(self.legacy.asked), FAILURES)

    def test_a_password_is_hashed_once_in_ten_minutes(self) -> None:
        self.moved()
        checked: list[object] = []
        verify = secrets.verify_password

        def counted(stored: str, password: bytes) -> bool:
            checked.append(stored)
            return verify(stored, password)

        self.patch(secrets, "verify_password", counted)
        for _ in range(5):
            self.admitted()
        self.assertEqual(checked, [])
        self.clock.advance(601)
        self.admitted()
        self.admitted()
        self.assertEqual(len(checked), 1)


class OtherNodes(LoginTestCase):
    """What others have asked about counts here as well (`proxy.login.allotting.Ceiling`)."""

    def setUp(self) -> None:
        super().setUp()
        self.left, self.said = True, list[str]()
        self.gate._questions._asked = self

    async def may_ask(self, mailbox: str) -> bool:
        self.said.append(f"may {mailbox} be asked?")
        return self.left

    def said_no(self, mailbox: str) -> Deferred[None]:
        self.said.append(f"{mailbox} said no")
        return succeed(None)

    def said_yes(self, mailbox: str) -> Deferred[None]:
        self.said.append(f"{mailbox} said yes")
        return succeed(None)

    def test_they_hear_of_each_answer(self) -> None:
        self.assert_refused(Refusal.WRONG, self.log_in(password=b"a guess"))
        self.admitted()
        asked = "may user@123.com be asked?"
        self.assertEqual(self.said, [asked, "user@123.com said no", asked, "user@123.com said yes"])

    def test_where_they_have_asked_too_often_nobody_is_asked_here(self) -> None:
        self.left = False
        self.assert_refused(Refusal.UNAVAILABLE, self.log_in(password=b"a guess"))
        self.assertEqual(self.legacy.asked, [])
