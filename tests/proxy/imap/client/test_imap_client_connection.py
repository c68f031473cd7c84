"""The client against a legacy IMAP server on the loopback interface, good and faulty."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred

from proxy.imap.client.connection import Connection, Survey, connect
from proxy.imap.client.retrieval import UidsRenewed
from proxy.imap.client.wanted import ONE_BY_ONE, Reach, Wanted
from proxy.legacy.errors import (
    LegacyBusy,
    LegacyProtocolError,
    LegacyTimeout,
    LegacyUnreachable,
    LoginNotPossible,
    LoginRejected,
    TlsFailed,
)
from proxy.wire.door import Secret
from tests.legacy.certificates import Authority
from tests.legacy.imap_server import ImapServer, Kept, Manner
from tests.legacy.served import ServedCase
from tests.legacy.shelf import Shelf
from tests.proxy.migration.scripted import folder

ODD = [b"Subject: one\r\n\r\nhello\r\n", b"", b"{3}\r\n) \xff\0", b"bare\nfeeds\n\r", b"* 1 FETCH (UID 9)\r\nf1 OK\r\n"]


def box(*messages: bytes, first: int = 1) -> list[Kept]:
    return [Kept(uid, data) for uid, data in enumerate(messages, first)]


class ImapCase(ServedCase):
    server: ImapServer

    def serve(self, manner: Manner | None = None, folders: dict[bytes, list[Kept]] | None = None) -> ImapServer:
        return self.listening(ImapServer({b"INBOX": box(*ODD)} if folders is None else folders, manner))

    async def connected(self, **changes: Any) -> Connection:
        return self.dropped_behind(await connect(reactor, self.legacy(**changes)))

    async def logged_in(self, password: bytes = b"secret", user: bytes = b"joe", **changes: Any) -> Connection:
        connection = await self.connected(**changes)
        await connection.login(user, Secret(password))
        return connection

    async def surveyed(self, connection: Connection) -> list[Survey]:
        return [await connection.survey(folder) for folder in await connection.folders()]


def everything(surveys: Sequence[Survey]) -> list[Wanted]:
    """All messages, numbered from 1 over all folders."""
    found = [
        (survey.place, uid, octets)
        for survey in surveys
        for uid, octets in zip(survey.messages.uids, survey.messages.octets, strict=True)
    ]
    return [Wanted(number, *each) for number, each in enumerate(found, 1)]


class SessionTests(ImapCase):
    async def test_a_whole_session(self) -> None:
        self.serve(folders={b"INBOX": box(*ODD), b"Work/&XeVPXA-": box(b"six", b"seven", first=30), b"Empty": []})
        connection = await self.logged_in()
        surveys = await self.surveyed(connection)
        self.assertEqual([s.folder.levels for s in surveys], [("INBOX",), ("Empty",), ("Work", "工作")])
        shelf = Shelf()
        await connection.retrieve(everything(surveys), shelf, Reach())
        self.assertEqual(shelf.messages, dict(enumerate([*ODD, b"six", b"seven"], 1)))
        await connection.logout()
        self.assertTrue(connection.over)
        self.assertEqual(self.server.commands[-1].split()[1], b"LOGOUT")

    async def test_an_octet_at_a_time(self) -> None:
        self.serve(Manner(pieces=1))
        connection = await self.logged_in(reply_timeout=5.0)
        shelf = Shelf()
        await connection.retrieve(everything(await self.surveyed(connection)), shelf, Reach())
        self.assertEqual(shelf.messages, dict(enumerate(ODD, 1)))

    async def test_a_large_message_comes_in_pieces_that_do_not_grow_with_it(self) -> None:
        large = b"".join(b"line %d\r\n" % n for n in range(1_000_000))
        self.serve(folders={b"INBOX": box(b"small", large, b"last")})
        connection = await self.logged_in(reply_timeout=10.0, opening_timeout=10.0)
        shelf = Shelf()
        await connection.retrieve(everything(await self.surveyed(connection)), shelf, Reach())
        self.assertEqual(shelf.messages, {1: b"small", 2: large, 3: b"last"})
        self.assertLessEqual(shelf.longest, 512 * 1024)

    async def test_ranges_go_out_ahead_of_their_answers(self) -> None:
        mail = [b"%d" % n for n in range(1, 1_001)]
        self.serve(folders={b"INBOX": [Kept(3 * n, data) for n, data in enumerate(mail, 1)], b"Next": box(b"next")})
        connection = await self.logged_in()
        wanted = everything(await self.surveyed(connection))
        shelf = Shelf()
        await connection.retrieve(wanted, shelf, Reach(range_messages=100))
        self.assertEqual(list(shelf.messages.values()), [*mail, b"next"])
        fetches = [line.split(b" ")[3] for line in self.server.asked(b"UID")[2:]]
        self.assertEqual(fetches[:2], [b"3:300", b"303:600"])  # neighbours, though there are gaps in their numbers
        self.assertEqual(len(fetches), 11)

    async def test_what_is_not_wanted_is_not_in_a_range(self) -> None:
        self.serve(folders={b"INBOX": box(*[b"%d" % n for n in range(1, 11)])})
        connection = await self.logged_in()
        wanted = everything(await self.surveyed(connection))
        await connection.retrieve([w for w in wanted if w.uid not in {3, 7}], Shelf(), Reach())
        self.assertEqual(self.server.asked(b"UID")[-1].split(b" ")[3], b"1:2,4:6,8:10")

    async def test_a_server_gets_one_command_at_a_time(self) -> None:
        self.serve(Manner(pieces=7), {b"INBOX": box(b"one", b"two"), b"A": box(b"three"), b"B": []})
        connection = await self.logged_in(reply_timeout=5.0)
        connection.one_at_a_time()
        shelf = Shelf()
        await connection.retrieve(everything(await self.surveyed(connection)), shelf, ONE_BY_ONE)
        self.assertEqual(list(shelf.messages.values()), [b"one", b"two", b"three"])

    async def test_xlist_and_what_it_says(self) -> None:
        manner = Manner(capabilities=b"IMAP4rev1 XLIST", attributes={b"Papierkorb": b"\\Trash"})
        self.serve(manner, {b"INBOX": [], b"Papierkorb": []})
        connection = await self.logged_in()
        found = {folder.name: folder.attributes for folder in await connection.folders()}
        self.assertIn("\\trash", found[b"Papierkorb"])
        self.assertEqual(self.server.asked(b"ID"), [])

    async def test_who_asks_is_said_before_a_folder_is_opened(self) -> None:
        """NetEase: "EXAMINE Unsafe Login" otherwise, see github.com/mscdex/node-imap issue 908."""
        self.serve()
        await self.surveyed(await self.logged_in())
        verbs = [line.split(b" ")[1] for line in self.server.commands]
        self.assertLess(verbs.index(b"ID"), verbs.index(b"EXAMINE"))


class LoginTests(ImapCase):
    async def test_wrong(self) -> None:
        self.serve()
        connection = await self.connected()
        await self.fails(LoginRejected, connection.login(b"joe", Secret(b"guess")))
        self.assertEqual(len(self.server.asked(b"LOGIN")), 1)

    async def test_names_and_passwords_of_all_kinds(self) -> None:
        for capabilities in (
            b"IMAP4rev1",
            b"IMAP4rev1 LITERAL+",
            b"IMAP4rev1 AUTH=PLAIN",
            b"IMAP4rev1 AUTH=PLAIN SASL-IR",
        ):
            for password in (b'q"u\\o te', "pässwörd".encode(), b"line\r\nend", b"nil"):
                with self.subTest(capabilities=capabilities, password=password):
                    self.serve(Manner(capabilities=capabilities, password=password))
                    await self.logged_in(password)

    async def test_what_cannot_be_sent_is_nobodys_password(self) -> None:
        self.serve()
        connection = await self.connected()
        await self.fails(LoginRejected, connection.login(b"joe", Secret(b"a\0b")))
        self.assertEqual(self.server.asked(b"LOGIN"), [])

    async def test_no_password_where_none_is_taken(self) -> None:
        self.serve(Manner(capabilities=b"IMAP4rev1 LOGINDISABLED"))
        connection = await self.connected()
        error = await self.fails(LoginNotPossible, connection.login(b"joe", Secret(b"secret")))
        self.assertIn("starttls", error.text)
        self.assertEqual(self.server.asked(b"LOGIN"), [])

    async def test_plain_where_login_is_switched_off(self) -> None:
        self.serve(Manner(capabilities=b"IMAP4rev1 LOGINDISABLED AUTH=PLAIN"))
        await self.logged_in()

    async def test_plain_where_login_is_no_command(self) -> None:
        answers = {b"LOGIN": b"%t BAD unknown command\r\n"}
        self.serve(Manner(capabilities=b"IMAP4rev1 AUTH=PLAIN", answers=answers))
        await self.logged_in()

    async def test_busy_is_not_wrong(self) -> None:
        self.serve(Manner(answers={b"LOGIN": b"%t NO [UNAVAILABLE] later\r\n"}))
        await self.fails(LegacyBusy, (await self.connected()).login(b"joe", Secret(b"secret")))

    async def test_a_server_that_checks_nothing_is_not_asked(self) -> None:
        self.serve(Manner(greeting=b"* PREAUTH welcome"))
        await self.fails(LoginNotPossible, self.connected())

    async def test_greetings_that_are_none(self) -> None:
        for greeting, kind, words in (
            (b"* BYE too many connections", LegacyBusy, "too many connections"),
            (b"+OK pop3 ready", LegacyProtocolError, "a POP3 server"),
            (b"220 smtp", LegacyProtocolError, "an SMTP or FTP server"),
            (b"hello", LegacyProtocolError, 'begins with "hello"'),
            (b"", LegacyTimeout, "implicit"),
        ):
            with self.subTest(greeting=greeting):
                self.serve(Manner(greeting=greeting))
                error = await self.fails(kind, self.connected())
                self.assertIn(words, error.text)


class TlsTests(ImapCase):
    def setUp(self) -> None:
        self.directory = folder(self)

    async def encrypted(self, manner: Manner) -> Connection:
        authority = Authority()
        manner.tls = authority.issue("localhost", "127.0.0.1").options()
        self.serve(manner)
        return await self.connected(tls="starttls", ca=authority.write(self.directory))

    async def test_starttls(self) -> None:
        connection = await self.encrypted(Manner())
        await connection.login(b"joe", Secret(b"secret"))
        self.assertNotIn("STARTTLS", connection.capabilities)

    async def test_what_was_injected_before_tls_is_not_believed(self) -> None:
        connection = await self.encrypted(Manner(injects=b"* CAPABILITY EVIL\r\nf3 OK\r\n"))
        await connection.login(b"joe", Secret(b"secret"))
        self.assertNotIn("EVIL", connection.capabilities)

    async def test_no_starttls_no_login(self) -> None:
        self.serve()
        error = await self.fails(TlsFailed, self.connected(tls="starttls"))
        self.assertIn("993", error.text)
        self.assertEqual(self.server.asked(b"LOGIN"), [])


class FaultTests(ImapCase):
    """What goes wrong at each step: told apart, and nothing taken for whole that is not."""

    async def fetched(self, manner: Manner, mail: Sequence[bytes] = ODD, reach: Reach = Reach()) -> Shelf:  # noqa: B008
        self.serve(manner, {b"INBOX": box(*mail)})
        connection = await self.logged_in()
        shelf = self.shelf = Shelf()
        await connection.retrieve(everything(await self.surveyed(connection)), shelf, reach)
        return shelf

    async def test_bodies_in_other_forms(self) -> None:
        plain = [b"one", b"", b'quo"ted\\ ']
        for manner in (Manner(form="quoted"), Manner(uid="last"), Manner(uid="last", form="quoted")):
            with self.subTest(manner=manner):
                shelf = await self.fetched(manner, plain)
                self.assertEqual(shelf.messages, dict(enumerate(plain, 1)))

    async def test_a_large_body_whose_uid_comes_last(self) -> None:
        mail = [b"x" * 300_000, b"y" * 300_000]
        shelf = await self.fetched(Manner(uid="last"), mail)
        self.assertEqual(shelf.messages, dict(enumerate(mail, 1)))

    async def test_chatter_between_answers(self) -> None:
        chatter = b"* 7 EXISTS\r\n* 1 FETCH (FLAGS (\\Seen))\r\n* OK [ALERT] disk is full\r\n* NO warning\r\n"
        shelf = await self.fetched(Manner(chatter=chatter))
        self.assertEqual(shelf.messages, dict(enumerate(ODD, 1)))

    async def test_one_bad_message_takes_no_other_with_it(self) -> None:
        for manner, words in (
            (Manner(omits=frozenset({2, 4})), "leaves the message out"),
            (Manner(refuses=frozenset({2, 4})), "cannot read a message"),
        ):
            with self.subTest(manner=manner):
                shelf = await self.fetched(manner)
                self.assertEqual(sorted(shelf.messages), [1, 3, 5])
                self.assertEqual(sorted(shelf.gone), [2, 4])
                self.assertIn(words, shelf.gone[2])

    async def test_a_body_of_nil_is_none(self) -> None:
        shelf = await self.fetched(Manner(form="nil"))
        self.assertEqual((shelf.messages, sorted(shelf.gone)), ({}, [1, 2, 3, 4, 5]))

    async def test_a_message_twice(self) -> None:
        await self.fails(LegacyProtocolError, self.fetched(Manner(twice=frozenset({3}))))

    async def test_the_end_in_the_middle_of_a_message(self) -> None:
        mail = [b"small", b"x" * 200_000, b"last"]
        for manner, kind in (
            (Manner(reset_in=2), LegacyUnreachable),
            (Manner(cut_in=2), LegacyUnreachable),
            (Manner(stop_in=2), LegacyTimeout),
            (Manner(bye_in=2), LegacyUnreachable),
        ):
            with self.subTest(manner=manner):
                error = await self.fails(kind, self.fetched(manner, mail))
                self.assertEqual(error.message, 2)
                self.assertEqual(self.shelf.messages[1], b"small")
                self.assertNotIn(3, self.shelf.messages)

    async def test_the_end_at_every_command(self) -> None:
        for verb in (b"CAPABILITY", b"LOGIN", b"ID", b"NAMESPACE", b"LIST", b"LSUB", b"EXAMINE", b"UID"):
            for manner, kind in (
                (Manner(hang_up_at=frozenset({verb})), LegacyUnreachable),
                (Manner(silent_at=frozenset({verb})), LegacyTimeout),
                (Manner(answers={verb: b"* garbage (\r\n\x00\xff junk\r\n"}), LegacyProtocolError),
                (Manner(answers={verb: b"* BYE bye\r\n"}), LegacyUnreachable),
            ):
                with self.subTest(verb=verb, manner=manner):
                    await self.fails(kind, self.fetched(manner))

    async def test_folders_that_cannot_be_opened(self) -> None:
        self.serve(Manner(extra=[b"Broken"]), {b"INBOX": box(b"one"), b"Z": box(b"two")})
        connection = await self.logged_in()
        surveys = await self.surveyed(connection)
        self.assertEqual([survey.refused for survey in surveys], [None, "no such folder", None])
        shelf = Shelf()
        await connection.retrieve(everything(surveys), shelf, Reach())
        self.assertEqual(shelf.messages, {1: b"one", 2: b"two"})

    async def test_uids_that_change_their_meaning(self) -> None:
        manner = Manner()
        self.serve(manner, {b"INBOX": box(b"one"), b"Z": box(b"two")})
        connection = await self.logged_in()
        wanted = everything(await self.surveyed(connection))
        manner.uidvalidity[b"INBOX"] = 78
        shelf = Shelf()
        error = await self.fails(UidsRenewed, connection.retrieve(wanted, shelf, Reach()))
        self.assertIn("UIDVALIDITY", error.text)
        self.assertIsNone(error.message)
        self.assertEqual(shelf.messages, {})

    async def test_a_listing_that_leaves_something_out(self) -> None:
        answers = {
            b"EXAMINE": b"* 3 EXISTS\r\n* OK [UIDVALIDITY 77]\r\n%t OK\r\n",
            b"UID": b"* 1 FETCH (UID 4 RFC822.SIZE 9)\r\n%t OK\r\n",
        }
        self.serve(Manner(answers=answers))
        (survey,) = await self.surveyed(await self.logged_in())
        self.assertEqual(survey.refused, "the server lists only 1 of its 3 messages")

    async def test_cancelling_drops_the_connection(self) -> None:
        self.serve(Manner(silent_at=frozenset({b"UID"})))
        connection = await self.logged_in(reply_timeout=30.0, opening_timeout=30.0)
        listing = Deferred.fromCoroutine(self.surveyed(connection))
        while not self.server.asked(b"UID"):
            pause: Deferred[None] = Deferred()
            reactor.callLater(0.01, pause.callback, None)  # type: ignore[attr-defined]
            await pause
        listing.cancel()
        with contextlib.suppress(CancelledError, LegacyUnreachable):
            await listing
        self.assertTrue(connection.over)
