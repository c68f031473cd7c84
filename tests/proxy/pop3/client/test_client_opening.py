"""What a connection begins with, beside TLS: capabilities that change what comes later, and servers that hang up."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor

from proxy.pop3.client import Connection, LegacyUnreachable, Pace, Window, connect
from proxy.wire.door import Secret
from tests.legacy.served import ServedCase
from tests.legacy.server import LISTED, Behaviour, LegacyServer
from tests.legacy.shelf import Shelf

BARE = b"Subject: bare\n\none\n.\n..\n.three\n"


class OpeningTests(ServedCase):
    async def logged_in(self, *messages: bytes, **how: Any) -> tuple[Connection, LegacyServer]:
        server = self.listening(LegacyServer(messages, Behaviour(**how)))
        connection = self.dropped_behind(await connect(reactor, self.legacy(reply_timeout=2.0)))
        await connection.login(b"joe", Secret(b"secret"))
        return connection, server

    async def test_utf8_is_said_before_the_login_where_a_server_knows_it(self) -> None:
        """RFC 6856 2.1: the server may keep 8-bit headers from a client that has not said it. Courier does."""
        capabilities = (*LISTED, b"UTF8 USER")
        _, server = await self.logged_in(capabilities=capabilities, answers={b"UTF8": b"+OK\r\n"})
        self.assertEqual(server.commands[:3], [b"CAPA", b"UTF8", b"USER joe"])

    async def test_utf8_that_is_refused_keeps_nobody_out(self) -> None:
        await self.logged_in(capabilities=(*LISTED, b"UTF8"), answers={b"UTF8": b"-ERR not today\r\n"})

    async def test_utf8_is_not_said_to_others(self) -> None:
        for capabilities in (LISTED, None):
            _, server = await self.logged_in(capabilities=capabilities)
            self.assertEqual(server.asked(b"UTF8"), 0)

    async def test_a_server_that_hangs_up_at_once_is_told_of_with_what_may_be_the_reason(self) -> None:
        server = LegacyServer([], Behaviour(greeting=b"bye", hang_up_at=frozenset()))
        server.buildProtocol = lambda _address: None  # type: ignore[method-assign,assignment,return-value]
        self.listening(server)
        with self.assertRaises(LegacyUnreachable) as caught:
            await connect(reactor, self.legacy())
        self.assertIn("`connections`", str(caught.exception))

    async def fetched(self, implementation: bytes, wire: bytes) -> bytes:
        connection, _ = await self.logged_in(
            b"", capabilities=(*LISTED, b"IMPLEMENTATION " + implementation), answers={b"RETR": b"+OK\r\n" + wire}
        )
        shelf = Shelf()
        await connection.retrieve([1], {1: None}, shelf, Pace(Window()))
        return shelf.messages[1]

    async def test_dots_behind_bare_line_feeds_are_doubled_by_cyrus_alone(self) -> None:
        """Cyrus 3.6 (imap/pop3d.c) reads a message by fgets and puts a dot before every line with one."""
        doubled = BARE.replace(b"\n.", b"\n..")
        self.assertEqual(await self.fetched(b"Cyrus POP3 3.6.1", doubled + b".\r\n"), BARE)
        self.assertEqual(await self.fetched(b"Another 1.0", doubled + b"\r\n.\r\n"), doubled + b"\r\n")
