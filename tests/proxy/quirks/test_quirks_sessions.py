"""Servers that allow so much a session, or one session at a time: a move is worked off session by session, and waits
where it has to. Nothing is put into quarantine for what was not a message's fault."""

from __future__ import annotations

import threading
from collections import deque

from twisted.internet.defer import Deferred

from mailstore import secrets
from mailstore.accounts import State
from proxy.wire.door import LoginRefused, Refusal
from tests.legacy.quirks import Source
from tests.proxy.quirks.rig import MAILS, Carried, QuirkTestCase, rows

ONE_BY_ONE = {"capabilities": (b"UIDL",), "pipelining": "drops"}
EXCHANGE = (
    Source("Connections being forced closed", "simonrob/email-oauth2-proxy#118"),
    Source(
        "POP3 Error Msg=UserConnectionLimitReached: the connection will be forcibly closed",
        "https://ezcloudinfo.com/2017/04/25/pop3-error-msguserconnectionlimitreached/",
    ),
)
EXCEED = (
    Source("-ERR Download exceed. msg=10, of a business host of 163.com", "zhangyunhao116/zmail#115"),
    Source("POP3Client GetMessage throw Download Exceed", "jstedfast/MailKit#1320"),
)
EXCEEDED = b"-ERR Download exceed. msg=10"
STALE = (
    Source("Removing Stale POP3 Locks doesn't work", "justingit/dada-mail#335"),
    Source("POP3 maildrop lock and Outlook", "cyrusimap/cyrus-imapd#706"),
    Source("RFC 1939 3: an autologout timer of ten minutes at least", "RFC 1939 3"),
)
QQ_WORDS = (
    b"-ERR Login fail. Account is abnormal, service is not open, password is incorrect, login frequency limited, or "
    b"system is busy."
)

LIMITS = (
    Carried("so_many_messages_a_session", EXCHANGE, {"retrievals": 5}),
    Carried("so_many_messages_a_session_one_by_one", EXCHANGE, {"retrievals": 5}, ONE_BY_ONE),
    Carried(
        "so_many_messages_a_session_and_then_no", EXCEED, {"retrievals": 5, "over": b"-ERR Download exceed. msg=5"}
    ),
    Carried(
        "so_many_messages_a_session_and_a_few_are_left",
        EXCEED,
        {"retrievals": 10, "over": b"-ERR no more in this session"},
    ),
    Carried("so_many_commands_a_session", EXCHANGE, {"commands": 11}, ONE_BY_ONE),
    Carried("so_many_commands_a_session_pipelined", EXCHANGE, {"commands": 10}),
    Carried(
        "so_many_commands_a_session_and_then_no",
        EXCHANGE,
        {"commands": 12, "over": b"-ERR too many commands in this session"},
        ONE_BY_ONE,
    ),
    Carried("logins_that_are_welcomed_and_hung_up_on", EXCHANGE, {"drops": 3}),
    Carried(
        "the_mailbox_stays_locked_after_a_lost_connection",
        STALE,
        {"one_session": b"-ERR [IN-USE] mailbox already in use by pid 12345", "stale": 3, "closes": frozenset({6})},
    ),
    Carried(
        "the_mailbox_stays_locked_and_no_code_says_so",
        (
            *STALE,
            Source("What is the purpose of LCK files?", "https://www.altn.com/Support/FAQ/FAQResults/?Number=247"),
        ),
        {"one_session": b"-ERR Maildrop already locked", "stale": 2, "retrievals": 7},
    ),
)


@rows(LIMITS, QuirkTestCase.carries_over)
class Limits(QuirkTestCase):
    pass


class Waiting(QuirkTestCase):
    def test_logins_that_come_too_close_are_waited_for(self) -> Deferred[None]:
        """Login delay (https://www.chiark.greenend.org.uk/doc/mailutils/mailutils.html/Login-delay.html)"""
        return self.run_async(self.comes_back(b"-ERR [LOGIN-DELAY] Attempt to log in within the minimum delay", 3))

    def test_a_server_whose_no_to_logins_may_be_tiredness_is_asked_once_more(self) -> Deferred[None]:
        """Login fail. Account is abnormal, … (chengazhen/cursor-auto-free#294); Get authentication errors after many
        requests are executed (ditesh/node-poplib#34)"""
        return self.run_async(self.comes_back(QQ_WORDS, 1))

    async def comes_back(self, answer: bytes, times: int) -> None:
        """The connection is lost in the middle, and so many logins after it are refused."""
        server = await self.quirky({"retrievals": 8, "again": deque([answer] * times)})
        await self.assert_here(await self.admitted(), MAILS)
        await self.settled()
        self.assertEqual(server.passwords, 2 + times)
        self.assertEqual(self.account().reason, "")

    def test_a_password_that_stops_working_is_not_tried_for_ever(self) -> Deferred[None]:
        """A third wrong answer could lock the user out there (invariant 10); QQ's words as above."""

        async def test() -> None:
            server = await self.quirky({"closes": frozenset({4}), "again": deque([QQ_WORDS] * 9)})
            refused = await self.assertFailure(self.log_in(), LoginRefused)
            self.assertIs(refused.refusal, Refusal.UNAVAILABLE)
            await self.settled()
            self.assertEqual(server.passwords, 3)
            self.assertIs(self.account().state, State.MOVING)
            self.assertIn("login frequency limited", self.account().reason)

        return self.run_async(test())

    def test_a_login_limit_that_is_told_at_list(self) -> Deferred[None]:
        """Ability to change the interval of fetching emails (frappe/frappe#242)"""

        async def test() -> None:
            words = b"-ERR Exceeded the login limit for a 15 minute period. Reduce the frequency of requests.\r\n"
            server = await self.quirky(answers={b"LIST": words})
            refused = await self.assertFailure(self.log_in(), LoginRefused)
            self.assertIs(refused.refusal, Refusal.UNAVAILABLE)
            await self.settled()
            self.assertIn("Exceeded the login limit", self.account().reason)
            server.behaviour.answers = {}
            await self.assert_here(await self.admitted(), MAILS)
            self.assertEqual(self.account().reason, "")

        return self.run_async(test())

    def test_a_server_that_does_not_understand_list_after_a_bad_password(self) -> Deferred[None]:
        """Poplib issue with LIST/STAT (python/cpython#94019); Command not understood (getmail6/getmail6#252)"""

        async def test() -> None:
            await self.quirky(answers=dict.fromkeys((b"LIST", b"UIDL", b"STAT"), b"-ERR Command not understood\r\n"))
            refused = await self.assertFailure(self.log_in(), LoginRefused)
            self.assertIs(refused.refusal, Refusal.UNAVAILABLE)
            await self.settled()
            self.assertIn("refused LIST: Command not understood", self.account().reason)

        return self.run_async(test())

    def test_an_allowance_of_octets_a_day(self) -> Deferred[None]:
        """-ERR Download exceed. msg=10 (zhangyunhao116/zmail#115); Gmail bandwidth limits
        (https://support.google.com/a/answer/1071518)"""

        async def test() -> None:
            half = sum(map(len, MAILS)) // 2
            server = await self.quirky({"allowance": half, "over": EXCEEDED})
            refused = await self.assertFailure(self.log_in(), LoginRefused)
            self.assertIs(refused.refusal, Refusal.UNAVAILABLE)
            await self.settled()
            account = self.account()
            self.assertIs(account.state, State.MOVING)
            self.assertRegex(account.reason, "gives no messages at the moment: Download exceed")
            server.habits.allowance = 0  # the next day
            home = await self.admitted()
            await self.assert_here(home, MAILS)
            self.assertEqual(await self.reasons(home), [])
            self.assertEqual(self.account().reason, "")
            self.assertLessEqual(server.asked(b"RETR"), 6 * len(MAILS))

        return self.run_async(test())

    def test_a_mailbox_that_another_program_has_open(self) -> Deferred[None]:
        """POP3 and Mailbox Locking (https://github.com/cyrusimap/cyrus-imapd, known_protocol_limitations.rst); message
        downloads can overlap, so enable POP3 locking, of IceWarp (https://dl.icewarp.com/online_help/420.htm)"""

        async def test() -> None:
            server = await self.quirky({"one_session": b"-ERR Mailbox is locked by POP server"})
            other = server.buildProtocol(None)
            other._inside = True
            server.open.add(other)
            refused = await self.assertFailure(self.log_in(), LoginRefused)
            self.assertIs(refused.refusal, Refusal.IN_USE)
            self.assertIs(self.accounts.find("user", "123.com"), None)
            server.left(other)
            await self.assert_here(await self.admitted(), MAILS)

        return self.run_async(test())

    def test_a_connection_that_idles_is_hung_up_on(self) -> Deferred[None]:
        """-ERR Autologout; idle too long (hmailserver/hmailserver: POP3Connection.cpp, OnConnectionTimeout); POP3
        should reset socket timeout each time a command is processed (zone-eu/wildduck#709)"""

        async def test() -> None:
            server = await self.quirky({"idle": 0.05, "farewell": b"-ERR Autologout; idle too long"})
            over = threading.Event()
            quick = secrets.hash_password

            def slow(password: bytes) -> str:
                over.wait(5)
                return quick(password)

            self.patch(secrets, "hash_password", slow)
            login = self.log_in()
            await self.until(lambda: server.passwords == 1)
            await server.emptied()
            server.habits.idle = 0.0
            over.set()
            await self.assert_here(await self.admitted(login), MAILS)
            self.assertEqual(self.account().reason, "")

        return self.run_async(test())

    def test_a_server_that_hangs_up_at_quit(self) -> Deferred[None]:
        """POP3 socket closed too early (mguessan/davmail#102)"""

        async def test() -> None:
            await self.quirky(hang_up_at=frozenset({b"QUIT"}))
            await self.assert_here(await self.admitted(), MAILS)
            await self.settled()
            self.assertEqual(self.account().reason, "")

        return self.run_async(test())
