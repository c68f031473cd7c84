"""What a probe finds out about a POP3 server, and what it makes of one that misbehaves."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater

from proxy import config
from proxy.admin.probing import maildrop
from proxy.admin.probing.advice import advice, changes
from proxy.admin.probing.finding import Answer, Probed, Way
from proxy.admin.probing.run import Probe
from proxy.admin.probing.ways import ways
from proxy.wire.door import Secret
from tests.legacy.certificates import Authority
from tests.legacy.quirks import Habits, QuirkyServer
from tests.legacy.server import LISTED, Behaviour, LegacyProtocol, LegacyServer
from tests.proxy.admin.probe_rig import BOX, CONFIG, NAME, PASSWORD, Garbage, ProbeCase, reactor
from tests.proxy.admin.test_verify_found import from_coroutine
from tests.proxy.migration.scripted import mail

QUIET = tuple(word for word in LISTED if word != b"PIPELINING")


class Abilities(ProbeCase):
    def drop(self, found: Probed) -> Any:
        assert found.maildrop is not None
        return found.maildrop

    def box(self, found: Probed) -> Any:
        assert found.mailbox is not None
        return found.mailbox

    @from_coroutine
    async def test_a_good_server(self) -> None:
        old = mail(40).replace(b"14 Nov 2023", b"14 Nov 2003")
        server = self.serve(
            [old, *BOX, mail(41, 69_998) + b"\r\n"], capabilities=(*LISTED, b"IMPLEMENTATION Oldmail-2")
        )
        found = await self.probed()
        drop, box = self.drop(found), self.box(found)
        for ability in (drop.uidl, drop.top, drop.pipelining):
            self.assertEqual((ability.announced, ability.works), (True, True))
        self.assertEqual((drop.last, drop.expire, drop.login_delay), (None, None, None))
        self.assertEqual((box.messages, box.octets), (32, sum(map(len, server.messages))))
        self.assertEqual((box.largest.position, box.largest.octets), (32, 70_000))
        self.assertEqual((box.oldest, box.newest), (1_068_848_000, 1_700_000_000))
        assert found.speed is not None and found.server is not None
        self.assertEqual((found.speed.messages, found.speed.octets, found.speed.at_once), (32, box.octets, True))
        self.assertEqual((found.server.software, found.server.greeting), ("OLDMAIL-2", "legacy server ready"))
        self.assertEqual((found.remarks, found.trouble), ([], ""))
        self.assertEqual(server.asked(b"QUIT"), 0)  # something was fetched

    @from_coroutine
    async def test_an_empty_mailbox_is_left_with_quit(self) -> None:
        server = self.serve([])
        found = await self.probed()
        self.assertEqual((found.trouble, self.box(found).messages, server.asked(b"QUIT")), ("", 0, 1))
        self.assertIsNone(found.speed)
        told = advice(self.settings().domains["123.com"], found)
        self.assertTrue(any("the mailbox is empty" in text for text in told), told)

    @from_coroutine
    async def test_no_capa_no_uidl_and_no_top(self) -> None:
        answers = {b"TOP": b"-ERR unknown command\r\n"}
        server = self.serve(capabilities=None, uidl=False, answers=answers)
        found = await self.probed()
        drop, box = self.drop(found), self.box(found)
        self.assertEqual((drop.uidl.works, drop.top.works, drop.pipelining.works), (False, False, True))
        self.assertEqual((box.newest, box.dated, server.asked(b"TOP")), (1_700_000_000, 6, 2))
        self.assertIn("the server has no UIDLs", found.remarks[0])
        assert found.server is not None
        self.assertEqual((found.server.capabilities, found.trouble), ([], ""))

    @from_coroutine
    async def test_commands_that_are_sent_together_are_lost(self) -> None:
        server = self.serve(capabilities=QUIET, pipelining="drops")
        found = await self.probed()
        drop = self.drop(found)
        self.assertEqual((drop.pipelining.announced, drop.pipelining.works, found.trouble), (False, False, ""))
        assert found.speed is not None
        self.assertEqual((found.speed.at_once, found.speed.messages), (False, 15))  # one by one, before that was tried
        self.assertEqual(server.connections, 1)

    @from_coroutine
    async def test_not_announced_and_able(self) -> None:
        self.serve(capabilities=QUIET)
        found = await self.probed()
        self.assertTrue(self.drop(found).pipelining.works)
        assert found.speed is not None
        self.assertEqual((found.speed.at_once, found.speed.messages), (True, 15))

    @from_coroutine
    async def test_what_it_announces_of_limits(self) -> None:
        self.serve(
            capabilities=(*LISTED, b"EXPIRE 0", b"LOGIN-DELAY 120"),
            answers={b"LAST": b"+OK 7\r\n"},
            greeting=b"+OK Gpop ready for requests from 192.0.2.1",
        )
        found = await self.probed()
        drop = self.drop(found)
        self.assertEqual((drop.last, drop.expire, drop.login_delay), (7, "0", "120"))
        told = " ".join(found.remarks)
        self.assertIn("Gmail lists about 250", told)
        self.assertIn("(EXPIRE 0)", told)
        self.assertIn("log in every 120 s only", " ".join(advice(self.settings().domains["123.com"], found)))

    @from_coroutine
    async def test_listings_that_are_odd(self) -> None:
        habits = Habits(stat=b"29 1000", newest=28)
        behaviour = Behaviour(password=PASSWORD, uidls={1: b"same", 2: b"same", 3: b""}, sizes={4: b"?", 5: b"99"})
        self.listening(QuirkyServer(BOX, behaviour, habits))
        found = await self.probed()
        told = "\n".join(found.remarks)
        for words in (
            "STAT counts 29 messages, and LIST names 28",
            "does not tell the size of 1 of 28 messages",
            "UIDLs of 1 of 28 messages are empty",
            "UIDLs of 2 of 28 messages are shared by several",
            "LIST says another size of 1 of 27 messages",
        ):
            self.assertIn(words, told)
        self.assertEqual(found.trouble, "")

    @from_coroutine
    async def test_bare_line_ends_are_a_habit_and_no_trouble(self) -> None:
        box = [b"Subject: one\nDate: Tue, 14 Nov 2023 22:13:20 +0000\n\nhello\n"]
        self.listening(QuirkyServer(box, Behaviour(password=PASSWORD), Habits(as_stored=True)))
        found = await self.probed(timeout=0.2)
        self.assertEqual(found.trouble, "")
        self.assertIn("bare line feed: a move finds that out", found.remarks[-1])
        self.assertEqual(self.box(found).messages, 1)

    @from_coroutine
    async def test_another_answer_each_time(self) -> None:
        class Fickle(LegacyProtocol):
            def do_STAT(self, _rest: bytes) -> None:
                self._ok(b"%d 100" % self.server.asked(b"STAT"))

        class FickleServer(LegacyServer):
            def connection(self) -> LegacyProtocol:
                return Fickle(self)

        self.listening(FickleServer(BOX, Behaviour(password=PASSWORD)))
        found = await self.probed()
        self.assertEqual(found.remarks[0], "the server answers LIST, UIDL or STAT otherwise each time it is asked")
        self.assertEqual(found.trouble, "")

    @from_coroutine
    async def test_the_door_is_shut_behind_the_first_refusal(self) -> None:
        class Once(LegacyServer):
            def connection(self) -> LegacyProtocol:
                if self.connections > 1:
                    self.behaviour.greeting = b"-ERR come back in an hour"
                return LegacyProtocol(self)

        server = self.listening(Once(BOX, Behaviour(password=PASSWORD)))
        found = await self.probed(password=b"mistyped")
        self.assertIn("come back in an hour", found.trouble)
        self.assertEqual((server.passwords, len(found.attempts)), (1, 1))

    @from_coroutine
    async def test_yes_to_everybody_is_not_believed(self) -> None:
        self.listening(QuirkyServer(BOX, Behaviour(password=PASSWORD), Habits(drops=9)))
        found = await self.probed('tls = "none"\nlogin = "{local}%{domain}"')
        self.assertIn("closed by the server", found.trouble)
        self.assertEqual((found.mailbox, changes(self.settings().domains["123.com"], found)), (None, []))

    @from_coroutine
    async def test_numbers_for_uidls(self) -> None:
        self.serve(uidls={n: b"%d" % n for n in range(1, 31)})
        found = await self.probed()
        self.assertIn("UIDLs of 30 of 30 messages are the message's number", found.remarks[0])

    @from_coroutine
    async def test_uidl_is_refused_for_today(self) -> None:
        self.serve(answers={b"UIDL": b"-ERR [SYS/TEMP] not now\r\n"})
        found = await self.probed()
        self.assertEqual((self.drop(found).uidl.works, found.trouble), (False, ""))
        self.assertIn("[SYS/TEMP] not now", found.remarks[0])

    @from_coroutine
    async def test_what_was_found_until_it_hung_up_is_told(self) -> None:
        server = self.serve(hang_up_at=frozenset({b"LAST"}))
        found = await self.probed()
        self.assertEqual((self.box(found).messages, self.box(found).newest), (30, 1_700_000_000))
        self.assertIn("closed by the server while it owed the answer to LAST", found.trouble)
        self.assertEqual(server.passwords, 1)

    @from_coroutine
    async def test_uidl_that_names_nothing_does_not_work(self) -> None:
        self.serve(answers={b"UIDL": b"+OK\r\n.\r\n"})
        found = await self.probed()
        uidl = self.drop(found).uidl
        self.assertEqual((uidl.announced, uidl.works, uidl.words), (True, False, "it names none of 30 messages"))
        self.assertEqual((self.box(found).messages, found.trouble), (30, ""))

    @from_coroutine
    async def test_no_message_that_is_asked_for_is_given(self) -> None:
        """A move would put all of it in quarantine."""
        self.serve(answers={b"RETR": b"-ERR message is corrupt\r\n"})
        found = await self.probed()
        self.assertEqual(found.trouble, "it gave none of 30 messages that were asked for: message is corrupt")
        self.assertEqual((self.box(found).messages, found.speed), (30, None))

    @from_coroutine
    async def test_what_only_a_probe_asks_comes_behind_what_a_move_asks(self) -> None:
        class Touchy(LegacyProtocol):
            def do_CAPA(self, rest: bytes) -> None:
                if self.server.asked(b"CAPA") > 1:
                    self.drop()
                else:
                    super().do_CAPA(rest)

        class TouchyServer(LegacyServer):
            def connection(self) -> LegacyProtocol:
                return Touchy(self)

        hanging_up = LegacyServer(BOX, Behaviour(password=PASSWORD, hang_up_at=frozenset({b"NOOP"})))
        for server, verb in ((hanging_up, "NOOP"), (TouchyServer(BOX, Behaviour(password=PASSWORD)), "CAPA")):
            self.listening(server)
            found = await self.probed()
            self.assertIn(f"while it owed the answer to {verb}", found.trouble)
            self.assertEqual((self.box(found).messages, self.box(found).newest), (30, 1_700_000_000))

    @from_coroutine
    async def test_pipelining_that_is_announced_and_drops_what_comes_together(self) -> None:
        """Also where the sample's time is over before the server's."""
        self.patch(maildrop, "TIME", 0.3)
        self.serve(pipelining="drops")
        found = await self.probed(timeout=10)
        pipelining = self.drop(found).pipelining
        self.assertEqual((pipelining.announced, pipelining.works), (True, False))
        self.assertIn("of 30 messages that were asked for together one came", pipelining.words)

    @from_coroutine
    async def test_whoever_interrupts_it_knows_of_the_login_that_was_under_way(self) -> None:
        server = self.serve(silent_at=frozenset({b"PASS"}))
        probe = Probe(self.settings(), NAME, reactor, timeout=30)
        running = Deferred.fromCoroutine(probe.run(Secret(PASSWORD)))
        while not server.asked(b"PASS"):
            await deferLater(reactor, 0.01)
        running.cancel()
        with self.assertRaises(CancelledError):
            await running
        (attempt,) = probe.found.attempts
        self.assertEqual((attempt.answer, attempt.words), (Answer.BROKEN, "its answer was not waited for"))
        await server.emptied()

    @from_coroutine
    async def test_listings_that_are_refused_or_nonsense(self) -> None:
        server = self.serve(answers={b"LIST": b"-ERR mailbox is broken\r\n"})
        found = await self.probed()
        self.assertIn("refused LIST: mailbox is broken", found.trouble)
        server.behaviour.answers = {b"LIST": b"+OK\r\nhello there\r\n.\r\n"}
        found = await self.probed()
        self.assertIn("line 1 of the answer to LIST", found.trouble)
        self.assertEqual(server.passwords, 2)

    @from_coroutine
    async def test_a_message_that_never_ends_ends_with_the_time(self) -> None:
        self.patch(maildrop, "TIME", 0.2)
        self.serve([mail(1, 600_000), *BOX], stop_in=1)
        found = await self.probed(timeout=5)
        self.assertEqual(found.trouble, "")
        assert found.speed is not None
        self.assertGreater(found.speed.octets, 100_000)

    @from_coroutine
    async def test_a_sample_is_bounded(self) -> None:
        server = self.serve([mail(n, 300_000) for n in range(1, 41)])
        found = await self.probed()
        assert found.speed is not None
        self.assertLessEqual(found.speed.octets, 4 * 1024 * 1024)
        self.assertEqual((found.speed.messages, server.asked(b"RETR")), (13, 13))

    @from_coroutine
    async def test_sessions_that_hide_what_was_fetched_hide_nothing(self) -> None:
        server = self.listening(QuirkyServer(BOX, Behaviour(password=PASSWORD), Habits(pops=True)))
        await self.probed()
        found = await self.probed()
        self.assertEqual((self.box(found).messages, server.popped), (30, set()))


class Reached(ProbeCase):
    def setUp(self) -> None:
        super().setUp()
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    async def unreached(self, words: str, more: str = 'tls = "none"', **how: Any) -> Probed:
        found = await self.probed(more, **how)
        self.assertIn(words, found.trouble)
        self.assertEqual((found.attempts, found.way), ([], None))
        return found

    @from_coroutine
    async def test_silent(self) -> None:
        server = self.serve(greeting=b"")
        await self.unreached('try `tls = "implicit"`', timeout=0.1)
        self.assertEqual(server.commands, [])

    @from_coroutine
    async def test_garbage(self) -> None:
        factory = Factory.forProtocol(Garbage)
        factory.noisy = False
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        settings = config.parse(CONFIG.format(port=port.getHost().port, more='tls = "none"').encode())
        found = await Probe(settings, NAME, reactor, timeout=0.5).run(Secret(PASSWORD))
        self.assertIn("SMTP or FTP server", found.trouble)
        self.assertEqual(found.attempts, [])

    @from_coroutine
    async def test_nobody_there(self) -> None:
        server = self.serve()
        await server.close()
        await self.unreached("refuses connections")

    @from_coroutine
    async def test_busy_at_the_door(self) -> None:
        server = self.serve(greeting=b"-ERR too many connections from your address")
        await self.unreached("too many connections from your address")
        self.assertEqual(server.connections, 1)

    @from_coroutine
    async def test_a_certificate_that_nobody_vouches_for_is_named_and_no_password_is_sent(self) -> None:
        identity = Authority.of_its_own("127.0.0.1")
        server = self.serve(tls=identity.options())
        found = await self.unreached("signed by itself", "")
        self.assertIn(f'`fingerprint = "{identity.fingerprint}"`', found.trouble)
        self.assertEqual((server.passwords, server.asked(b"USER")), (0, 0))

    @from_coroutine
    async def test_how_it_is_encrypted(self) -> None:
        authority = Authority()
        identity = authority.issue("127.0.0.1", "pop.old.123.com")
        self.serve(tls=identity.options())
        ca = authority.write(Path(self.folder.name))
        found = await self.probed(f'ca = "{ca}"')
        assert found.server is not None and found.server.encryption is not None
        encryption = found.server.encryption
        assert encryption.certificate is not None
        self.assertEqual((encryption.version, encryption.bits), ("TLSv1.3", 256))
        self.assertEqual(encryption.certificate.names, ("pop.old.123.com", "127.0.0.1"))
        self.assertEqual((encryption.certificate.self_signed, encryption.certificate.key), (False, "EC secp256r1"))
        self.assertEqual(encryption.certificate.fingerprint, identity.fingerprint)
        self.assertEqual(found.trouble, "")

    @from_coroutine
    async def test_unverified_is_advised_against(self) -> None:
        identity = Authority.of_its_own("127.0.0.1")
        self.serve(tls=identity.options())
        found = await self.probed("verify = false")
        (told,) = advice(self.settings("verify = false").domains["123.com"], found)
        self.assertIn(f'`fingerprint = "{identity.fingerprint}"`', told)

    @from_coroutine
    async def test_plaintext_where_stls_is_offered_is_advised_against(self) -> None:
        self.serve(tls=Authority().issue("127.0.0.1").options())
        found = await self.probed()
        (told,) = advice(self.settings().domains["123.com"], found)
        self.assertIn('it offers STLS: `tls = "starttls"`', told)

    @from_coroutine
    async def test_another_way_that_leads_there(self) -> None:
        authority = Authority()
        identity = authority.issue("127.0.0.1")
        ca = authority.write(Path(self.folder.name))
        plain = self.serve()
        encrypted = self.listening(type(plain)(BOX, Behaviour(password=PASSWORD)), tls=identity.options())
        self.server = plain
        settings = self.settings(f'ca = "{ca}"')
        probe = Probe(settings, NAME, reactor, timeout=2)
        probe.ways.append(Way(encrypted.port, "implicit"))
        found = await probe.run(Secret(PASSWORD))
        self.assertEqual((found.trouble, plain.passwords, encrypted.passwords), ("", 0, 1))
        self.assertIn("does not offer STLS", found.dead_ends[0].why)
        wanted = {change.key: change.value for change in changes(settings.domains["123.com"], found)}
        self.assertEqual(wanted, {"tls": "implicit", "port": encrypted.port})
        await Deferred.fromCoroutine(plain.emptied())
        await Deferred.fromCoroutine(encrypted.emptied())


def test_the_ways_that_are_tried() -> None:
    def of(more: str, host: str = "pop.old.123.com") -> list[str]:
        text = CONFIG.format(port=110, more=more).replace('"127.0.0.1"', f'"{host}"')
        settings = config.parse(text.encode())
        return [str(way) for way in ways(settings, settings.domains["123.com"])]

    implicit, starttls = "port 995, TLS from the first byte", "port 110, STARTTLS"
    assert of("") == [starttls, implicit]
    assert of('tls = "none"') == ["port 110, not encrypted", implicit, starttls]
    assert of('source = "imap"') == ["port 143, STARTTLS", "port 993, TLS from the first byte"]
    assert of("", "127.0.0.1") == of("", "localhost") == of("", "mail.123.com") == [starttls]  # may be mailferry itself
