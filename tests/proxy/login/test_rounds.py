"""What happens in the background: retries, rounds, what an administrator asks for and pauses. Played on a clock."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from mailstore import secrets
from mailstore.accounts import Account, PasswordState, State
from mailstore.errors import StorageFailed
from mailstore.secrets import Sealer, verify_password
from proxy.legacy.errors import LegacyBusy, LegacyUnreachable, MaildropInUse
from proxy.login import rounds
from proxy.login.legacy import HostBusy
from proxy.migration import pauses, pull
from proxy.wire.door import Refusal
from tests.proxy.login.login_rig import PASSWORD, LoginTestCase, cause
from tests.proxy.migration.scripted import ALWAYS, mail

ROUND = 21_600


class Background(LoginTestCase):
    """The daemon has been started; `later` is the time of day, and the clock goes with it."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(pull, "BATCH_SECONDS", 0.0)
        self.patch(pauses, "PAUSES", ())
        self.old.add(1, 2, 3)

    def mover_time(self) -> float:
        return self.time()

    def pass_time(self, seconds: float, step: float = 1.0) -> None:
        left = seconds
        while left > 0:
            self.later += min(step, left)
            self.clock.advance(min(step, left))
            left -= step

    def seal(self, name: str, password: bytes = PASSWORD) -> Account:
        """An account whose password an administrator gave."""
        local, _, domain = name.partition("@")
        account = self.accounts.add(local, domain)
        self.accounts.password_given(account.id, self.sealer.seal(account.name, password))
        return self.account(name)

    def waits(self) -> float:
        """Seconds until the account is due."""
        due = self.account().due
        assert due is not None
        return due - self.time()

    def interrupt(self) -> None:
        """A first login whose legacy server broke off."""
        self.old.breaks = {"u2": ALWAYS}
        self.assert_refused(Refusal.UNAVAILABLE, self.log_in())
        self.old.breaks = {}
        self.assertIs(self.account().state, State.MOVING)
        self.legacy.asked.clear()


class Retries(Background):
    def test_an_interrupted_move_goes_on_by_itself_after_a_minute_or_so(self) -> None:
        self.background()
        self.interrupt()
        self.assertTrue(40 < self.waits() < 80, self.waits())
        self.pass_time(35)
        self.assertEqual(self.legacy.asked, [])
        self.pass_time(50)
        self.assertIs(self.account().state, State.MOVED)
        self.assertEqual(len(self.legacy.asked), 1)
        self.assertEqual((self.account().tries, self.account().reason), (0, ""))

    def test_ever_more_seldom_down_to_once_an_hour(self) -> None:
        self.background()
        self.interrupt()
        self.legacy.trouble = LegacyUnreachable("connection refused")
        seen = []
        for _ in range(9):
            tries = self.account().tries
            while self.account().tries == tries:
                self.pass_time(20, 20)
            seen.append(self.waits())
        for wait, usual in zip(seen, (120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600), strict=True):
            self.assertTrue(0.7 * usual < wait < 1.3 * usual, (wait, usual))
        account = self.account()
        self.assertEqual((account.state, cause(account)), (State.MOVING, "connection refused"))

    def test_the_store_fails_and_works_again(self) -> None:
        self.background()
        self.interrupt()

        async def full(*_: object) -> None:
            raise StorageFailed("the disk refused: no space left on device")

        patch = self.patch(self.homes, "open", full)
        self.pass_time(90)
        self.assertIn("no space left", self.account().reason)
        patch.restore()
        self.pass_time(400)
        self.assertIs(self.account().state, State.MOVED)

    def test_a_defect_of_ours_loses_nobody(self) -> None:
        self.background()
        self.interrupt()
        patch = self.patch(self.legacy, "open", lambda *_: 1 / 0)
        self.pass_time(90)
        self.assertIn("something unexpected", self.account().reason)
        self.log.lines = [line for line in self.log.lines if line[1] != "unexpected"]
        patch.restore()
        self.pass_time(400)
        self.assertIs(self.account().state, State.MOVED)

    def test_a_password_that_is_refused_is_sent_once(self) -> None:
        """Attempts that fail are counted there, and lock out whoever has the new one."""
        self.background()
        self.interrupt()
        self.legacy.passwords["user@123.com"] = b"n3w-one"
        self.pass_time(86_400, 30)
        self.assertEqual(len(self.legacy.asked), 1)
        account = self.account()
        self.assertEqual((account.state, account.due), (State.MOVING, None))
        self.assertIs(account.password_state, PasswordState.REJECTED)
        self.assertIn("has to log in once with the new one", account.reason)
        self.restart()
        self.background()
        self.pass_time(86_400, 30)
        self.assertEqual(len(self.legacy.asked), 1)
        self.admitted(self.log_in(password=b"n3w-one"))
        self.assertEqual((self.account().state, self.account().reason), (State.MOVED, ""))

    def test_a_password_that_is_refused_when_a_lost_connection_is_replaced_is_sent_once_too(self) -> None:
        self.patch(pauses, "PAUSES", (1.0,))
        self.background()
        self.old.breaks = {"u2": 1}
        login = self.log_in()
        self.legacy.passwords["user@123.com"] = b"n3w-one"
        self.pass_time(2)
        self.assert_refused(Refusal.UNAVAILABLE, login)
        self.pass_time(86_400, 30)
        self.assertEqual([password for _, password in self.legacy.asked], [PASSWORD, PASSWORD])
        self.assertEqual((self.account().state, self.account().due), (State.MOVING, None))
        self.admitted(self.log_in(password=b"n3w-one"))

    def test_after_a_crash_right_behind_the_password_s_acceptance(self) -> None:
        self.accounts.admit("user", "123.com", self.sealer.seal("user@123.com", PASSWORD), "hash")
        self.background()
        self.assertIs(self.account().state, State.MOVED)

    def test_a_server_that_wants_time_between_logins_gets_it(self) -> None:
        self.background()
        self.interrupt()
        self.legacy.hosts[0].login_delay = 900
        self.legacy.trouble = LegacyBusy("[LOGIN-DELAY] not yet", "LOGIN-DELAY")
        self.pass_time(90)
        self.assertTrue(self.waits() > 800, self.waits())


class LooksAtWhatIsNew(Background):
    def test_each_round_brings_what_arrived(self) -> None:
        self.background()
        self.moved()
        self.assertTrue(0.9 * ROUND - 1 <= self.waits() <= 1.1 * ROUND, self.waits())
        self.old.add(4)
        self.pass_time(1.1 * ROUND + 2, 60)
        self.assertEqual(len(self.legacy.asked), 1)
        self.assertEqual(self.account().messages_done, 4)
        self.assertTrue(self.waits() > 0.6 * ROUND)

    def test_no_round_for_who_is_final(self) -> None:
        self.background()
        self.moved()
        self.set_state(State.FINAL)
        self.pass_time(2 * ROUND, 60)
        self.assertEqual(self.legacy.asked, [])

    def test_a_failure_is_a_warning_and_the_next_round_looks_again(self) -> None:
        self.background()
        self.moved()
        self.legacy.trouble = MaildropInUse("locked")
        self.pass_time(1.1 * ROUND + 2, 60)
        account = self.account()
        self.assertEqual((account.state, cause(account)), (State.MOVED, "locked"))
        self.legacy.trouble = None
        self.pass_time(1.1 * ROUND + 2, 60)
        self.assertEqual((len(self.legacy.asked), self.account().reason), (2, ""))

    def test_a_password_that_is_no_longer_taken_is_a_warning_and_never_sent_again(self) -> None:
        self.background()
        self.moved()
        self.legacy.passwords["user@123.com"] = b"n3w-one"
        self.pass_time(5 * ROUND, 60)
        self.admitted().close()  # what is here is served
        self.pass_time(600)
        self.assertEqual(len(self.legacy.asked), 1)
        self.assertIs(self.account().state, State.MOVED)
        self.assertIn("no longer takes the password", self.account().reason)

    def test_a_user_s_refresh_puts_the_next_round_off(self) -> None:
        self.background()
        self.moved()
        self.pass_time(ROUND / 2, 600)
        self.admitted().close()
        self.assertEqual(len(self.legacy.asked), 1)
        self.assertTrue(self.waits() > 0.8 * ROUND)

    def test_it_costs_next_to_nothing_while_nobody_is_due(self) -> None:
        self.background()
        self.moved()
        self.pass_time(3)
        looks = []
        self.patch(self.rounds, "_look", lambda: looks.append(1))
        self.pass_time(3600)
        self.assertEqual(looks, [])


class Asked(Background):
    def ask(self, *names: str, again: bool = False) -> None:
        self.queue.ask([self.account(name).id for name in names], again=again)

    def test_at_once_and_ahead_of_what_is_due(self) -> None:
        self.moved()
        self.background()
        self.old.add(4)
        self.ask("user@123.com")
        self.pass_time(1)
        account = self.account()
        self.assertEqual((account.messages_done, account.asked), (4, None))

    def test_a_password_that_an_administrator_gave_makes_an_account(self) -> None:
        self.seal("user@123.com")
        self.background()
        self.ask("user@123.com")
        self.pass_time(1)
        account = self.account()
        self.assertEqual((account.state, account.password_state), (State.MOVED, PasswordState.KNOWN))
        assert account.password_hash is not None
        self.assertTrue(verify_password(account.password_hash, PASSWORD))
        self.assertEqual(self.inbox(self.admitted()), [mail(1), mail(2), mail(3)])
        self.assertEqual(len(self.legacy.asked), 1)

    def test_a_daemon_that_was_killed_before_it_had_hashed_a_password_makes_up_for_it(self) -> None:
        sealed = self.sealer.seal("user@123.com", PASSWORD)
        self.accounts.admit("user", "123.com", sealed)
        self.background()
        self.pass_time(5)
        account = self.account()
        self.assertEqual((account.state, account.password_state), (State.MOVED, PasswordState.KNOWN))
        assert account.password_hash is not None
        self.assertTrue(verify_password(account.password_hash, PASSWORD))
        self.admitted()
        self.assertEqual(len(self.legacy.asked), 1)

    def test_a_wrong_password_that_is_sealed_anew_meanwhile_is_tried_once_as_well(self) -> None:
        self.seal("user@123.com", b"wrong")
        look = self.accounts.get

        def and_seal_anew(account_id: int) -> Account:
            account = look(account_id)
            sealed = self.sealer.seal(account.name, b"wrong")
            self.accounts._change(account_id, sealed_password=sealed)
            return account

        self.patch(self.accounts, "get", and_seal_anew)
        self.background()
        self.ask("user@123.com")
        self.pass_time(3600, 10)
        self.assertIs(self.account().password_state, PasswordState.REJECTED)
        self.assertEqual(len(self.legacy.asked), 1)

    def test_a_password_that_is_wrong_is_tried_once(self) -> None:
        self.seal("user@123.com", b"wrong")
        self.background()
        self.ask("user@123.com")
        self.pass_time(3600, 10)
        account = self.account()
        self.assertEqual((account.state, account.asked, account.password_hash), (State.WAITING, None, None))
        self.assertIn("password that was given", account.reason)
        self.assertEqual(len(self.legacy.asked), 1)
        self.admitted()

    def test_a_login_in_the_meantime_is_what_counts(self) -> None:
        self.seal("user@123.com", b"wrong")
        self.background()
        self.admitted()
        self.ask("user@123.com")
        self.pass_time(1)
        self.assertEqual((self.account().state, self.account().asked), (State.MOVED, None))
        self.assertEqual([password for _, password in self.legacy.asked], [PASSWORD, PASSWORD])

    def test_what_is_in_quarantine_is_asked_for_again(self) -> None:
        self.old.refusals = {"u2": ALWAYS}
        self.moved()
        self.assertIn("quarantine", self.account().reason)
        self.background()
        self.ask("user@123.com")
        self.pass_time(1)
        self.old.refusals = {}
        self.ask("user@123.com")
        self.pass_time(1)
        self.assertEqual(self.account().messages_done, 2)  # it was asked for often enough for now
        self.ask("user@123.com", again=True)
        self.pass_time(1)
        account = self.account()
        self.assertEqual((account.messages_done, account.reason, account.again), (3, "", False))

    def test_a_host_that_is_not_there_is_told_to_all_and_asked_seldom(self) -> None:
        names = [f"u{n}@123.com" for n in range(200)]
        for name in names:
            self.seal(name)
        self.background()
        self.legacy.trouble = LegacyUnreachable("pop.old port 110 refuses connections")
        schedule = self.legacy.hosts[0].schedule
        opened = self.legacy.open

        async def refused(*arguments: Any) -> Any:
            schedule.unreachable()
            return await opened(*arguments)

        self.patch(self.legacy, "open", refused)
        self.ask(*names)
        self.pass_time(60)
        accounts = list(self.accounts.list())
        self.assertEqual({account.asked for account in accounts}, {None})
        self.assertEqual({cause(account) for account in accounts}, {"pop.old port 110 refuses connections"})
        self.assertLess(len(self.legacy.asked), 30)  # those whose attempts began before it was known

    def be_busy(self) -> None:
        self.legacy.trouble = HostBusy("too many connections")
        schedule, opened = self.legacy.hosts[0].schedule, self.legacy.open

        async def turn_away(name: Any, password: Any, errand: Any = None) -> Any:
            place = await schedule.acquire(errand)
            if self.legacy.trouble is not None:
                place.busy()
            place.release()
            return await opened(name, password, errand)

        self.patch(self.legacy, "open", turn_away)

    def test_a_host_that_is_busy_keeps_those_who_were_asked_for_waiting(self) -> None:
        """It says nothing of them: they have not failed, and are not told to whoever asked."""
        self.seal("user@123.com")
        self.background()
        self.be_busy()
        self.ask("user@123.com")
        self.pass_time(1)
        self.assertEqual((self.account().tries, self.account().reason), (0, ""))
        self.assertIsNotNone(self.account().asked)
        self.legacy.trouble = None
        self.pass_time(5)
        self.assertEqual((self.account().state, self.account().asked), (State.MOVED, None))

    def test_and_not_for_ever(self) -> None:
        self.seal("user@123.com")
        self.background()
        self.be_busy()
        self.ask("user@123.com")
        self.pass_time(600)
        self.assertEqual((self.account().asked, cause(self.account())), (None, "too many connections"))
        self.assertLess(len(self.legacy.asked), 25)  # each time after a longer pause

    def test_not_more_at_once_than_the_host_allows(self) -> None:
        names = [f"u{n}@123.com" for n in range(50)]
        for name in names:
            self.seal(name)
            self.legacy.passwords[name] = PASSWORD
        answers = [self.legacy.hold_answer() for _ in names]
        self.background()
        self.ask(*names)
        self.pass_time(5)
        self.assertEqual(len(self.legacy.asked), 20)
        for number, answer in enumerate(answers):
            answer.callback(None)
            self.pass_time(1)
            self.assertLessEqual(len(self.legacy.asked) - number - 1, 20)
        self.assertEqual({account.state for account in self.accounts.list()}, {State.MOVED})
        self.assertEqual(len(self.legacy.asked), 50)

    def test_a_key_that_does_not_open_it_is_said(self) -> None:
        self.moved()
        self.background()
        self.mover._sealer = Sealer(b"z" * secrets.KEY_OCTETS)
        self.ask("user@123.com")
        self.pass_time(1)
        self.assertIn("the sealed password does not open", self.account().reason)
        self.assertEqual(self.legacy.asked, [])


class Paused(Background):
    def test_a_move_ends_at_its_last_barrier_and_goes_on_afterwards(self) -> None:
        self.background()
        self.old.held = {"u3": Deferred()}
        login = self.log_in()
        self.queue.pause_domain("123.com", paused=True)
        self.assertNoResult(login)
        self.pass_time(1)
        self.assert_refused(Refusal.UNAVAILABLE, login)
        self.assertEqual((self.account().state, self.account().messages_done), (State.MOVING, 2))
        self.pass_time(7200, 10)
        self.assertEqual(len(self.legacy.asked), 1)
        self.old.held = {}
        self.queue.pause_domain("123.com", paused=False)
        self.pass_time(1)
        self.assertIs(self.account().state, State.MOVED)
        self.assertEqual(self.old.fetched[-1], ("u3",))

    def test_a_first_login_is_temporary_refused_and_whose_mail_is_here_is_let_in(self) -> None:
        self.moved()
        self.background()
        self.queue.pause_domain("123.com", paused=True)
        self.later += 3600
        self.admitted().close()
        self.assert_refused(Refusal.UNAVAILABLE, self.log_in(b"new@123.com"))
        self.assert_refused(Refusal.UNAVAILABLE, self.log_in(password=b"another"))
        self.assertEqual(self.legacy.asked, [])
        ((_, _, fields), *_) = [line for line in self.log.lines if line[1] == "legacy server not asked"]
        self.assertEqual((fields["account"], fields["reason"]), ("new@123.com", "paused by the administrator"))

    def test_one_account_alone(self) -> None:
        self.interrupt()
        self.queue.pause([self.account().id], paused=True)
        self.background()
        self.assert_refused(Refusal.UNAVAILABLE, self.log_in())
        self.pass_time(3600, 10)
        self.assertEqual(self.legacy.asked, [])
        self.legacy.passwords["other@123.com"] = PASSWORD
        self.admitted(self.log_in(b"other@123.com"))
        self.queue.pause([self.account().id], paused=False)
        self.pass_time(1)
        self.assertIs(self.account().state, State.MOVED)


class GivingWay(Background):
    def begin(self) -> None:
        """A move in the background that is under way."""
        self.interrupt()
        self.old.held = {"u2": Deferred()}
        self.background()
        self.assertEqual(len(self.mover.moves.accounts()), 1)

    def give_way(self) -> None:
        """As the host's schedule has it done, when a user waits for the place."""
        (errands,) = self.mover._errands.values()
        give_way = errands[0].give_way
        assert give_way is not None
        give_way()

    def test_what_has_come_is_kept_and_it_goes_on_at_once_where_there_is_room(self) -> None:
        self.begin()
        self.give_way()
        self.assertEqual(self.mover.moves.accounts(), [])
        self.assertEqual((self.account().messages_done, self.account().tries), (2, 1))
        self.old.held = {}
        self.pass_time(1)
        self.assertIs(self.account().state, State.MOVED)
        self.assertEqual(self.old.fetched[-1], ("u2",))

    def test_a_user_who_joins_it_makes_it_urgent(self) -> None:
        self.begin()
        login = self.log_in()
        self.assertEqual(len(self.legacy.hastened), 1)
        self.old.held["u2"].callback(None)
        self.admitted(login)

    def test_a_user_who_had_joined_it_just_then_is_not_turned_away(self) -> None:
        self.begin()
        login = self.log_in()
        self.old.held = {}
        self.give_way()
        self.assertEqual(self.inbox(self.admitted(login)), [mail(1), mail(2), mail(3)])

    def test_a_user_whose_account_waits_for_a_place_in_the_background(self) -> None:
        """Whoever has the account's turn is made urgent, or the user would stand behind all others."""
        self.interrupt()
        answer = self.legacy.hold_answer()
        self.background()
        login = self.log_in()
        self.assertEqual(len(self.legacy.hastened), 1)
        answer.callback(None)
        self.admitted(login)
        self.assertEqual(len(self.legacy.asked), 1)


class AtTheEnd(Background):
    def test_nothing_is_begun_any_more_and_what_was_asked_for_is_done_at_the_next_start(self) -> None:
        self.moved()
        self.background()
        self.old.add(4, 5)
        self.old.held = {"u5": Deferred()}
        self.queue.ask([self.account().id])
        self.pass_time(1)
        self.successResultOf(Deferred.fromCoroutine(self.rounds.stop()))
        self.successResultOf(Deferred.fromCoroutine(self.mover.stop()))
        self.assertIsNotNone(self.account().asked)
        self.assertEqual(self.account().tries, 0)
        self.old.held = {}
        self.restart()
        self.background()
        self.pass_time(1)
        self.assertEqual((self.account().messages_done, self.account().asked), (5, None))

    def test_looks_are_as_seldom_as_they_are_said_to_be(self) -> None:
        self.assertEqual(rounds.LOOK, 1.0)
