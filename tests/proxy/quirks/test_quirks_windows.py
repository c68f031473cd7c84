"""Servers that show part of a mailbox. What was listed once and came over is kept; what is not listed cannot be
carried over, and the administrator is told so (`proxy.migration.listing`)."""

from __future__ import annotations

import re

from twisted.internet.defer import Deferred

from mailstore.accounts import State
from proxy.migration import pauses
from proxy.wire.door import Home, LoginRefused
from tests.legacy.quirks import QuirkyServer, Source
from tests.legacy.server import unique_id
from tests.proxy.quirks.rig import MAILS, Carried, QuirkTestCase, rows

GPOP = b"+OK Gpop ready for requests from 192.0.2.1 l13mb529002861qtp"
GMAIL_CAPA = (
    *(b"USER", b"RESP-CODES", b"EXPIRE 0", b"LOGIN-DELAY 300", b"TOP", b"UIDL", b"X-GOOGLE-RICO"),
    b"SASL PLAIN XOAUTH2 OAUTHBEARER",
)
GMAIL = {"greeting": GPOP, "capabilities": GMAIL_CAPA}
GMAIL_SOURCES = (
    Source("A connection attempt failed…: CAPA of pop.gmail.com, and recent:", "jstedfast/MailKit#1131"),
    Source("LIST returns 265 messages", "node-pop3/node-pop3#2"),
    Source("POP (Gmail) troubles: a message is invisible once it was fetched", "wanderlust/wanderlust#118"),
    Source("Gmail's POP3 behavior", "http://www.limilabs.com/blog/gmail-pop3-behavior"),
    Source(
        "What non-standard behaviour features does Gmail exhibit: fetched messages are hidden at QUIT",
        "https://w3toppers.com/what-non-standard-behaviour-features-does-gmail-exhibit-when-it-is-programmatically-used-"
        "as-a-pop3-server/",
    ),
)
QQ = b"+OK QQMail POP3 Server v1.0 Service Ready(QQMail v2.0)"
NETEASE = b"+OK Welcome to coremail Mail Pop3 Server (126coms[f7aa0ed0270c139a0807240dd700906bs])"

REMARKED = (
    Carried(
        "gmail",
        GMAIL_SOURCES,
        {"oldest": 5, "pops": True},
        GMAIL,
        messages=MAILS[:5],
        remark="Gmail lists about 250 conversations.*EXPIRE 0",
    ),
    Carried(
        "gmail_in_recent_mode",
        GMAIL_SOURCES,
        {"names": frozenset({b"recent:user@123.com"}), "newest": 4},
        GMAIL,
        messages=MAILS[:4],
        remark="the last 30 days",
        legacy='login = "recent:{local}@{domain}"',
    ),
    Carried(
        "the_last_30_days_of_qq",
        (
            Source("server.stat() gives fewer mails: QQ's default is 30 days", "zhangyunhao116/zmail#62"),
            Source("The default is 30 days", "taoshihan1991/goflylivechat#2"),
        ),
        behaviour={"greeting": QQ},
        remark="QQ and exmail list the mail of the last 30 days",
    ),
    Carried(
        "the_last_30_days_of_netease",
        (Source("POP3 of 126.com gives the last 30 days by default", "zhangyunhao116/zmail#95"),),
        behaviour={"greeting": NETEASE},
        remark="NetEase lists the mail of the last 30 days",
    ),
    Carried(
        "the_same_software_elsewhere",
        (Source("Coremail of a university", "public notes on telnet mail.dlut.edu.cn 110"),),
        behaviour={"greeting": b"+OK Welcome to coremail Mail Pop3 Server (dlut.edu.cns[627644c969381353b51c])"},
    ),
    Carried(
        "the_newest_250",
        (
            Source(
                "POP3 listing displays the newest 250 messages in INBOX (configurable)",
                "https://github.com/nodemailer/wildduck/commit/c6fc094ecef0f1342b0c6430edb599c92c7d2eb8",
            ),
        ),
        behaviour={
            "greeting": b"+OK POP3 ready",
            "capabilities": (b"IMPLEMENTATION WildDuck-v1.40", b"UIDL", b"PIPELINING"),
        },
        remark="newest 250 messages",
    ),
    Carried(
        "a_server_that_keeps_all",
        (Source("RFC 2449 6.7: EXPIRE", "RFC 2449 6.7"),),
        behaviour={"capabilities": (b"USER", b"UIDL", b"EXPIRE NEVER")},
    ),
)


@rows(REMARKED, QuirkTestCase.carries_over)
class Remarked(QuirkTestCase):
    pass


class KeepsNothing(QuirkTestCase):
    """RFC 2449 6.7: EXPIRE 0, what was fetched is removed; RFC 1939 6: not before QUIT."""

    def test_it_removes_nothing_and_the_administrator_knows(self) -> Deferred[None]:
        async def test() -> None:
            server = await self.quirky({"pops": True}, capabilities=(b"USER", b"UIDL", b"EXPIRE 0"))
            home = await self.admitted()
            await self.assert_here(home, MAILS)
            await self.settled()
            self.assertEqual((server.popped, server.asked(b"QUIT")), (set(), 0))
            await self.look_again()
            await self.assert_here(home, MAILS)
            self.assertRegex(self.account().reason, "EXPIRE 0.*sessions end without QUIT")
            self.assertEqual(["EXPIRE 0" in warning for warning in self.warnings()], [True])  # once

        return self.run_async(test())


class Gmail(QuirkTestCase):
    """Conversations that no client has fetched, the oldest of them first; here five messages at a time."""

    async def first_login(self) -> tuple[QuirkyServer, Home]:
        server = await self.quirky({"oldest": 5, "pops": True}, **GMAIL)
        home = await self.admitted()
        await self.assert_here(home, MAILS[:5])
        await self.settled()
        return server, home

    def pop(self, server: QuirkyServer, *messages: bytes) -> None:
        """Another client of the user fetches them, and says QUIT."""
        server.popped.update(map(unique_id, messages))

    def test_nothing_is_changed_there(self) -> Deferred[None]:
        async def test() -> None:
            server, _ = await self.first_login()
            await self.look_again()
            self.assertEqual((server.popped, server.deletions), (set(), 0))
            self.assertEqual(server.asked(b"RETR"), 5)
            self.assertEqual(server.asked(b"QUIT"), 1)  # after the session that fetched nothing

        return self.run_async(test())

    def test_what_another_client_fetched_is_kept_and_what_is_listed_instead_comes_over(self) -> Deferred[None]:
        async def test() -> None:
            server, home = await self.first_login()
            self.pop(server, *MAILS[:5])
            await self.look_again()
            await self.assert_here(home, MAILS[:10])
            self.pop(server, *MAILS[5:9])
            await self.look_again()
            await self.assert_here(home, MAILS)
            self.assertEqual(server.asked(b"RETR"), len(MAILS))

        return self.run_async(test())

    def test_a_listing_that_is_empty_one_day_takes_nothing_away(self) -> Deferred[None]:
        async def test() -> None:
            server, home = await self.first_login()
            self.pop(server, *MAILS)
            await self.look_again()
            await self.assert_here(home, MAILS[:5])
            self.assertRegex(self.account().reason, "lists no messages any more, of 5.*; 5 came over and are kept")
            server.popped.clear()
            await self.look_again()
            await self.assert_here(home, MAILS[:5])
            self.assertNotIn("any more", self.account().reason)

        return self.run_async(test())

    def test_the_administrator_is_told_once(self) -> Deferred[None]:
        async def test() -> None:
            await self.first_login()
            await self.look_again()
            await self.look_again()
            told = [event for event in self.log.events("warning") if event == "moved with troubles"]
            self.assertEqual(len(told), 1)
            self.assertIs(self.account().state, State.MOVED)

        return self.run_async(test())


class Thirty(QuirkTestCase):
    """A window of recent days, as QQ, exmail and NetEase have by default; here four messages."""

    def test_the_window_moves_on_and_what_left_it_is_kept(self) -> Deferred[None]:
        """QQ's default is 30 days (zhangyunhao116/zmail#62); The default is 30 days (taoshihan1991/goflylivechat#2)"""

        async def test() -> None:
            server = await self.quirky({"newest": 4}, MAILS[:8], greeting=QQ)
            home = await self.admitted()
            await self.assert_here(home, MAILS[4:8])
            await self.settled()
            server.messages += MAILS[8:]
            await self.look_again()
            await self.assert_here(home, MAILS[4:])
            self.assertEqual(server.asked(b"RETR"), 8)

        return self.run_async(test())

    def test_a_user_who_chooses_all_of_it_later_finds_the_old_mail_behind_the_new(self) -> Deferred[None]:
        """POP3 can be set to all mail (zhangyunhao116/zmail#62); the client downloads what it has not seen, since a UID
        must not appear below one that was seen (RFC 3501 2.3.1.1)"""

        async def test() -> None:
            server = await self.quirky({"newest": 4}, greeting=QQ)
            home = await self.admitted()
            await self.settled()
            server.habits.newest = 0
            await self.look_again()
            await self.assert_here(home, MAILS[8:] + MAILS[:8])

        return self.run_async(test())


class Empty(QuirkTestCase):
    """A listing with nothing in it while a mailbox is still to come over."""

    async def interrupted(self) -> QuirkyServer:
        """The first session breaks off in the middle of the fifth message."""
        server = await self.quirky({"closes": frozenset({5}), "endings": {5: b""}, "hidden": frozenset()})
        self.patch_pauses()
        refused = await self.assertFailure(self.log_in(), LoginRefused)
        self.assertTrue(refused)
        await self.settled()
        server.habits.closes, server.habits.endings = frozenset(), {}
        self.assertIs(self.account().state, State.MOVING)
        return server

    def patch_pauses(self) -> None:

        self.patch(pauses, "PAUSES", ())

    def test_it_is_asked_for_a_second_time(self) -> Deferred[None]:
        """Empty message list when using Gmail with POP (Webklex/php-imap#255)"""

        async def test() -> None:
            server = await self.interrupted()
            all_of_it, server.habits.hidden = server.habits.hidden, frozenset(map(unique_id, MAILS))
            refused = await self.assertFailure(self.log_in(), LoginRefused)
            self.assertTrue(refused)
            self.assertRegex(
                self.account().reason, r"lists no messages any more, of 12 .*, \d+ of which are still to come"
            )
            server.habits.hidden = all_of_it
            await self.assert_here(await self.admitted(), MAILS)

        return self.run_async(test())

    def test_twice_empty_is_believed_and_said(self) -> Deferred[None]:
        """Empty message list when using Gmail with POP (Webklex/php-imap#255)"""

        async def test() -> None:
            server = await self.interrupted()
            self.patch_pauses_again()
            server.habits.hidden = frozenset(map(unique_id, MAILS))
            home = await self.admitted()
            kept = await self.inbox(home)
            self.assertTrue(set(kept) <= set(MAILS))
            self.assertRegex(self.account().reason, re.escape(f"{len(kept)} came over and are kept"))
            server.habits.hidden = frozenset()
            await self.look_again()
            self.assertEqual(sorted(await self.inbox(home)), sorted(MAILS))

        return self.run_async(test())

    def patch_pauses_again(self) -> None:

        self.patch(pauses, "PAUSES", (0.0, 0.0, 0.0))
