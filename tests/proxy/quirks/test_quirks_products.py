"""Whole servers that cannot be installed here, with all that is known of each at once: how it greets, what it can do,
how it sizes messages, what it refuses. How most of them name messages is not told of anywhere: names are plain here,
and in `test_quirks_listings` they are as odd as they can be."""

from __future__ import annotations

from collections import deque

from twisted.internet.defer import Deferred

from tests.legacy.quirks import Source
from tests.legacy.server import unique_id
from tests.proxy.quirks.rig import MAILS, Carried, QuirkTestCase, rows

NUMBERS = range(1, len(MAILS) + 1)
PROBES = Source("Greetings of POP3 servers", "nmap/nmap: nmap-service-probes")
EXCHANGE_POP3 = Source(
    "[MS-STANXPOP3]: Exchange Post Office Protocol Version 3 (POP3) Standards Support",
    "https://learn.microsoft.com/en-us/openspecs/exchange_standards/ms-stanxpop3/192babec-7a86-49dd-88e0-c747734f0bd0",
)
EXACT_SIZES = Source(
    "PopImapAdConfiguration.EnableExactRFC822Size: sizes are exact only if that is chosen",
    "https://learn.microsoft.com/en-us/previous-versions/exchange-server/exchange-150/ff344738(v=exchg.150)",
)
MIME_SIZE = Source(
    "In Exchange 2003 the MIME size can be different before the message was retrieved",
    "https://msdn.microsoft.com/en-us/library/ee202389(v=exchg.80).aspx",
)
HMAIL = Source(
    "hMailServer's POP3 server", "hmailserver/hmailserver: hmailserver/source/Server/POP3/POP3Connection.cpp"
)


def estimates(by: int) -> dict[int, bytes]:
    """Sizes that are what a message takes in a store, and not what is sent."""
    return {number: b"%d" % (len(message) + by * (number % 3 - 1)) for number, message in enumerate(MAILS, 1)}


PRODUCTS = (
    Carried(
        "exchange_2003",
        (Source("Does POP3 NTLM authentication mechanisms works correctly?", "jstedfast/MailKit#391"), MIME_SIZE),
        {"commands": 40},
        {
            "greeting": b"+OK Microsoft Exchange Server 2003 POP3 server version 6.5.7638.1 (domain.net) ready.",
            "capabilities": (b"TOP", b"USER", b"PIPELINING", b"EXPIRE NEVER", b"UIDL", b"SASL NTLM"),
            "answers": {b"AUTH": b"+OK\r\n"},
            "sizes": estimates(400),
        },
    ),
    Carried(
        "exchange_2007_to_2019",
        (
            Source("Fetchmail - ERR Command is not valid in this state", "simonrob/email-oauth2-proxy#162"),
            Source("Unexpected response from server", "jstedfast/MailKit#1636"),
            EXCHANGE_POP3,
            EXACT_SIZES,
        ),
        {"welcome": b"User successfully logged on."},
        {
            "greeting": b"+OK The Microsoft Exchange POP3 service is ready. [QwBIADIAUABSADEANABDAEEA]",
            "capabilities": (b"TOP", b"UIDL", b"SASL PLAIN", b"USER"),
            "answers": {b"STLS": b"-ERR Command is not valid in this state.\r\n"},
            "sizes": estimates(1 << 16),
        },
    ),
    Carried(
        "domino",
        (
            PROBES,
            Source(
                "POP3 LIST exports the messages to get their sizes",
                "https://ds-infolib.hcltechsw.com/ldd/dominowiki.nsf/dx/Notes_Domino_POP3_configuration",
            ),
        ),
        behaviour={
            "greeting": b"+OK Lotus Notes POP3 server version Release 8.5.3 ready on mail/Org.",
            "capabilities": None,
        },
    ),
    Carried(
        "domino_before_6_5_5",
        (
            Source(
                "The Domino POP server does not support APOP, but versions prior to 6.5.5 present a timestamp",
                "https://thearchivebase.com/question/i-wrote-a-program-for-retrieving-mail-from-pop3-servers-one-of-its-"
                "users/",
            ),
        ),
        behaviour={
            "greeting": b"+OK Lotus Notes POP3 server version X2.0 ready",
            "capabilities": None,
            "apop": "refused",
        },
    ),
    Carried(
        "mdaemon",
        (
            PROBES,
            Source("POP3 client may not detect server's APOP capability", "jstedfast/MailKit#529"),
            Source("What is the purpose of LCK files?", "https://www.altn.com/Support/FAQ/FAQResults/?Number=247"),
        ),
        {"one_session": b"-ERR Maildrop already locked", "stale": 1, "closes": frozenset({6})},
        {
            "greeting": b"+OK mail.test POP MDaemon 17.5.1 ready",
            "apop": "works",
            "capabilities": (b"TOP", b"USER", b"UIDL"),
        },
    ),
    Carried(
        "icewarp",
        (
            Source(
                "IceWarp: message downloads can overlap; POP3 locking", "https://dl.icewarp.com/online_help/420.htm"
            ),
            Source("A greeting: IceWarp 10.3.5 RHEL5 POP3", "public list of version strings, found by these words"),
        ),
        behaviour={
            "greeting": b"+OK mail.test IceWarp 10.3.5 RHEL5 POP3",
            "apop": "works",
            "capabilities": (b"TOP", b"USER", b"UIDL", b"APOP"),
        },
    ),
    Carried(
        "hmailserver",
        (HMAIL, Source("POP3D -ERR Invalid command in current state.", "hmailserver/hmailserver#230")),
        {"numbers": tuple(2 * n for n in NUMBERS), "stat": b"12 1164", "welcome": b"Mailbox locked and ready"},
        {
            "greeting": b"+OK POP3",
            "capabilities": (b"USER", b"UIDL", b"TOP"),
            "answers": {b"AUTH": b"-ERR Invalid command in current state.\r\n"},
            "uidls": {2 * n: b"%d" % (577_985 + n) for n in NUMBERS},
        },
        uidls=[b"%d" % (577_985 + n) for n in NUMBERS],
    ),
    Carried(
        "davmail",
        (Source("POP3 socket closed too early", "mguessan/davmail#102"),),
        {"commands": 30},
        {
            "greeting": b"+OK DavMail 5.5.0-trunk POP ready at Sun Apr 19 00:16:57 CEST 2020",
            "capabilities": (b"USER", b"UIDL", b"TOP"),
            "sizes": estimates(900),
        },
    ),
    Carried(
        "openmail",
        (Source("HP OpenMail: sizes rounded to 1,024 octets, TOP that fails", "The fetchmail FAQ, S3"),),
        behaviour={
            "capabilities": None,
            "sizes": dict.fromkeys(NUMBERS, b"1024"),
            "answers": {b"TOP": b"-ERR TOP failed\r\n"},
            "pipelining": "keeps",
        },
    ),
)


@rows(PRODUCTS, QuirkTestCase.carries_over)
class Products(QuirkTestCase):
    pass


class HMailServer(QuirkTestCase):
    def test_messages_that_another_session_marked_as_deleted(self) -> Deferred[None]:
        """LIST and UIDL leave out what is marked, STAT does not count it, and the numbers keep their gaps
        (hmailserver/hmailserver: hmailserver/source/Server/POP3/POP3Connection.cpp)"""

        async def test() -> None:
            marked = {3, 4, 12}
            there = [n for n in NUMBERS if n not in marked]
            await self.quirky({"listed": there, "stat": b"9 900"}, vanished=frozenset(marked))
            home = await self.admitted()
            await self.assert_here(home, [MAILS[n - 1] for n in there])
            await self.settled()
            self.assertEqual(self.account().reason, "")
            self.server.habits.listed = self.server.habits.named = ()
            self.server.habits.stat = b""
            self.server.behaviour.vanished = frozenset()
            await self.look_again()  # it was not deleted after all
            await self.assert_here(home, [*(MAILS[n - 1] for n in there), *(MAILS[n - 1] for n in sorted(marked))])

        return self.run_async(test())

    def test_numbers_that_shift_when_a_message_before_is_deleted(self) -> Deferred[None]:
        """Message numbers are of a session, unique-ids are for good (RFC 1939 7); Re-indexing of entire POP3-mailbox
        after removing some messages (jorritfolmer/TA-dmarc#36)"""

        async def test() -> None:
            server = await self.quirky()
            home = await self.admitted()
            await self.settled()
            server.messages[:] = [*MAILS[4:], *(b"Subject: new\r\n\r\n%d\r\n" % n for n in range(3))]
            await self.look_again()
            await self.assert_here(home, [*MAILS, *server.messages[-3:]])
            self.assertEqual(server.asked(b"RETR"), 15)
            self.assertEqual(len(set(map(unique_id, server.messages))), 11)

        return self.run_async(test())


class InChina(QuirkTestCase):
    """All at once what is told of QQ, exmail, NetEase and hosts like them, 263 among these (of which nobody has put
    the very words in public)."""

    def test_one_session_few_logins_thirty_days_and_words_in_gb18030(self) -> Deferred[None]:
        """登录太频繁, in GBK (zhangyunhao116/zmail#30); Can't get the letter (zhangyunhao116/zmail#22); Download exceed
        (zhangyunhao116/zmail#115); the default is 30 days (zhangyunhao116/zmail#95)"""

        async def test() -> None:
            refused = "-ERR 登录太频繁，请稍后再试".encode("gb18030")
            habits: dict[str, object] = {
                "newest": 10,
                "one_session": "-ERR 您的邮箱正在使用中".encode("gb18030"),
                "stale": 1,
                "retrievals": 6,
                "over": b"-ERR Download exceed. msg=6",
                "again": deque([refused, refused]),
                "refuses": {9: "-ERR 邮件不存在".encode("gb18030")},
                "names": frozenset({b"user@123.com"}),
            }
            self.legacy = 'login = "full"'
            greeting = b"+OK Welcome to coremail Mail Pop3 Server (qiye163coms[726cd87d72d896a1ac393507])"
            server = await self.quirky(habits, greeting=greeting, capabilities=(b"TOP", b"USER", b"UIDL"))
            home = await self.admitted()
            there = [*MAILS[2:10], MAILS[11]]
            await self.assert_here(home, there)
            await self.settled()
            (reason,) = await self.reasons(home)
            self.assertIn("邮件不存在", reason)
            self.assertRegex(self.account().reason, "^1 message .* in quarantine .*; NetEase lists")
            server.messages += [b"Subject: new\r\n\r\nnew\r\n"]
            server.habits.refuses = {}
            await self.look_again()
            await self.assert_here(home, [*there, server.messages[-1], MAILS[10]])  # it was there after all
            self.assertEqual((server.deletions, len(server.habits.again)), (0, 0))

        return self.run_async(test())
