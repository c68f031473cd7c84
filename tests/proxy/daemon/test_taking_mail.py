"""A daemon that is handed mail: before, during and after a move, with users looking, and when it stops."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint, connectProtocol
from twisted.internet.task import deferLater

from mailstore.accounts import Accounts
from mailstore.database import AccountsDatabase
from proxy.config import Config
from proxy.daemon.service import Daemon
from tests.legacy.server import LegacyServer
from tests.proxy.daemon.test_daemon import LOGIN, Client, DaemonTestCase, reactor


class TakingMail(DaemonTestCase):
    def settings(self, port: int) -> Config:
        found = super().settings(port)
        listen = found.listen.model_copy(update={"lmtp": (f"unix:{self.state}/lmtp",)})
        return found.model_copy(update={"listen": listen})

    def add(self, *users: str) -> None:
        database = AccountsDatabase(self.state / "accounts.db")
        for user in users:
            Accounts(database).add(user, "123.com")
        database.close()

    async def lmtp(self) -> Client:
        client = Client()
        await connectProtocol(UNIXClientEndpoint(reactor, f"{self.state}/lmtp"), client)
        self.clients.append(client)
        await client.expect(b"220")
        await client.ask(b"LHLO mx", b"250 SIZE")
        return client

    async def hand_in(self, client: Client, text: bytes, *users: str) -> None:
        await client.ask(b"MAIL FROM:<>", b"250")
        for user in users:
            await client.ask(b"RCPT TO:<%b@123.com>" % user.encode(), b"250")
        await client.ask(b"DATA", b"354")
        await client.ask(b"Subject: %b\r\n\r\n%b\r\n." % (text, text), b"250")
        for _ in users[1:]:
            await client.expect(b"250")

    async def subjects(self, client: Client) -> list[bytes]:
        """Of what is behind the twenty messages of the old mailbox."""
        fetch = b"f UID FETCH 21:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)])"
        assert client.transport is not None
        client.transport.write(fetch + b"\r\n")
        found = []
        while not (line := await client.expect(b"")).startswith(b"f OK"):
            found += [line.removeprefix(b"Subject: ")] if line.startswith(b"Subject") else []
        return found

    def test_before_during_and_after_a_move(self) -> Deferred[None]:
        async def test() -> None:
            legacy: LegacyServer = self.legacy()
            self.add("user")
            daemon: Daemon = await self.daemon(legacy.port)
            mail = await self.lmtp()
            await self.hand_in(mail, b"before", "user")
            imap = await self.imap(daemon)
            login = imap.ask(b"a " + LOGIN, b"a OK")
            await self.hand_in(mail, b"during", "user")
            await login
            await self.until(lambda: not daemon._mover.moves.accounts())
            await imap.ask(b"b SELECT INBOX", b"* 22 EXISTS")
            self.assertEqual(await self.subjects(imap), [b"before", b"during"])
            await imap.ask(b"c IDLE", b"+ ")
            await self.hand_in(mail, b"after", "user")
            await imap.expect(b"* 23 EXISTS")
            await imap.ask(b"DONE", b"c OK")
            self.assertEqual(await self.subjects(imap), [b"before", b"during", b"after"])
            await self.stop(daemon)

        return self.run_async(test())

    def test_what_is_half_there_when_it_stops_stays_with_the_sender(self) -> Deferred[None]:
        async def test() -> None:
            self.add("user", "other")
            daemon = await self.daemon(1)
            whole, half = await self.lmtp(), await self.lmtp()
            await self.hand_in(whole, b"whole", "user", "other")
            await half.ask(b"MAIL FROM:<>", b"250")
            await half.ask(b"RCPT TO:<user@123.com>", b"250")
            await half.ask(b"DATA", b"354")
            assert half.transport is not None
            half.transport.write(b"Subject: half\r\n\r\nha")
            await deferLater(reactor, 0)
            leaving = half.expect(b"421")
            await self.stop(daemon)
            await leaving
            self.assertFalse((self.state / "lmtp").exists())
            for user in ("user", "other"):
                new = self.state / "mail" / "123.com" / user / "Maildir" / "new"
                (file,) = new.iterdir()
                self.assertTrue(file.read_bytes().endswith(b"\r\n\r\nwhole\r\n"))

        return self.run_async(test())
