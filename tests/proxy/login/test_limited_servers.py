"""Many users at once at legacy servers that allow little: real connections, over loopback."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IAddress

from mailstore.accounts import State
from proxy.legacy.settings import Legacy
from proxy.login import legacy as door
from proxy.migration import schedule
from proxy.wire.door import Credentials, Hold, Home, Secret
from tests.legacy.server import LegacyProtocol, LegacyServer
from tests.proxy.login import test_login_end_to_end as end_to_end
from tests.proxy.login.login_rig import CONFIG, PASSWORD
from tests.proxy.migration.scripted import mail

reactor: Any = _reactor


class LimitedServer(LegacyServer):
    """Greets no more than `limit` at a time, as Dovecot's mail_max_userip_connections and many hosts' firewalls do."""

    limit = 4
    refused = 0
    most = 0

    def buildProtocol(self, addr: IAddress | None) -> LegacyProtocol:
        connection = super().buildProtocol(addr)
        self.most = max(self.most, len(self.open) + 1)
        if len(self.open) >= self.limit:
            self.refused += 1
            greeting = b"-ERR [SYS/TEMP] too many connections"
            connection.how = replace(self.behaviour, greeting=greeting, capabilities=None, hang_up_at=frozenset())
        return connection


class Limited(end_to_end.EndToEnd):
    timeout = 60

    def setUp(self) -> None:
        super().setUp()
        self.patch(door, "Legacy", Legacy)  # a busy machine may be late
        self.patch(door, "PATIENCE", 60.0)
        self.patch(schedule, "FIRST_PAUSE", 0.05)
        self.patch(end_to_end, "LegacyServer", LimitedServer)

    def log_in_as(self, name: bytes) -> Deferred[Home]:
        credentials = Credentials(name, Secret(PASSWORD), "imap", "192.0.2.1")
        return Deferred.fromCoroutine(self.gate.login(credentials, Hold()))

    def test_at_nine_o_clock_all_get_in_though_the_server_allows_fewer_than_it_should(self) -> Deferred[None]:
        async def test() -> None:
            self.patch(end_to_end, "CONFIG", CONFIG.replace("{connections}", "20"))
            server = await self.serve([mail(n) for n in range(3)])
            assert isinstance(server, LimitedServer)
            homes = await gatherResults([self.log_in_as(b"user%d" % n) for n in range(50)], consumeErrors=True)
            self.assertEqual(len(homes), 50)
            for home in homes:
                home.close()
            await self.settled()
            self.assertEqual({account.state for account in self.accounts.list()}, {State.MOVED})
            self.assertEqual(server.passwords, 50)  # nobody was asked for twice
            self.assertLess(server.refused, 50)
            self.assertIn("legacy server busy", [event for _, event, _ in self.log.lines])

        return self.run_async(test())

    def test_no_faster_than_the_configuration_says(self) -> Deferred[None]:
        """Four mailboxes of 600 kB together, at 800 kB a second."""

        async def test() -> None:
            limited = CONFIG.replace("connections =", 'bandwidth = "800K"\nconnections =')
            self.patch(end_to_end, "CONFIG", limited)
            await self.serve([mail(n, 20_000) for n in range(30)])
            began = reactor.seconds()
            homes = await gatherResults([self.log_in_as(b"user%d" % n) for n in range(4)])
            took = reactor.seconds() - began
            for home in homes:
                self.assertEqual(len(await self.inbox(home)), 30)
                home.close()
            await self.settled()
            self.assertTrue(took > 2.0, took)  # 2.4 MB; a quarter of a second's worth is ahead, and some is small

        return self.run_async(test())

    def test_a_move_in_the_background_makes_room_for_a_first_login(self) -> Deferred[None]:
        """One connection, which a long move has."""

        async def test() -> None:
            self.patch(end_to_end, "CONFIG", CONFIG.replace("{connections}", "1"))
            server = await self.serve([mail(n) for n in range(200)], pieces=300)
            long = self.accounts.add("long", "123.com")
            sealed = self.mover._sealer.seal(long.name, PASSWORD)
            self.accounts.password_given(long.id, sealed)
            self.queue.ask([long.id])
            await self.rounds.start()
            await self.until(lambda: server.asked(b"RETR") > 0)
            home = await self.log_in_as(b"user")
            self.assertEqual(len(await self.inbox(home)), 200)
            home.close()
            self.assertIn("move gives way", [event for _, event, _ in self.log.lines])
            await self.until(lambda: self.accounts.get(long.id).state is State.MOVED)
            await self.settled()
            self.assertEqual(self.accounts.get(long.id).messages_done, 200)
            self.assertEqual(server.most, 1)

        return self.run_async(test())
