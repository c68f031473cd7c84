"""Looking for what is new, going on after a restart, stopping, and what the administrator reads of it."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from mailstore.accounts import State
from mailstore.errors import StorageFailed
from mailstore.secrets import Sealer
from proxy.legacy.errors import LegacyUnreachable, MaildropInUse
from proxy.login.legacy import name_of
from proxy.login.progress import PROGRESS_SECONDS
from proxy.migration import pull
from proxy.migration.comparing import CHANGING
from proxy.wire.door import Refusal
from tests.mailstore import index_damage
from tests.proxy.login.login_rig import PASSWORD, LoginTestCase, cause
from tests.proxy.migration.scripted import mail


class Refresh(LoginTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.old.add(1)
        self.moved()
        self.old.add(2)

    def pass_refresh(self) -> None:
        """So much time goes by that the next login looks for what is new."""
        self.later = -301  # the account was looked after so long ago
        self.accounts.moved(self.account().id)
        self.later = 0
        self.clock.advance(301)

    def test_not_before_it_is_due(self) -> None:
        self.assertEqual(self.inbox(self.admitted()), [mail(1)])
        self.assertEqual(self.legacy.asked, [])

    def test_what_is_new_is_fetched_and_sessions_see_it(self) -> None:
        self.pass_refresh()
        answer = self.legacy.hold_answer()
        home = self.admitted()
        heard: list[int] = []
        home.watch(lambda folder, _: heard.append(folder))
        self.assertEqual(self.inbox(home), [mail(1)])
        answer.callback(None)
        self.assertEqual(self.inbox(home), [mail(1), mail(2)])
        self.assertEqual(heard, [1])

    def test_it_is_done_once_however_many_log_in(self) -> None:
        self.pass_refresh()
        answer = self.legacy.hold_answer()
        for _ in range(3):
            self.admitted()
        answer.callback(None)
        for _ in range(3):
            self.admitted()
        self.assertEqual(len(self.legacy.asked), 1)

    def test_an_index_that_is_lost_brings_no_message_twice(self) -> None:
        """The ledger is lost with it: all that the legacy server lists seems to be new."""
        directory = self.config.maildir_for("user", "123.com").parent
        for damage in (index_damage.deleted, index_damage.something_else, index_damage.table("ledger")):
            with self.subTest(damage=damage.__name__):
                self.successResultOf(Deferred.fromCoroutine(self.homes.closed()))
                damage(directory)
                (directory / "Maildir.db.suspect").touch()
                self.pass_refresh()
                home = self.admitted()
                self.successResultOf(Deferred.fromCoroutine(home.run(lambda mail: mail.reconcile())))
                self.assertEqual(self.inbox(home), [mail(1), mail(2)])
                uidls = self.successResultOf(Deferred.fromCoroutine(home.run(lambda mail: mail.maildrop())))
                self.assertEqual([row.uidl for row in uidls], ["u1", "u2"])
                home.close()
                account = self.account()
                self.assertIs(account.state, State.MOVED)
                self.assertEqual((account.messages_done, account.messages_total), (2, 2))

    def test_damage_to_the_ledger_is_met_by_one_move_and_mended_for_the_next(self) -> None:
        directory = self.config.maildir_for("user", "123.com").parent
        self.successResultOf(Deferred.fromCoroutine(self.homes.closed()))
        index_damage.table("ledger")(directory)
        self.pass_refresh()
        self.admitted().close()
        self.assertIn("damaged", self.account().reason)
        self.pass_refresh()
        home = self.admitted()
        self.assertEqual(self.inbox(home), [mail(1), mail(2)])
        self.assertEqual(self.account().reason, "")

    def test_what_was_deleted_here_stays_deleted(self) -> None:
        home = self.admitted()
        self.successResultOf(Deferred.fromCoroutine(home.run(lambda store: store.remove([1]))))
        self.pass_refresh()
        self.assertEqual(self.inbox(self.admitted()), [mail(2)])

    def test_a_server_that_is_down_is_left_alone_for_a_while(self) -> None:
        self.pass_refresh()
        self.legacy.trouble = LegacyUnreachable("connection refused")
        for _ in range(3):
            self.admitted()
        self.assertEqual(len(self.legacy.asked), 1)
        account = self.account()
        self.assertEqual((account.state, cause(account)), (State.MOVED, "connection refused"))
        self.clock.advance(300)
        self.legacy.trouble = None
        self.admitted()
        self.assertEqual(len(self.legacy.asked), 2)
        self.assertEqual(self.account().reason, "")

    def test_a_password_that_the_legacy_server_no_longer_takes_is_not_sent_again(self) -> None:
        """Each time would count as a guess there, and lock out whoever has the new one."""
        self.pass_refresh()
        self.legacy.passwords["user@123.com"] = b"new password"
        for _ in range(5):
            self.admitted()
            self.clock.advance(3600)
        self.assertEqual(len(self.legacy.asked), 1)
        self.assertIn("no longer takes the password", self.account().reason)
        self.admitted(self.log_in(password=b"new password"))
        self.assertEqual(len(self.legacy.asked), 2)
        self.pass_refresh()
        self.old.add(3)
        self.admitted(self.log_in(password=b"new password"))
        self.assertEqual(len(self.inbox(self.admitted(self.log_in(password=b"new password")))), 3)

    def test_an_account_finalised_while_its_refresh_waited_is_not_asked_for(self) -> None:
        self.pass_refresh()
        waiting: Deferred[None] = Deferred()

        async def wait() -> None:
            await waiting

        name = name_of(self.account())
        turn = Deferred.fromCoroutine(self.mover.turns.take(name, wait))
        self.admitted()
        self.set_state(State.FINAL)
        waiting.callback(None)
        self.successResultOf(turn)
        self.assertEqual(self.legacy.asked, [])

    def test_a_refresh_that_breaks_leaves_the_account_moved(self) -> None:
        self.pass_refresh()
        self.old.breaks = {"u2": 1}
        self.admitted()
        self.legacy.trouble = LegacyUnreachable("gone")
        self.let_pass(60)
        self.assertIs(self.account().state, State.MOVED)
        self.assertEqual(cause(self.account()), "gone")

    def test_a_client_that_leaves_does_not_end_it(self) -> None:
        self.pass_refresh()
        self.old.held = {"u2": Deferred()}
        self.admitted().close()
        self.old.held["u2"].callback(None)
        self.assertEqual(self.account().messages_done, 2)
        self.assertEqual(self.homes._open, {})


class Resume(LoginTestCase):
    def interrupt(self) -> None:
        """A daemon that is stopped in the middle of a first move, and another one."""
        self.patch(pull, "BATCH_SECONDS", 0.0)
        self.old.add(1, 2, 3)
        self.old.held = {"u2": Deferred()}
        login = self.log_in()
        self.successResultOf(Deferred.fromCoroutine(self.mover.stop()))
        self.assert_refused(Refusal.UNAVAILABLE, login)
        self.assertEqual(self.homes._open, {})
        self.old.held = {}
        self.legacy.asked.clear()
        self.old.fetched.clear()
        self.restart()

    def resume(self) -> None:
        self.background()

    def test_what_the_barrier_reached_is_kept_and_the_rest_is_fetched(self) -> None:
        self.interrupt()
        self.resume()
        self.assertIs(self.account().state, State.MOVED)
        self.assertEqual(self.old.fetched, [("u2", "u3")])
        self.assertEqual(self.inbox(self.admitted()), [mail(1), mail(2), mail(3)])
        self.assertEqual(len(self.legacy.asked), 1)

    def test_a_login_joins_what_was_resumed(self) -> None:
        self.interrupt()
        self.old.held = {"u3": Deferred()}
        self.resume()
        login = self.log_in()
        self.assertNoResult(login)
        self.old.held["u3"].callback(None)
        self.assertEqual(len(self.inbox(self.admitted(login))), 3)
        self.assertEqual(len(self.legacy.asked), 1)

    def test_a_login_that_comes_while_the_resumed_move_connects(self) -> None:
        self.interrupt()
        answer = self.legacy.hold_answer()
        self.resume()
        login = self.log_in()
        answer.callback(None)
        self.admitted(login)
        self.assertEqual(len(self.legacy.asked), 1)

    def test_a_login_goes_on_where_nothing_was_resumed(self) -> None:
        self.interrupt()
        self.assertEqual(self.inbox(self.admitted()), [mail(1), mail(2), mail(3)])
        self.assertEqual(self.old.fetched, [("u2", "u3")])

    def test_the_legacy_server_is_down_at_the_start(self) -> None:
        self.interrupt()
        self.legacy.trouble = LegacyUnreachable("connection refused")
        self.resume()
        self.assertEqual((self.account().state, cause(self.account())), (State.MOVING, "connection refused"))
        self.legacy.trouble = None
        self.admitted()

    def test_a_password_that_does_not_open_is_left_to_the_next_login(self) -> None:
        self.interrupt()
        self.mover._sealer = Sealer(b"z" * 32)
        self.resume()
        self.assertEqual(self.legacy.asked, [])
        self.assertIn("move not possible", self.log.events("error"))
        self.admitted()

    def test_only_moves_that_were_interrupted(self) -> None:
        self.moved()
        self.restart()
        self.resume()
        self.assertEqual(self.legacy.asked, [])

    def test_an_account_of_a_domain_that_is_no_longer_served(self) -> None:
        self.interrupt()
        self.accounts._change(self.account().id, domain="gone.example")
        self.resume()
        self.assertEqual(self.legacy.asked, [])


class Stopping(LoginTestCase):
    def test_it_waits_for_the_last_barrier_and_nothing_starts_after(self) -> None:
        self.old.add(1, 2)
        self.old.held = {"u2": Deferred()}
        login = self.log_in()
        self.successResultOf(Deferred.fromCoroutine(self.mover.stop()))
        self.assert_refused(Refusal.UNAVAILABLE, login)
        again = self.log_in()
        self.assert_refused(Refusal.UNAVAILABLE, again)

    def test_a_move_that_waits_for_a_new_connection_is_stopped_at_once(self) -> None:
        self.old.add(1, 2)
        self.old.breaks = {"u2": 1}
        login = self.log_in()
        self.legacy.hold_answer()
        self.let_pass(3)
        self.assertEqual(self.old.openings, 1)
        self.successResultOf(Deferred.fromCoroutine(self.mover.stop()))
        self.assert_refused(Refusal.UNAVAILABLE, login)


class Progress(LoginTestCase):
    def test_it_is_written_down_from_time_to_time(self) -> None:
        self.patch(pull, "BATCH_SECONDS", 0.0)
        self.old.add(1, 2, 3)
        self.old.held = {"u2": Deferred(), "u3": Deferred()}
        login = self.log_in()
        self.assertEqual(self.account().messages_total, 0)
        self.clock.advance(PROGRESS_SECONDS)
        self.old.held["u2"].callback(None)
        account = self.account()
        self.assertEqual((account.messages_done, account.messages_total), (2, 3))
        self.assertEqual((account.bytes_done, account.bytes_total), (2 * len(mail(1)), 3 * len(mail(1))))
        self.old.held["u3"].callback(None)
        self.admitted(login)
        self.assertEqual(self.account().messages_done, 3)

    def test_what_is_written_late_is_not_written_last(self) -> None:
        self.patch(pull, "BATCH_SECONDS", 0.0)
        self.old.add(1, 2, 3)
        self.old.held = {"u2": Deferred(), "u3": Deferred()}
        writing: Deferred[None] = Deferred()
        login = self.log_in()
        self.clock.advance(PROGRESS_SECONDS)
        progress = self.accounts.progress

        def slow(*arguments: Any) -> Deferred[None]:
            return writing.addCallback(lambda _: progress(*arguments))

        patch = self.patch(self.accounts, "progress", slow)
        self.old.held["u2"].callback(None)
        patch.restore()
        self.old.held["u3"].callback(None)
        self.assertNoResult(login)
        writing.callback(None)
        self.admitted(login)
        self.assertEqual(self.account().messages_done, 3)

    def test_progress_that_cannot_be_written_stops_no_move(self) -> None:
        self.patch(pull, "BATCH_SECONDS", 0.0)
        self.old.add(1, 2, 3)
        self.old.held = {"u2": Deferred(), "u3": Deferred()}
        login = self.log_in()
        self.clock.advance(PROGRESS_SECONDS)

        def broken(*_: object) -> None:
            raise StorageFailed("the database refused")

        patch = self.patch(self.accounts, "progress", broken)
        self.old.held["u2"].callback(None)
        patch.restore()
        self.assertIn("store failed", self.log.events("error"))
        self.old.held["u3"].callback(None)
        self.admitted(login)

    def test_the_log_tells_of_begin_and_end(self) -> None:
        self.old.add(1, 2)
        self.admitted()
        (done,) = (fields for _, event, fields in self.log.lines if event == "move done")
        self.assertEqual((done["account"], done["messages"], done["quarantined"]), ("user@123.com", 2, 0))
        self.assertIn("move started", self.log.events("info"))

    def test_in_use_while_reconnecting_is_waited_out(self) -> None:
        self.old.add(1, 2, 3)
        self.old.breaks = {"u2": 1}
        login = self.log_in()
        self.legacy.trouble = MaildropInUse("locked")
        self.let_pass(4)
        self.legacy.trouble = None
        self.let_pass(30)
        self.assertEqual(len(self.inbox(self.admitted(login))), 3)
        self.assertEqual(self.legacy.asked[0], ("user@123.com", PASSWORD))


class Troubles(LoginTestCase):
    """What the administrator reads of an account that is here all the same."""

    def test_what_is_in_quarantine_and_why(self) -> None:
        self.old.add(1, 2, 3)
        self.old.refusals = {"u2": 1_000, "u3": 1_000}
        self.admitted()
        reason = self.account().reason
        self.assertIn("2 messages could not be carried over and are in quarantine", reason)
        self.assertIn("(number 2, 3: the legacy server refuses this message: no such message)", reason)
        self.assertIn("moved with troubles", self.log.events("warning"))

    def test_names_that_change_in_each_session(self) -> None:
        self.old.add(*range(1, 11))
        self.admitted()
        for session in range(3):
            for old in self.old.box:
                old.uidl = f"{session}{old.uidl}"
            self.later -= 301
            self.accounts.moved(self.account().id)
            self.clock.advance(301)
            self.admitted()
        self.assertEqual(self.account().reason, CHANGING)
        self.assertEqual(len(self.inbox(self.admitted())), 10)
