"""Logins through the real client, over loopback, against a legacy server that misbehaves as real ones do."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from mailstore import secrets
from mailstore.accounts import Accounts, State
from mailstore.database import AccountsDatabase
from mailstore.index.folders import INBOX_ID
from mailstore.mailbox_database import MailboxEngine
from mailstore.mailhome import MailHome
from mailstore.queue import Queue
from mailstore.secrets import Sealer
from proxy import config
from proxy.legacy.settings import Legacy
from proxy.login import legacy as door
from proxy.login.gate import LoginGate
from proxy.login.homes import Homes
from proxy.login.legacy import LegacyDoor
from proxy.login.mover import Mover
from proxy.login.rounds import Rounds
from proxy.migration import pauses
from proxy.pop3.client import connection as pop3_client
from proxy.wire.door import Credentials, Hold, Home, LoginRefused, Refusal, Secret
from tests.legacy.server import Behaviour, LegacyServer
from tests.proxy.login.login_rig import CHEAP, CONFIG, PASSWORD
from tests.proxy.migration.scripted import folder, mail
from tests.proxy.recording import RecordingLog

reactor: Any = _reactor

SMALL = [mail(n) for n in range(1, 31)]
ODD = [b"\r\n", b"A: b\n\nbare\nLF\r\n", b".\r\n..\r\n.x\r\n", b"\0\xff\r\n", b"x" * 300_000 + b"\r\n"]


class EndToEnd(TestCase):
    timeout = 60

    def setUp(self) -> None:
        self.patch(secrets, "_hasher", CHEAP)
        self.patch(pauses, "PAUSES", (0.0, 0.0, 0.0, 0.0))
        self.patch(pauses, "WAITS", (0.0,) * len(pauses.WAITS))
        self.patch(pop3_client, "PROBE_TIME", 0.2)
        self.patch(door, "Legacy", self.impatient)
        self.patch(door, "PATIENCE", 0.0)
        self.state = folder(self)
        self.log = RecordingLog()
        self.handed: list[Home] = []
        self.server: LegacyServer | None = None

    @staticmethod
    def impatient(**settings: Any) -> Legacy:
        return Legacy(**settings, reply_timeout=0.5, opening_timeout=1.0)

    async def serve(self, messages: Sequence[bytes], **behaviour: Any) -> LegacyServer:
        return self.serve_from(LegacyServer(messages, Behaviour(password=PASSWORD, **behaviour)))

    def configuration(self, port: int) -> str:
        return CONFIG.format(state=self.state, accounts="open", port=port, connections=5)

    def serve_from(self, server: LegacyServer) -> LegacyServer:
        """A daemon's worth of login in front of this legacy server."""
        self.server = server
        server.listen(reactor)
        self.addCleanup(lambda: Deferred.fromCoroutine(server.close()))
        settings = config.parse(self.configuration(server.port).encode())
        database = AccountsDatabase(settings.accounts_file)
        self.addCleanup(database.close)
        self.accounts = Accounts(database)
        sealer = Sealer(b"k" * secrets.KEY_OCTETS)
        self.homes = Homes(MailboxEngine(), in_thread=deferToThread, from_thread=reactor.callFromThread)
        self.addCleanup(lambda: Deferred.fromCoroutine(self.homes.closed()))
        self.door = LegacyDoor(settings, reactor, self.log.warning)
        shared: dict[str, Any] = {"reactor": reactor, "in_thread": deferToThread, "log": self.log}
        self.mover = Mover(settings, self.accounts, sealer, self.homes, self.door, **shared)
        self.queue = Queue(database)
        self.rounds = Rounds(
            self.door.hosts,
            self.queue,
            self.mover,
            clock=reactor,
            in_thread=deferToThread,
            log=self.log,
            every=settings.migration.round,
        )
        self.addCleanup(lambda: Deferred.fromCoroutine(self.rounds.stop()))
        self.gate = LoginGate(settings, self.accounts, sealer, self.homes, self.door, self.mover, **shared)
        return server

    def log_in(self, password: bytes = PASSWORD) -> Deferred[Home]:
        credentials = Credentials(b"user", Secret(password), "imap", "192.0.2.1")
        return Deferred.fromCoroutine(self.gate.login(credentials, Hold()))

    async def admitted(self, login: Deferred[Home] | None = None) -> Home:
        home = await (self.log_in() if login is None else login)
        self.addCleanup(home.close)
        return home

    async def inbox(self, home: Home) -> list[bytes]:
        def read(store: MailHome) -> list[bytes]:
            messages = []
            for row in store.maildrop():
                with store.open(INBOX_ID, row.uid) as content:
                    messages.append(bytes(content.whole()))
            return messages

        return await home.run(read)

    async def until(self, true: Callable[[], bool]) -> None:
        while not true():
            await deferLater(reactor, 0.005)

    async def settled(self) -> None:
        """Nothing is under way any more, at the legacy server or here."""
        await self.until(lambda: self.server is not None and not self.server.open)
        await self.until(lambda: not self.mover.moves.accounts())
        schedule = self.door.host_of("123.com").schedule
        await self.until(lambda: schedule.in_use == 0)

    def run_async(self, test: Coroutine[Deferred[Any], Any, None]) -> Deferred[None]:
        return Deferred.fromCoroutine(test)

    async def carries(self, messages: list[bytes], expected: list[bytes] | None = None, **behaviour: Any) -> None:
        """A first login brings just these messages, and a second one needs nobody."""
        server = await self.serve(messages, **behaviour)
        home = await self.admitted()
        self.assertTrue(await self.inbox(home) == (messages if expected is None else expected))
        await self.settled()
        self.assertEqual(server.deletions, 0)
        passwords = server.passwords
        await self.admitted()
        self.assertEqual(server.passwords, passwords)

    def quarantined(self, count: int) -> None:
        account = self.accounts.find("user", "123.com")
        assert account is not None
        self.assertIs(account.state, State.MOVED)
        self.assertEqual(account.messages_total - account.messages_done, count)
        self.assertIn(f"{count} message", account.reason)


class GoodServers(EndToEnd):
    def test_small_and_odd_messages(self) -> Deferred[None]:
        return self.run_async(self.carries(SMALL + ODD))

    def test_an_empty_mailbox(self) -> Deferred[None]:
        return self.run_async(self.carries([]))

    def test_no_capa_no_uidl(self) -> Deferred[None]:
        return self.run_async(self.carries(SMALL, capabilities=None, uidl=False))

    def test_a_few_octets_at_a_time(self) -> Deferred[None]:
        return self.run_async(self.carries(SMALL[:5], pieces=7))

    def test_the_same_name_for_every_message(self) -> Deferred[None]:
        return self.run_async(self.carries(SMALL, uidls=dict.fromkeys(range(1, 31), b"same")))


class FaultyServers(EndToEnd):
    def test_sizes_that_are_not_true(self) -> Deferred[None]:
        sizes = {1: b"0", 2: b"999999999", 3: b"", 4: b"many"}
        return self.run_async(self.carries(SMALL, sizes=sizes))

    def test_commands_in_one_packet_are_dropped(self) -> Deferred[None]:
        return self.run_async(self.carries(SMALL, capabilities=(b"UIDL",), pipelining="drops"))

    def test_commands_in_one_packet_stay_in_a_buffer(self) -> Deferred[None]:
        return self.run_async(self.carries(SMALL, capabilities=(b"UIDL",), pipelining="keeps"))

    def test_pipelining_is_announced_and_does_not_work(self) -> Deferred[None]:
        async def test() -> None:
            await self.carries(SMALL, pipelining="drops")
            assert self.server is not None
            self.assertLess(self.server.connections, 4)

        return self.run_async(test())

    def test_messages_that_vanished_between_list_and_retr(self) -> Deferred[None]:
        async def test() -> None:
            await self.carries(SMALL, SMALL[:4] + SMALL[5:29], vanished=frozenset({5, 30}))
            self.quarantined(2)

        return self.run_async(test())

    def test_a_message_in_whose_middle_the_connection_is_reset(self) -> Deferred[None]:
        return self.one_bad_message(reset_in=7)

    def test_a_message_in_whose_middle_the_connection_is_closed(self) -> Deferred[None]:
        return self.one_bad_message(cut_in=7)

    def test_a_message_in_whose_middle_nothing_more_comes(self) -> Deferred[None]:
        return self.one_bad_message(stop_in=7)

    def one_bad_message(self, **behaviour: int) -> Deferred[None]:
        async def test() -> None:
            await self.carries(SMALL, SMALL[:6] + SMALL[7:], **behaviour)
            self.quarantined(1)

        return self.run_async(test())

    def test_a_server_that_hangs_up_at_list(self) -> Deferred[None]:
        return self.never_listed(hang_up_at=frozenset({b"LIST"}))

    def test_a_server_that_never_answers_list(self) -> Deferred[None]:
        self.patch(door, "Legacy", lambda **settings: Legacy(**settings, reply_timeout=0.1, opening_timeout=0.1))
        return self.never_listed(silent_at=frozenset({b"LIST"}))

    def test_a_server_that_refuses_list(self) -> Deferred[None]:
        return self.never_listed(answers={b"LIST": b"-ERR not today\r\n"})

    def never_listed(self, **behaviour: Any) -> Deferred[None]:
        async def test() -> None:
            server = await self.serve(SMALL, **behaviour)
            refused = await self.assertFailure(self.log_in(), LoginRefused)
            self.assertIs(refused.refusal, Refusal.UNAVAILABLE)
            await self.settled()
            account = self.accounts.find("user", "123.com")
            assert account is not None
            self.assertIs(account.state, State.MOVING)
            self.assertTrue(account.reason)
            server.behaviour.hang_up_at = server.behaviour.silent_at = frozenset()
            server.behaviour.answers = {}
            self.assertTrue(await self.inbox(await self.admitted()) == SMALL)
            await self.settled()

        return self.run_async(test())


class Refused(EndToEnd):
    def refused_with(self, refusal: Refusal, *, password: bytes = PASSWORD, **behaviour: Any) -> Deferred[None]:
        async def test() -> None:
            await self.serve(SMALL, **behaviour)
            refused = await self.assertFailure(self.log_in(password), LoginRefused)
            self.assertIs(refused.refusal, refusal)
            await self.settled()
            self.assertIs(self.accounts.find("user", "123.com"), None)
            self.assertNotIn(password.decode(), repr(self.log.lines))

        return self.run_async(test())

    def test_a_wrong_password(self) -> Deferred[None]:
        return self.refused_with(Refusal.WRONG, password=b"a guess")

    def test_in_use(self) -> Deferred[None]:
        return self.refused_with(Refusal.IN_USE, login_refusal=b"-ERR [IN-USE] locked")

    def test_busy(self) -> Deferred[None]:
        return self.refused_with(Refusal.UNAVAILABLE, login_refusal=b"-ERR [SYS/TEMP] later")

    def test_a_greeting_of_something_else(self) -> Deferred[None]:
        return self.refused_with(Refusal.UNAVAILABLE, greeting=b"220 smtp.example ESMTP")

    def test_no_greeting(self) -> Deferred[None]:
        return self.refused_with(Refusal.UNAVAILABLE, greeting=b"")

    def test_hanging_up_at_the_password(self) -> Deferred[None]:
        return self.refused_with(Refusal.UNAVAILABLE, hang_up_at=frozenset({b"PASS"}))


class Overlapping(EndToEnd):
    def test_two_clients_share_one_move_and_one_of_them_leaves(self) -> Deferred[None]:
        async def test() -> None:
            server = await self.serve(SMALL, stop_in=20)
            first, second = self.log_in(), self.log_in()
            await self.until(lambda: server.asked(b"RETR") > 0)
            first.cancel()
            first.addErrback(lambda _: None)
            server.behaviour.stop_in = 0
            self.assertTrue(await self.inbox(await self.admitted(second)) == SMALL)
            await self.settled()
            self.assertEqual(server.connections, 2)  # the second after the silence

        return self.run_async(test())

    def test_stopped_in_mid_message_and_resumed_by_another_process(self) -> Deferred[None]:
        async def test() -> None:
            server = await self.serve(SMALL, stop_in=20)
            login = self.log_in()
            await self.until(lambda: server.asked(b"RETR") > 0)
            await self.mover.stop()
            await self.assertFailure(login, LoginRefused)
            await self.settled()
            await self.homes.closed()
            await server.close()
            again = await self.serve(SMALL)
            await self.rounds.start()
            home = await self.admitted()
            self.assertTrue(await self.inbox(home) == SMALL)
            await self.settled()
            self.assertEqual((again.passwords, again.deletions), (1, 0))

        return self.run_async(test())

    def test_more_logins_than_connections(self) -> Deferred[None]:
        async def test() -> None:
            server = await self.serve(SMALL)
            most = 0
            logins = []
            for number in range(12):
                credentials = Credentials(b"user%d" % number, Secret(PASSWORD), "imap", "192.0.2.1")
                logins.append(Deferred.fromCoroutine(self.gate.login(credentials, Hold())))
            for login in logins:
                most = max(most, len(server.open))
                await self.admitted(login)
            await self.settled()
            self.assertLessEqual(most, 5)
            self.assertEqual(server.connections, 12)

        return self.run_async(test())
