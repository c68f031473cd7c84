"""The door to a legacy server: as many connections as are allowed, and each given back."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from proxy import config
from proxy.legacy.errors import LegacyTimeout, LegacyUnreachable, LoginRejected, MaildropInUse
from proxy.login.legacy import LegacyDoor
from proxy.login.names import Name
from proxy.migration.source import Source, SourceLost, SourceUnusable
from proxy.pop3.client import connection
from proxy.wire.door import Secret

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

    def __init__(self) -> None:
        self.user = b""
        self.login_result: Deferred[None] = Deferred()
        self.aborted = False

    async def login(self, user: bytes, password: Secret) -> None:
        self.user = user
        await self.login_result

    def abort(self) -> None:
        self.aborted = True


class LegacyDoorTest(SynchronousTestCase):
    def setUp(self) -> None:
        self.connections: list[Connected] = []
        self.connecting: Deferred[None] | None = None
        self.clock = Clock()
        self.patch(connection, "connect", self.connect)
        self.door = LegacyDoor(config.parse(CONFIG), self.clock)

    async def connect(self, _reactor: Any, _settings: Any) -> Connected:
        self.settings = _settings
        if self.connecting is not None:
            await self.connecting
        self.connections.append(Connected())
        return self.connections[-1]

    def open(self) -> Deferred[Source]:
        return Deferred.fromCoroutine(self.door.open(USER, Secret(b"secret")))

    def slots_free(self) -> int:
        slots = self.door._servers["123.com"].slots
        self.assertEqual(slots.waiting, 0)
        return slots._free

    def test_settings_and_the_login_name_are_the_configuration_s(self) -> None:
        self.open()
        self.assertEqual((self.settings.host, self.settings.port, self.settings.tls), ("pop.old.123.com", 1110, "none"))
        self.assertEqual(self.connections[0].user, b"user%123.com")

    def test_a_slot_is_held_until_the_source_is_left(self) -> None:
        opening = self.open()
        self.connections[0].login_result.callback(None)
        source = self.successResultOf(opening)
        self.assertEqual(self.slots_free(), 1)
        source.abort()
        source.abort()
        self.assertEqual(self.slots_free(), 2)

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

    def open_without_answer(self) -> tuple[Deferred[Source], Deferred[None]]:
        """A connection under way, and what it waits for."""
        self.connecting = connecting = Deferred()
        return self.open(), connecting

    def test_a_move_that_comes_back_is_told_in_its_own_words(self) -> None:
        reopen = self.door.reopener(USER, Secret(b"secret"))
        for error, kind in ((LoginRejected("no"), SourceUnusable), (MaildropInUse("locked"), SourceLost)):

            async def open_again() -> Source:
                return await reopen()

            opening = Deferred.fromCoroutine(open_again())
            self.connections[-1].login_result.errback(error)
            self.failureResultOf(opening, kind)
        self.assertEqual(self.slots_free(), 2)
