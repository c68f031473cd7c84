"""A whole daemon that another program asks for passwords."""

from __future__ import annotations

import base64

from twisted.internet.defer import Deferred

from mailstore.accounts import State
from proxy.config import Config, Listen
from tests.proxy.daemon.test_daemon import Client, DaemonTestCase
from tests.proxy.login.login_rig import PASSWORD

FREE = ("tcp:0:interface=127.0.0.1",)
AUTH = 2  # behind imap and pop3


class AskedTestCase(DaemonTestCase):
    def settings(self, port: int) -> Config:
        listen = Listen.model_construct(imap=FREE, pop3=FREE, auth=FREE)
        return super().settings(port).model_copy(update={"listen": listen})

    def ask(self, client: Client, password: bytes = PASSWORD) -> None:
        assert client.transport is not None
        response = base64.b64encode(b"\0user\0" + password)
        client.transport.write(b"VERSION\t1\t2\nCPID\t1\nAUTH\t1\tPLAIN\tsecured\tresp=" + response + b"\n")

    async def answer(self, client: Client, start: bytes) -> None:
        await self.until(lambda: b"\n" + start in client.seen)


class Asked(AskedTestCase):
    def test_a_password_begins_the_move_and_the_stop_waits_for_nobody(self) -> Deferred[None]:
        async def test() -> None:
            daemon = await self.daemon(self.legacy().port)
            right, wrong = await self.connect(daemon, AUTH), await self.connect(daemon, AUTH)
            self.ask(right)
            await self.answer(right, b"OK\t1\tuser=user@123.com\n")
            await self.until(lambda: self.account_state(daemon) is State.MOVED)
            self.ask(wrong, b"guess")
            await self.answer(wrong, b"FAIL\t1\treason=wrong user name or password\n")
            await self.stop(daemon)
            await right.gone
            await wrong.gone

        return self.run_async(test())


class AskedWithWorkers(Asked):
    """All that holds for one process."""

    def settings(self, port: int) -> Config:
        return super().settings(port).model_copy(update={"workers": 2})


class Stopped(AskedTestCase):
    def test_a_stop_while_the_old_server_is_asked(self) -> Deferred[None]:
        async def test() -> None:
            legacy = self.legacy(greeting=b"")
            daemon = await self.daemon(legacy.port)
            client = await self.connect(daemon, AUTH)
            self.ask(client)
            await self.until(lambda: legacy.connections > 0)
            await self.stop(daemon)
            await client.gone
            self.assertIn(b"FAIL\t1\treason=the server is going down, try again later\ttemp\t", client.seen)

        return self.run_async(test())
