"""`login = "serve"` at the gate: who is let in while mail is still to come, and who has the move go on."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from mailstore.accounts import State
from mailstore.errors import StillAway
from mailstore.index.folders import INBOX_ID
from mailstore.mailhome import MailHome
from proxy import config
from proxy.legacy.errors import LegacyUnreachable
from proxy.login import hurrying
from proxy.login.hurrying import Hurrying
from proxy.migration import pauses
from proxy.wire.door import Home, Refusal
from tests.proxy.login.login_rig import CONFIG, LoginTestCase, cause
from tests.proxy.migration.scripted import Old, mail
from tests.proxy.migration.scripted_errands import OldErrandMailbox


def letter(number: int) -> bytes:
    return mail(number, 3000) + b"\r\n"


class GateEarly(LoginTestCase):
    """Eight messages, of which the newest four come before the login is answered; the one before them is held."""

    old: OldErrandMailbox

    def setUp(self) -> None:
        super().setUp()
        self.patch(pauses, "PAUSES", ())
        text = CONFIG.format(state=self.state, accounts="open", port=110, connections=20)
        self.config = config.parse(text.replace("[migration]", '[migration]\nlogin = "serve"').encode())
        self.old = self.legacy.mailboxes["user@123.com"] = OldErrandMailbox()
        self.old.box = [Old(f"u{n}", letter(n)) for n in range(1, 9)]
        self.old.held = {"u4": Deferred()}
        self.restart()

    def start(self) -> None:
        super().start()
        hurried = Hurrying(self.mover, self.homes.in_vain, reactor=self.clock)
        self.homes.hurry = hurried.hurry

    def body(self, home: Home, uid: int) -> Deferred[bytes]:
        def read(mail: MailHome) -> bytes:
            with mail.open(INBOX_ID, uid) as content:
                return bytes(content.whole())

        return Deferred.fromCoroutine(home.run(read))

    def count(self, home: Home) -> int:
        rows = self.successResultOf(Deferred.fromCoroutine(home.run(lambda mail: mail.maildrop())))
        return len(rows)

    def break_off(self) -> None:
        """The connection of the move breaks, and the legacy server does not answer any more."""
        self.legacy.trouble = LegacyUnreachable("nobody answers")
        source = self.old.sources[-1]
        source.abort()
        self.let_pass(1)

    def release(self) -> None:
        self.old.held["u4"].callback(None)
        self.let_pass(1)

    def test_in_when_the_mailbox_is_listed(self) -> None:
        home = self.admitted()
        self.assertEqual((self.count(home), self.account().state), (8, State.MOVING))
        self.assertEqual(self.successResultOf(self.body(home, 8)), letter(8))
        waiting = self.body(home, 1)
        self.assertNoResult(waiting)
        self.release()
        self.assertEqual(self.successResultOf(waiting), letter(1))
        self.assertEqual(self.account().state, State.MOVED)
        self.assertIn("mailbox is listed", self.log.events("info"))

    def test_the_second_is_in_at_once_and_asks_nobody(self) -> None:
        self.admitted()
        self.assertEqual(self.count(self.admitted()), 8)
        self.assertEqual(len(self.legacy.asked), 1)
        self.assert_refused(Refusal.WRONG, self.log_in(password=b"guess"))
        self.release()

    def test_without_the_old_server_whoever_has_the_right_password_is_in(self) -> None:
        home = self.admitted()
        waiting = self.body(home, 1)
        self.break_off()
        self.failureResultOf(waiting, StillAway)
        other = self.admitted()
        self.assertEqual(self.count(other), 8)
        self.assertEqual(self.successResultOf(self.body(other, 7)), letter(7))
        self.failureResultOf(self.body(other, 1), StillAway)
        self.assert_refused(Refusal.UNAVAILABLE, self.log_in(password=b"another"))
        self.assertEqual(cause(self.account()), "nobody answers")

    def test_after_a_restart_as_well(self) -> None:
        self.admitted().close()
        self.break_off()
        self.restart()
        home = self.admitted()
        self.assertEqual(self.count(home), 8)
        self.failureResultOf(self.body(home, 1), StillAway)

    def test_who_opens_a_message_has_the_move_go_on(self) -> None:
        home = self.admitted()
        self.break_off()
        asked = len(self.legacy.asked)
        self.failureResultOf(self.body(home, 1), StillAway)
        self.assertEqual(len(self.legacy.asked), asked)  # it failed a moment ago
        self.legacy.trouble = None
        self.old.held["u4"].callback(None)
        self.let_pass(hurrying.AGAIN)
        waiting = self.body(home, 1)
        self.let_pass(1)
        self.assertEqual(self.successResultOf(waiting), letter(1))
        self.assertEqual(self.account().state, State.MOVED)

    def test_what_is_waited_for_until_a_connection_is_there_comes_first(self) -> None:
        home = self.admitted()
        self.break_off()
        self.let_pass(hurrying.AGAIN)
        self.legacy.trouble = None
        answer = self.legacy.hold_answer()
        first, second = self.body(home, 2), self.body(home, 3)
        self.old.asked.clear()
        answer.callback(None)
        self.let_pass(1)
        self.assertEqual((self.successResultOf(first), self.successResultOf(second)), (letter(2), letter(3)))
        self.assertEqual(self.old.asked[1:3], ["ru2", "ru3"])
        self.release()

    def test_a_password_that_is_not_kept_brings_nothing(self) -> None:
        home = self.admitted()
        self.break_off()
        self.let_pass(hurrying.AGAIN)
        self.legacy.trouble = None
        self.accounts._change(self.account().id, sealed_password=None)
        asked = len(self.legacy.asked)
        self.failureResultOf(self.body(home, 1), StillAway)
        self.assertEqual(len(self.legacy.asked), asked)

    def test_a_password_that_the_old_server_no_longer_takes_is_not_sent_again_and_again(self) -> None:
        home = self.admitted()
        self.break_off()
        self.let_pass(hurrying.AGAIN)
        self.legacy.trouble = None
        self.legacy.passwords["user@123.com"] = b"a new one"
        self.failureResultOf(self.body(home, 1), StillAway)
        asked = len(self.legacy.asked)
        for _ in range(3):
            self.let_pass(hurrying.AGAIN)
            self.failureResultOf(self.body(home, 1), StillAway)
            self.assertEqual(self.count(self.admitted()), 8)
        self.assertEqual(len(self.legacy.asked), asked)
        self.admitted(self.log_in(password=b"a new one"))
        self.release()
        self.assertEqual(self.successResultOf(self.body(home, 1)), letter(1))

    def test_nobody_waits_for_a_daemon_that_stops(self) -> None:
        home = self.admitted()
        waiting = self.body(home, 1)
        self.successResultOf(Deferred.fromCoroutine(self.mover.stop()))
        self.failureResultOf(waiting, StillAway)
        self.failureResultOf(self.body(home, 2), StillAway)

    def test_a_login_is_held_where_the_listing_cannot_be_believed(self) -> None:
        for old in self.old.box:
            old.octets = len(old.data) + 100
        login = self.log_in()
        self.assertNoResult(login)
        self.assertIn("login is held until all is here", self.log.events("info"))
        self.release()
        self.assertEqual(self.count(self.admitted(login)), 8)
        self.assertEqual(self.account().state, State.MOVED)

    def test_a_move_that_fails_before_the_mailbox_is_listed(self) -> None:
        self.old.lists_broken = 9
        self.assert_refused(Refusal.UNAVAILABLE, self.log_in())
        self.old.lists_broken = 0
        self.assertEqual(self.count(self.admitted()), 8)
        self.release()
