"""The client against a legacy server on the loopback interface, good and faulty."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from proxy.legacy.wire import READ
from proxy.pop3.client import (
    ONE_AT_A_TIME,
    CommandRefused,
    Connection,
    LegacyBusy,
    LegacyProtocolError,
    LegacyTimeout,
    LegacyUnreachable,
    LoginNotPossible,
    LoginRejected,
    MaildropInUse,
    Pace,
    Pipelining,
    Window,
    connect,
)
from proxy.pop3.client import connection as client
from proxy.wire.blocks import HOLD
from proxy.wire.door import Secret
from tests.legacy.served import ServedCase
from tests.legacy.server import LISTED, Behaviour, LegacyServer, unique_id
from tests.legacy.shelf import Shelf

MAIL = [
    b"Subject: one\r\n\r\nhello\r\n",
    b".\r\n..\r\n.dots\r\n",
    b"bare\nline\nfeeds\n.\nand \0 \xff\xfe\r\n",
    b"",
    b"last\r\n",
]


class LegacyCase(ServedCase):
    server: LegacyServer

    def serve(self, behaviour: Behaviour | None = None, messages: list[bytes] | None = None) -> LegacyServer:
        return self.listening(LegacyServer(MAIL if messages is None else messages, behaviour))

    async def connected(self, **changes: Any) -> Connection:
        return self.dropped_behind(await connect(reactor, self.legacy(**changes)))

    async def logged_in(self, password: bytes = b"secret", **changes: Any) -> Connection:
        connection = await self.connected(**changes)
        await connection.login(b"joe", Secret(password))
        return connection


class SessionTests(LegacyCase):
    async def test_a_whole_session(self) -> None:
        server = self.serve()
        connection = await self.logged_in()
        self.assertIn("UIDL", connection.capabilities)
        self.assertEqual(await connection.stat(), (5, sum(map(len, MAIL))))
        sizes = await connection.list_sizes()
        self.assertEqual(sizes, {n: len(m) for n, m in enumerate(MAIL, 1)})
        self.assertEqual(await connection.uidl(), [(n, unique_id(m)) for n, m in enumerate(MAIL, 1)])
        self.assertEqual(await connection.top(1, 0), b"Subject: one\r\n\r\n")
        await connection.noop()
        self.assertIs(await connection.prove_pipelining(), Pipelining.ABLE)
        shelf = Shelf()
        await connection.retrieve(list(sizes), sizes, shelf, Pace(Window()))
        self.assertEqual(shelf.messages, dict(enumerate(MAIL, 1)))
        await connection.quit()
        self.assertTrue(connection.over)
        await server.emptied()
        self.assertEqual(server.passwords, 1)
        self.assertEqual(server.commands[-1], b"QUIT")

    async def test_a_server_that_sends_octet_by_octet(self) -> None:
        self.serve(Behaviour(pieces=1), MAIL * 3)
        connection = await self.logged_in()
        sizes = await connection.list_sizes()
        shelf = Shelf()
        await connection.retrieve(list(sizes), sizes, shelf, Pace(Window(messages=4)))
        self.assertEqual(list(shelf.messages.values()), MAIL * 3)

    async def test_a_server_from_before_the_rfcs(self) -> None:
        old = [b"one\n.\ntwo\n", b"", b"three\n" * 50_000]
        self.serve(Behaviour(eol=b"\n", capabilities=None), old)
        connection = await self.logged_in()
        self.assertEqual(dict(connection.capabilities), {})
        sizes = await connection.list_sizes()
        shelf = Shelf()
        await connection.retrieve(list(sizes), sizes, shelf, Pace(ONE_AT_A_TIME))
        self.assertEqual(list(shelf.messages.values()), old)

    async def test_a_line_of_ten_megabytes(self) -> None:
        line = b"." + b"x" * 10_000_000 + b"\r\n"
        self.serve(messages=[line, b"small\r\n"])
        connection = await self.logged_in(reply_timeout=10.0)
        shelf = Shelf()
        await connection.retrieve([1, 2], {}, shelf, Pace(Window()))
        self.assertEqual(shelf.messages, {1: line, 2: b"small\r\n"})
        self.assertLessEqual(shelf.longest, HOLD + READ)

    async def test_a_sink_that_has_enough_for_now(self) -> None:
        self.serve(messages=[b"x" * 998 + b"\r\n"] * 2000)
        connection = await self.logged_in(reply_timeout=10.0)
        shelf, counts = Shelf(), []

        def take(number: int, data: bytes) -> None:
            if number == 300:
                connection.pause()
                reactor.callLater(0.5, go_on)  # type: ignore[attr-defined]  # longer than the reply time-out
            Shelf.message(shelf, number, data)

        def go_on() -> None:
            counts.append(len(shelf.messages))
            connection.resume()

        shelf.message = take  # type: ignore[method-assign]
        await connection.retrieve(range(1, 2001), dict.fromkeys(range(1, 2001), 1000), shelf, Pace(Window()))
        self.assertEqual(len(shelf.messages), 2000)
        self.assertLess(counts[0], 300 + 2 + READ // 1000)  # what was read with it

    async def test_cancelling_drops_the_connection(self) -> None:
        server = self.serve(Behaviour(greeting=b""))
        opening = Deferred.fromCoroutine(connect(reactor, self.legacy()))
        while not server.open:
            await deferLater(reactor, 0)  # type: ignore[arg-type]
        opening.cancel()
        with self.assertRaises(CancelledError):
            await opening
        await server.emptied()
        server = self.serve(Behaviour(silent_at=frozenset({b"LIST"})))
        connection = await self.logged_in()
        listing = Deferred.fromCoroutine(connection.list_sizes())
        listing.cancel()
        with self.assertRaises(CancelledError):
            await listing
        await connection.gone()
        self.assertTrue(connection.over)

    async def test_after_a_sink_that_failed_it_can_still_be_quit(self) -> None:
        self.serve()
        connection, shelf = await self.logged_in(), Shelf()

        def full(number: int, data: bytes) -> None:
            raise OSError("disk full")

        shelf.message = full  # type: ignore[method-assign]
        with self.assertRaises(OSError):
            await connection.retrieve([1, 2], {}, shelf, Pace(Window()))
        await self.fails(LegacyUnreachable, connection.noop())
        await connection.quit()

    async def test_quit_is_kind_to_a_server_that_is_not(self) -> None:
        for behaviour in (Behaviour(silent_at=frozenset({b"QUIT"})), Behaviour(hang_up_at=frozenset({b"QUIT"}))):
            self.serve(behaviour)
            connection = await self.logged_in()
            await connection.quit()
            self.assertTrue(connection.over)
            await connection.quit()

    async def test_quit_is_not_said_where_it_would_change_something(self) -> None:
        for expire, fetched, said in (
            (b"EXPIRE 0", True, 0),
            (b"EXPIRE 0 USER", True, 0),
            (b"EXPIRE 0", False, 1),
            (b"EXPIRE NEVER", True, 1),
            (b"EXPIRE 30", True, 1),
        ):
            server = self.serve(Behaviour(capabilities=(b"UIDL", expire)))
            connection = await self.logged_in()
            if fetched:
                await connection.retrieve([1], {}, Shelf(), Pace(Window()))
            await connection.quit()
            self.assertTrue(connection.over)
            self.assertEqual(server.asked(b"QUIT"), said, expire)

    async def test_the_count_of_stat_is_read_where_there_is_one(self) -> None:
        for answer, count in ((b"+OK 7 (700 octets)", 7), (b"+OK", None), (b"-ERR no", None), (b"+OK many", None)):
            self.serve(Behaviour(answers={b"STAT": answer + b"\r\n"}))
            connection = await self.logged_in()
            self.assertEqual(await connection.count(), count)
            self.assertFalse(connection.over)


class FaultTests(LegacyCase):
    async def test_nobody_there(self) -> None:
        server = self.serve()
        port = server.port
        await server.close()
        error = await self.fails(LegacyUnreachable, connect(reactor, self.legacy()))
        self.assertEqual(str(error), f"127.0.0.1 port {port} refuses connections")

    async def test_a_name_that_is_not_there(self) -> None:
        self.serve()
        legacy = self.legacy(host="old..example")
        error = await self.fails(LegacyUnreachable, connect(reactor, legacy))
        self.assertIn("old..example", str(error))

    async def test_other_servers_are_told_apart(self) -> None:
        for greeting, words in (
            (b"220 mx.example ESMTP", "an SMTP or FTP server"),
            (b"* OK IMAP4rev1 ready", "an IMAP server"),
            (b"HTTP/1.1 400 Bad Request", "a web server"),
            (b"SSH-2.0-OpenSSH_9.2", "SSH-2.0-OpenSSH_9.2"),
        ):
            self.serve(Behaviour(greeting=greeting))
            error = await self.fails(LegacyProtocolError, connect(reactor, self.legacy()))
            self.assertIn(words, str(error))

    async def test_a_server_that_is_full(self) -> None:
        self.serve(Behaviour(greeting=b"-ERR [SYS/TEMP] too many connections"))
        error = await self.fails(LegacyBusy, connect(reactor, self.legacy()))
        self.assertIn("too many connections", str(error))

    async def test_a_server_that_never_greets(self) -> None:
        self.serve(Behaviour(greeting=b""))
        error = await self.fails(LegacyTimeout, connect(reactor, self.legacy()))
        self.assertIn("while it owed its greeting", str(error))

    async def test_a_server_that_hangs_up_at_capa_is_asked_again_without(self) -> None:
        server = self.serve(Behaviour(hang_up_at=frozenset({b"CAPA"})))
        await self.logged_in()
        self.assertEqual((server.connections, server.asked(b"CAPA")), (2, 1))

    async def test_a_server_that_never_answers_at_a_command(self) -> None:
        for verb in (b"USER", b"PASS", b"STAT", b"LIST", b"UIDL", b"RETR", b"TOP"):
            self.serve(Behaviour(silent_at=frozenset({verb})))
            error = await self.fails(LegacyTimeout, self._everything())
            self.assertIn("was silent for 0.3 s while it owed", str(error))

    async def test_a_server_that_hangs_up_at_a_command(self) -> None:
        for verb in (b"PASS", b"STAT", b"LIST", b"UIDL", b"RETR", b"TOP"):
            self.serve(Behaviour(hang_up_at=frozenset({verb})))
            error = await self.fails(LegacyUnreachable, self._everything())
            self.assertIn("was closed by the server", str(error))

    async def _everything(self) -> None:
        connection = await self.logged_in()
        await connection.stat()
        sizes = await connection.list_sizes()
        await connection.uidl()
        await connection.top(1, 1)
        await connection.retrieve(list(sizes), sizes, Shelf(), Pace(Window()))

    async def test_a_connection_that_ends_in_the_middle_of_a_message(self) -> None:
        for behaviour, kind in (
            (Behaviour(reset_in=3), LegacyUnreachable),
            (Behaviour(cut_in=3), LegacyUnreachable),
            (Behaviour(stop_in=3), LegacyTimeout),
        ):
            self.serve(behaviour)
            connection = await self.logged_in()
            shelf = Shelf()
            error = await self.fails(kind, connection.retrieve([1, 2, 3, 4], {}, shelf, Pace(Window())))
            self.assertEqual(error.message, 3)
            self.assertIn("message 3", str(error))
            self.assertLessEqual(set(shelf.messages), {1, 2})  # a reset may overtake what came before it

    async def test_sizes_that_are_not_true_do_not_matter(self) -> None:
        self.serve(Behaviour(sizes={1: b"99999999", 2: b"1", 3: b"junk", 4: b""}))
        connection = await self.logged_in()
        sizes = await connection.list_sizes()
        self.assertEqual([sizes[3], sizes[4]], [None, None])
        shelf = Shelf()
        await connection.retrieve(list(sizes), sizes, shelf, Pace(Window()))
        self.assertEqual(list(shelf.messages.values()), MAIL)

    async def test_a_message_that_vanished(self) -> None:
        self.serve(Behaviour(vanished=frozenset({2})))
        connection = await self.logged_in()
        shelf = Shelf()
        await connection.retrieve([1, 2, 3], {}, shelf, Pace(Window()))
        self.assertEqual((sorted(shelf.messages), shelf.gone), ([1, 3], {2: "no such message"}))

    async def test_a_server_without_uidl(self) -> None:
        self.serve(Behaviour(uidl=False, capabilities=(b"USER", b"TOP")))
        connection = await self.logged_in()
        self.assertIsNone(await connection.uidl())
        self.serve(Behaviour(uidl=False))  # it says that it has UIDL: then it is broken today
        connection = await self.logged_in()
        await self.fails(CommandRefused, connection.uidl())

    async def test_junk_in_a_listing_ends_the_connection(self) -> None:
        self.serve(Behaviour(answers={b"UIDL": b"+OK\r\n1 abc\r\nFrom: somebody\r\n.\r\n"}))
        connection = await self.logged_in()
        error = await self.fails(LegacyProtocolError, connection.uidl())
        self.assertEqual(str(error), "line 2 of the answer to UIDL does not begin with a message's number")
        self.assertTrue(connection.over)
        self.serve(Behaviour(answers={b"STAT": b"+OK two\r\n"}))
        connection = await self.logged_in()
        await self.fails(LegacyProtocolError, connection.stat())
        self.assertTrue(connection.over)

    async def test_a_refusal_keeps_its_code(self) -> None:
        self.serve(Behaviour(answers={b"LIST": b"-ERR [SYS/TEMP] disk\r\n", b"NOOP": b"-ERR\r\n"}))
        connection = await self.logged_in()
        error = await self.fails(LegacyBusy, connection.list_sizes())
        self.assertEqual(str(error), "the legacy server refused LIST: [SYS/TEMP] disk")
        await self.fails(CommandRefused, connection.noop())
        self.assertFalse(connection.over)

    async def test_what_the_server_says_unasked_ends_the_connection(self) -> None:
        self.serve(Behaviour(afterwards={b"STAT": b"+OK 1 1\r\n"}))
        connection = await self.logged_in()
        await connection.stat()
        await self.fails(LegacyProtocolError, connection.noop())

    async def test_pipelining_is_found_out(self) -> None:
        quiet = tuple(word for word in LISTED if word != b"PIPELINING")
        self.serve(Behaviour(capabilities=quiet))
        connection = await self.logged_in()
        self.assertIs(await connection.prove_pipelining(), Pipelining.ABLE)
        self.patch(client, "PROBE_TIME", 0.2)
        for kind in ("drops", "keeps"):
            server = self.serve(Behaviour(capabilities=quiet, pipelining=kind))  # type: ignore[arg-type]
            connection = await self.logged_in()
            self.assertIs(await connection.prove_pipelining(), Pipelining.UNABLE_REOPEN)
            connection = await self.logged_in()
            shelf = Shelf()
            await connection.retrieve([1, 2, 3, 4, 5], {}, shelf, Pace(ONE_AT_A_TIME))
            self.assertEqual(list(shelf.messages.values()), MAIL)
            self.assertEqual(server.asked(b"RETR"), 5)


class LoginTests(LegacyCase):
    async def test_a_wrong_password(self) -> None:
        server = self.serve()
        connection = await self.connected()
        error = await self.fails(LoginRejected, connection.login(b"joe", Secret(b"hunter2")))
        self.assertNotIn("hunter2", str(error) + repr(error))
        self.assertEqual(server.passwords, 1)
        await connection.quit()

    async def test_what_is_not_a_wrong_password(self) -> None:
        for answer, kind in (
            (b"-ERR [IN-USE] locked", MaildropInUse),
            (b"-ERR maildrop already locked", MaildropInUse),
            (b"-ERR [SYS/TEMP] later", LegacyBusy),
            (b"-ERR too many connections", LegacyBusy),
            (b"-ERR [SYS/PERM] no", LoginNotPossible),
        ):
            server = self.serve(Behaviour(login_refusal=answer))
            connection = await self.connected()
            await self.fails(kind, connection.login(b"joe", Secret(b"secret")))
            self.assertEqual(server.passwords, 1)

    async def test_a_server_that_repeats_the_password_is_not_quoted(self) -> None:
        self.serve(Behaviour(answers={b"PASS": b"-ERR unknown command: PASS secret\r\n"}))
        connection = await self.connected()
        await self.fails(LoginNotPossible, connection.login(b"joe", Secret(b"secret")))

    async def test_what_cannot_be_sent_is_not_sent(self) -> None:
        server = self.serve()
        connection = await self.connected()
        for user, password in (
            (b"joe", b"secret\r\nDELE 1"),
            (b"joe\nDELE 1", b"secret"),
            (b"joe", b"a\0b"),
            (b"joe", b"x" * 5000),
            (b"", b"secret"),
        ):
            await self.fails(LoginRejected, connection.login(user, Secret(password)))
        self.assertEqual(server.commands, [b"CAPA"])
        await connection.login(b"joe", Secret(b"secret"))

    async def test_apop_where_there_is_a_stamp(self) -> None:
        server = self.serve(Behaviour(apop="works"))
        await self.logged_in()
        self.assertEqual((server.asked(b"APOP"), server.asked(b"PASS")), (1, 0))
        self.assertNotIn(b"secret", b"".join(server.commands))

    async def test_a_stamp_without_apop_behind_it(self) -> None:
        server = self.serve(Behaviour(apop="refused"))
        await self.logged_in()
        self.assertEqual((server.asked(b"APOP"), server.asked(b"PASS"), server.connections), (1, 1, 1))

    async def test_a_server_that_hangs_up_after_apop_is_asked_again(self) -> None:
        server = self.serve(Behaviour(apop="hangs up"))
        connection = await self.logged_in()
        self.assertEqual((server.asked(b"APOP"), server.asked(b"PASS"), server.connections), (1, 1, 2))
        self.assertEqual((await connection.stat())[0], 5)

    async def test_apop_in_vain_is_known_afterwards_and_need_not_be_tried(self) -> None:
        for apop in ("refused", "hangs up"):
            server = self.serve(Behaviour(apop=apop))  # type: ignore[arg-type]
            self.assertTrue((await self.logged_in()).apop_in_vain)
            connection = await self.connected()
            await connection.login(b"joe", Secret(b"secret"), apop=False)
            self.assertFalse(connection.apop_in_vain)
            self.assertEqual(server.asked(b"APOP"), 1)
        self.serve(Behaviour(apop="works"))
        self.assertFalse((await self.logged_in()).apop_in_vain)

    async def test_no_more_than_two_attempts(self) -> None:
        for apop in ("works", "refused", "hangs up"):
            server = self.serve(Behaviour(apop=apop))  # type: ignore[arg-type]
            connection = await self.connected()
            await self.fails(LoginRejected, connection.login(b"joe", Secret(b"wrong")))
            self.assertEqual(server.passwords, 2)

    async def test_no_second_attempt_where_the_first_was_not_about_the_password(self) -> None:
        server = self.serve(Behaviour(apop="works", login_refusal=b"-ERR [IN-USE] locked"))
        connection = await self.connected()
        await self.fails(MaildropInUse, connection.login(b"joe", Secret(b"secret")))
        self.assertEqual(server.passwords, 1)

    async def test_sasl_plain_where_there_is_no_user(self) -> None:
        for challenges in (False, True):
            server = self.serve(Behaviour(capabilities=(b"SASL PLAIN",), challenges=challenges))
            await self.logged_in()
            self.assertEqual((server.asked(b"AUTH"), server.asked(b"USER")), (1, 0))
            connection = await self.connected()
            await self.fails(LoginRejected, connection.login(b"joe", Secret(b"x" * 300)))

    async def test_an_endless_challenge(self) -> None:
        self.serve(Behaviour(capabilities=(b"SASL PLAIN",), answers={b"AUTH": b"+ \r\n+ \r\n+ \r\n"}))
        connection = await self.connected()
        await self.fails(LegacyProtocolError, connection.login(b"joe", Secret(b"secret")))
