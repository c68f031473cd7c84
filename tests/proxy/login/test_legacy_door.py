"""The door to a legacy server: as many connections as are allowed, and each given back."""

from __future__ import annotations

import time
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from proxy import config
from proxy.legacy.errors import LegacyBusy, LegacyTimeout, LegacyUnreachable, LoginRejected, MaildropInUse
from proxy.login.legacy import HostBusy, LegacyDoor
from proxy.login.names import Name
from proxy.migration import schedule
from proxy.migration.schedule import Errand, Urgency
from proxy.migration.source import Source, SourceBusy, SourceLost, SourceUnusable
from proxy.pop3.client import connection
from proxy.wire.door import Secret
from tests.proxy.test_linear_time import uncollected

CONFIG = b"""
hostname = "mail.123.com"
[listen]
imap = ["tcp:143"]
[domain."123.com".legacy]
host = "pop.old.123.com"
port = 1110
tls = "none"
login = "{local}%{domain}"
connections = 2
"""
USER = Name("user", "123.com")


class Connected:
    """A connection whose login ends as the test says."""

    def __init__(self, capabilities: dict[str, tuple[str, ...]]) -> None:
        self.user = b""
        self.capabilities = capabilities
        self.login_result: Deferred[None] = Deferred()
        self.aborted = False
        self.apop: bool | None = None
        self.apop_in_vain = False

    async def login(self, user: bytes, password: Secret, *, apop: bool = True) -> None:
        self.user = user
        self.apop = apop
        await self.login_result

    def abort(self) -> None:
        self.aborted = True


class DoorCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.connections: list[Connected] = []
        self.connecting: Deferred[None] | None = None
        self.capabilities: dict[str, tuple[str, ...]] = {}
        self.clock = Clock()
        self.patch(connection, "connect", self.connect)
        self.said: list[str] = []
        self.door = LegacyDoor(config.parse(CONFIG), self.clock, lambda event, **_: self.said.append(event))

    async def connect(self, _reactor: Any, _settings: Any) -> Connected:
        self.settings = _settings
        if self.connecting is not None:
            await self.connecting
        self.connections.append(Connected(self.capabilities))
        return self.connections[-1]

    def open(self) -> Deferred[Source]:
        return Deferred.fromCoroutine(self.door.open(USER, Secret(b"secret")))

    def slots_free(self) -> int:
        schedule = self.door.host_of("123.com").schedule
        self.assertEqual(schedule.waiting, 0)
        return 2 - schedule.in_use

    def open_without_answer(self) -> tuple[Deferred[Source], Deferred[None]]:
        """A connection under way, and what it waits for."""
        self.connecting = connecting = Deferred()
        return self.open(), connecting


class LegacyDoorTest(DoorCase):
    def test_settings_and_the_login_name_are_the_configuration_s(self) -> None:
        self.open()
        self.assertEqual((self.settings.host, self.settings.port, self.settings.tls), ("pop.old.123.com", 1110, "none"))
        self.assertEqual(self.connections[0].user, b"user%123.com")

    def test_an_account_may_be_called_otherwise_there(self) -> None:
        called = {("user", "123.com"): "CORP\\w.zhang"}

        async def logins(local: str, domain: str) -> str:
            return called.get((local, domain), "")

        door = LegacyDoor(config.parse(CONFIG), self.clock, logins=logins)
        for name in (USER, Name("li", "123.com")):
            Deferred.fromCoroutine(door.open(name, Secret(b"secret")))
        self.assertEqual([made.user for made in self.connections], [b"CORP\\w.zhang", b"li%123.com"])

    def test_names_that_are_one_mailbox_there_are_known_as_one(self) -> None:
        called = {("user", "123.com"): "W.Zhang", ("li", "123.com"): "w.zhang", ("wu", "123.com"): "wu%123.com"}

        async def logins(local: str, domain: str) -> str:
            return called.get((local, domain), "")

        door = LegacyDoor(config.parse(CONFIG), self.clock, logins=logins)
        user, li, wu, other = (
            self.successResultOf(Deferred.fromCoroutine(door.mailbox_of(Name(local, "123.com"))))
            for local in ("user", "li", "wu", "other")
        )
        self.assertEqual(user, li)
        self.assertEqual(len({user, wu, other}), 3)

    def test_a_slot_is_held_until_the_source_is_left(self) -> None:
        opening = self.open()
        self.connections[0].login_result.callback(None)
        source = self.successResultOf(opening)
        self.assertEqual(self.slots_free(), 1)
        source.abort()
        source.abort()
        self.assertEqual(self.slots_free(), 2)

    def test_apop_that_was_refused_for_a_right_password_is_not_tried_again_at_this_server(self) -> None:
        for in_vain, tried in ((False, True), (True, True), (False, False), (False, False)):
            opening = self.open()
            connected = self.connections[-1]
            self.assertEqual(connected.apop, tried)
            connected.apop_in_vain = in_vain
            connected.login_result.callback(None)
            self.successResultOf(opening).abort()

    def test_no_more_than_the_limit_and_the_next_when_one_is_left(self) -> None:
        first, second, third = self.open(), self.open(), self.open()
        self.assertEqual(len(self.connections), 2)
        self.connections[1].login_result.errback(LoginRejected("no"))
        self.failureResultOf(second, LoginRejected)
        self.assertTrue(self.connections[1].aborted)
        self.assertEqual(len(self.connections), 3)
        self.assertNoResult(first)
        self.assertNoResult(third)

    def test_every_way_not_to_get_in_gives_the_slot_back(self) -> None:
        self.connecting = Deferred()
        opening = self.open()
        self.connecting.errback(LegacyUnreachable("refused"))
        self.failureResultOf(opening, LegacyUnreachable)
        self.assertEqual(self.slots_free(), 2)
        self.connecting = Deferred()
        opening = self.open()
        opening.cancel()
        self.failureResultOf(opening, CancelledError)
        self.assertEqual(self.slots_free(), 2)
        self.connecting = None
        opening = self.open()
        opening.cancel()
        self.failureResultOf(opening, CancelledError)
        self.assertTrue(self.connections[-1].aborted)
        self.assertEqual(self.slots_free(), 2)

    def test_who_gives_up_waiting_for_a_slot(self) -> None:
        held = [self.open(), self.open()]
        waiting = self.open()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        for connected, opening in zip(self.connections, held, strict=True):
            connected.login_result.errback(LegacyUnreachable("gone"))
            self.failureResultOf(opening, LegacyUnreachable)
        self.assertEqual(self.slots_free(), 2)

    def test_who_waits_behind_a_server_that_is_silent_is_told_with_the_first(self) -> None:
        first = self.open_without_answer()
        second = self.open_without_answer()
        self.clock.advance(1)
        waiting = [self.open() for _ in range(1000)]
        self.clock.advance(60)
        first[1].errback(LegacyTimeout("the server was silent"))
        self.failureResultOf(first[0], LegacyTimeout)
        self.clock.pump([0] * 1000)
        for each in waiting:
            self.assertEqual(self.failureResultOf(each, LegacyTimeout).value.text, "the server was silent")
        second[1].errback(LegacyTimeout("the server was silent"))
        self.failureResultOf(second[0], LegacyTimeout)
        self.clock.advance(1)
        self.assertNoResult(self.open_without_answer()[0])  # it is asked again

    def test_a_connection_that_is_refused_says_nothing_to_those_who_wait(self) -> None:
        first = self.open_without_answer()
        self.open_without_answer()
        third = self.open()
        self.clock.advance(1)
        first[1].errback(LegacyUnreachable("refused"))
        self.failureResultOf(first[0], LegacyUnreachable)
        self.clock.advance(0)
        self.assertNoResult(third)

    def test_a_move_that_comes_back_is_told_in_its_own_words(self) -> None:
        reopen = self.door.reopener(USER, Secret(b"secret"))
        answers = (
            (LoginRejected("no"), SourceBusy),  # it took the password before, so it may be tired of logins
            (MaildropInUse("locked"), SourceBusy),
            (LegacyUnreachable("gone"), SourceLost),
            (LoginRejected("no"), SourceUnusable),
        )
        for error, kind in answers:

            async def open_again() -> Source:
                return await reopen()

            opening = Deferred.fromCoroutine(open_again())
            self.connections[-1].login_result.errback(error)
            self.failureResultOf(opening, kind)
        self.assertEqual(self.slots_free(), 2)

    def test_a_login_that_goes_well_lets_a_later_one_be_doubted(self) -> None:
        reopen = self.door.reopener(USER, Secret(b"secret"))

        def opening() -> Deferred[Source]:
            async def open_again() -> Source:
                return await reopen()

            return Deferred.fromCoroutine(open_again())

        refused = opening()
        self.connections[-1].login_result.errback(LoginRejected("no"))
        self.failureResultOf(refused, SourceBusy)
        taken = opening()
        self.connections[-1].login_result.callback(None)
        source = self.successResultOf(taken)
        source.abort()
        for kind in (SourceBusy, SourceUnusable):
            refused = opening()
            self.connections[-1].login_result.errback(LoginRejected("no"))
            self.failureResultOf(refused, kind)


class Busy(DoorCase):
    """A host that does not want to now."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(schedule, "FIRST_PAUSE", 1.0)
        self.host = self.door.host_of("123.com")
        self.host.schedule._chance = lambda: 0.5
        self.opening = self.open()

    def refuse(self, error: Exception) -> None:
        self.connections[-1].login_result.errback(error)

    def test_a_user_s_login_is_tried_again_for_a_while(self) -> None:
        self.refuse(LegacyBusy("too many connections"))
        self.assertNoResult(self.opening)
        self.assertEqual(len(self.connections), 1)
        self.clock.advance(1)
        self.connections[1].login_result.callback(None)
        self.successResultOf(self.opening).abort()
        self.assertEqual(self.slots_free(), 2)

    def test_and_not_for_ever(self) -> None:
        began = self.clock.seconds()
        while not self.opening.called:
            if not self.connections[-1].login_result.called:
                self.refuse(LegacyBusy("too many connections"))
            self.clock.advance(0.5)
        self.failureResultOf(self.opening, LegacyBusy)
        self.assertTrue(40 <= self.clock.seconds() - began < 80)
        self.assertLess(len(self.connections), 9)  # each time after a longer pause

    def test_one_account_s_own_trouble_does_not_slow_the_others_down(self) -> None:
        """Its mailbox cannot be opened, and the server calls that temporary."""

        def answer() -> None:
            for connected in list(self.connections):
                if connected.login_result.called:
                    continue
                if connected.user.startswith(b"user"):
                    connected.login_result.errback(LegacyBusy("[SYS/TEMP] temporary failure"))
                else:
                    connected.login_result.callback(None)

        for _ in range(20):
            if self.opening.called:
                self.failureResultOf(self.opening, LegacyBusy)
                self.opening = self.open()
            other = Deferred.fromCoroutine(self.door.open(Name("other", "123.com"), Secret(b"secret")))
            for _ in range(3):
                answer()
                self.clock.advance(1)
            self.successResultOf(other).abort()
        self.assertEqual(self.host.schedule.allowed, 2)
        self.assertEqual(self.said, ["legacy server busy"])

    def test_a_password_that_is_refused_is_not_tried_again(self) -> None:
        self.refuse(LegacyBusy("later"))
        self.clock.advance(1)
        self.refuse(LoginRejected("no"))
        self.failureResultOf(self.opening, LoginRejected)
        self.clock.advance(600)
        self.assertEqual(len(self.connections), 2)

    def test_what_nobody_waits_for_is_told_at_once(self) -> None:
        self.refuse(LoginRejected("no"))
        self.failureResultOf(self.opening, LoginRejected)
        for urgency in (Urgency.REFRESH, Urgency.ASKED, Urgency.ROUND):
            errand = Errand("123.com", urgency)
            opening = Deferred.fromCoroutine(self.door.open(USER, Secret(b"secret"), errand))
            self.refuse(LegacyBusy("later"))
            error = self.failureResultOf(opening, LegacyBusy).value
            # The first time it may be the host; an account that is turned away by its name again is meant itself.
            self.assertEqual(isinstance(error, HostBusy), urgency is Urgency.REFRESH)
            self.clock.advance(60)

    def test_those_who_wait_stand_behind_who_was_turned_away(self) -> None:
        second, third = self.open(), self.open()
        self.refuse(LegacyBusy("too many connections"))  # the second
        self.clock.advance(1)
        self.assertEqual(len(self.connections), 2)  # one is allowed now, and the first has it
        self.connections[0].login_result.callback(None)
        self.assertEqual(len(self.connections), 2)
        self.successResultOf(self.opening).abort()
        self.assertEqual(len(self.connections), 3)
        self.connections[2].login_result.callback(None)
        self.successResultOf(second).abort()
        self.connections[3].login_result.callback(None)
        self.successResultOf(third).abort()

    def test_one_who_is_cut_off_while_others_are_in_is_one_too_many(self) -> None:
        self.connections[0].login_result.callback(None)
        source = self.successResultOf(self.opening)
        second = self.open()
        self.refuse(LegacyUnreachable("the connection was reset while it owed its greeting"))
        self.assertNoResult(second)
        source.abort()
        self.clock.advance(1)
        self.connections[-1].login_result.callback(None)
        self.successResultOf(second).abort()

    def test_one_who_is_not_greeted_while_others_are_in_is_one_too_many(self) -> None:
        self.connections[0].login_result.callback(None)
        source = self.successResultOf(self.opening)
        second, silence = self.open_without_answer()
        self.clock.advance(60)
        self.connecting = None
        silence.errback(LegacyTimeout("the server was silent for 60 s while it owed its greeting"))
        self.assertNoResult(second)
        source.abort()
        self.clock.advance(1)
        self.connections[-1].login_result.callback(None)
        self.successResultOf(second).abort()

    def test_one_who_is_cut_off_while_nobody_is_in_is_told(self) -> None:
        self.refuse(LegacyUnreachable("refused"))
        self.failureResultOf(self.opening, LegacyUnreachable)

    def test_an_account_that_has_to_wait_between_logins_waits_alone(self) -> None:
        self.host.login_delay = 20
        self.refuse(LegacyBusy("[LOGIN-DELAY] wait", "LOGIN-DELAY"))
        self.assertEqual(self.host.schedule.allowed, 2)
        other = self.open()
        self.connections[-1].login_result.callback(None)
        self.successResultOf(other).abort()
        self.clock.advance(19)
        self.assertEqual(len(self.connections), 2)
        self.clock.advance(1)
        self.connections[-1].login_result.callback(None)
        self.successResultOf(self.opening).abort()

    def test_the_delay_is_what_the_server_s_capabilities_say(self) -> None:
        self.refuse(LoginRejected("no"))
        self.failureResultOf(self.opening, LoginRejected)
        self.capabilities = {"LOGIN-DELAY": ("900", "USER")}
        opening = self.open()
        self.assertEqual(self.host.login_delay, 900)
        self.refuse(LegacyBusy("[LOGIN-DELAY] wait", "LOGIN-DELAY"))
        self.failureResultOf(opening, LegacyBusy)  # nobody is kept waiting for so long

    def test_a_mailbox_that_somebody_else_holds_is_said_at_once(self) -> None:
        self.refuse(MaildropInUse("locked"))
        self.failureResultOf(self.opening, MaildropInUse)

    def test_a_mailbox_that_is_held_for_a_connection_of_ours_is_waited_for(self) -> None:
        self.connections[0].login_result.callback(None)
        self.successResultOf(self.opening).abort()
        opening = self.open()
        self.refuse(MaildropInUse("locked"))
        self.clock.advance(2)
        self.refuse(MaildropInUse("locked"))
        self.clock.advance(2)
        self.connections[-1].login_result.callback(None)
        self.successResultOf(opening).abort()

    def test_and_those_who_are_on_their_way_in(self) -> None:
        self.door.stop()
        self.failureResultOf(self.opening, LegacyUnreachable)
        self.assertTrue(self.connections[0].aborted)
        self.assertEqual(self.slots_free(), 2)

    def test_at_the_daemon_s_end_those_who_wait_are_told(self) -> None:
        self.refuse(LegacyBusy("later"))
        self.door.stop()
        self.failureResultOf(self.opening, LegacyUnreachable)
        self.assertEqual(self.clock.getDelayedCalls(), [])


TWO = b"""
hostname = "mail.123.com"
[listen]
imap = ["tcp:143"]
[domain."a.example".legacy]
host = "POP.old.example"
port = 995
tls = "implicit"
connections = 50
bandwidth = "5M"
[domain."b.example".legacy]
host = "pop.old.example."
port = 995
tls = "implicit"
logins_per_minute = 60
bandwidth = "2M"
[domain."c.example".legacy]
host = "pop.old.example"
port = 110
"""


class Many(DoorCase):
    def test_ten_thousand_logins_that_wait_cost_no_more_each_than_a_thousand(self) -> None:
        def come(count: int) -> float:
            with uncollected():
                began = time.process_time()
                logins = [self.open() for _ in range(count)]
                done = len(self.connections) - 2
                while done < len(self.connections):
                    self.connections[done].login_result.callback(None)
                    done += 1
                    self.successResultOf(logins[done - 1 - self.before]).abort()
                self.before += count
                return (time.process_time() - began) / count

        self.before = 0
        few = min(come(1_000) for _ in range(2))
        self.assertLess(come(10_000), 3 * few)


class Hosts(SynchronousTestCase):
    def test_domains_with_the_same_host_and_port_share_its_limits_and_the_lowest_counts(self) -> None:
        read = config.parse(TWO)
        door = LegacyDoor(read, Clock())
        shared, other = door.hosts
        self.assertEqual((shared.domains, other.domains), (["a.example", "b.example"], ["c.example"]))
        limits = shared.schedule.limits
        self.assertEqual((limits.connections, limits.logins_per_minute), (50, 60))  # nobody wrote 20
        assert shared.bandwidth is not None
        self.assertEqual(shared.bandwidth._rate, 2 * 1024 * 1024)
        self.assertEqual((other.schedule.limits.connections, other.bandwidth), (20, None))
        (remark,) = [str(warning) for warning in read.warnings if "same old server" in str(warning)]
        self.assertIn('domain."b.example".legacy.bandwidth', remark)
