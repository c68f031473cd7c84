"""A probe where the source is IMAP: folders, messages and sizes; one login, and two where POP3 is asked as well."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from proxy.admin.probing.finding import Answer, Probed
from tests.legacy.imap_server import ImapServer, Kept, Manner
from tests.legacy.server import Behaviour, LegacyServer
from tests.proxy.admin.probe_rig import BOX, PASSWORD, ProbeCase, reactor
from tests.proxy.admin.test_verify_found import from_coroutine
from tests.proxy.migration.scripted import mail

OLD = b'"01-Feb-2003 04:05:06 +0000"'


class OverImap(ProbeCase):
    def serve_folders(self, **manner: Any) -> ImapServer:
        folders = {
            b"INBOX": [Kept(n, mail(n)) for n in range(1, 11)],
            b"Sent": [Kept(1, mail(1, 5_000), date=OLD), Kept(2, mail(2))],
            b"Empty": [],
        }
        server: ImapServer = self.listening(ImapServer(folders, Manner(password=PASSWORD, **manner)))
        return server

    def beside(self, **behaviour: Any) -> LegacyServer:
        """POP3 on the same machine."""
        self.pop3 = LegacyServer(BOX, Behaviour(password=PASSWORD, **behaviour))
        self.pop3.listen(reactor)
        self.addCleanup(lambda: Deferred.fromCoroutine(self.pop3.close()))
        return self.pop3

    async def looked(self, pop3: int = 1, **how: Any) -> Probed:
        more = f'source = "imap"\nimap_port = {self.server.port}\ntls = "none"'
        configured = self.settings

        def settings(text: str) -> Any:
            real, self.server.port = self.server.port, pop3
            try:
                return configured(text)
            finally:
                self.server.port = real

        self.patch(self, "settings", settings)
        return await self.probed(more, **how)

    def logins(self, server: ImapServer) -> int:
        return len(server.asked(b"LOGIN")) + len(server.asked(b"AUTHENTICATE"))

    @from_coroutine
    async def test_folders_messages_and_sizes(self) -> None:
        server = self.serve_folders(extra=(b"Broken",))
        found = await self.looked()
        box = found.mailbox
        assert box is not None and found.speed is not None
        self.assertEqual(found.trouble, "")
        self.assertEqual(
            [(folder.name, folder.messages, folder.refused) for folder in box.folders],
            [("INBOX", 10, ""), ("Broken", 0, "cannot be opened"), ("Empty", 0, ""), ("Sent", 2, "")],
        )
        self.assertEqual((box.messages, box.oldest, box.newest), (12, 1_044_072_306, 1_700_000_000))
        assert box.largest is not None
        self.assertEqual((box.largest.folder, box.largest.octets), ("Sent", 5_000))
        self.assertEqual((found.speed.messages, found.speed.octets), (12, box.octets))
        self.assertIn("a folder cannot be opened: no such folder", found.remarks)
        self.assertIn("cannot be reached", found.uidls_by_pop3)
        self.assertEqual(self.logins(server), 1)

    @from_coroutine
    async def test_pop3_is_not_logged_in_to_unless_asked_for(self) -> None:
        server, pop3 = self.serve_folders(), self.beside()
        found = await self.looked(pop3.port)
        self.assertIn("is open; whether it lets the account in was not tried", found.uidls_by_pop3)
        self.assertEqual((self.logins(server), pop3.passwords), (1, 0))

    @from_coroutine
    async def test_pop3_takes_the_second_login(self) -> None:
        server, pop3 = self.serve_folders(), self.beside()
        found = await self.looked(pop3.port, lock=True)
        self.assertIn("gives UIDLs of 30 messages", found.uidls_by_pop3)
        self.assertEqual((self.logins(server), pop3.passwords, found.trouble), (1, 1, ""))

    @from_coroutine
    async def test_pop3_does_not_let_it_in(self) -> None:
        pop3 = self.beside(login_refusal=b"-ERR [SYS/PERM] no POP3 for you")
        self.serve_folders()
        found = await self.looked(pop3.port, lock=True)
        self.assertIn("does not let the account in: [SYS/PERM] no POP3 for you", found.uidls_by_pop3)
        self.assertEqual([each.answer for each in found.attempts], [Answer.ACCEPTED, Answer.NOT_POSSIBLE])

    @from_coroutine
    async def test_a_wrong_password_is_sent_twice_and_never_again(self) -> None:
        server = self.serve_folders(capabilities=b"IMAP4rev1 AUTH=PLAIN SASL-IR")
        found = await self.looked(password=b"mistyped")
        self.assertEqual((self.logins(server), len(found.attempts)), (2, 2))
        self.assertIn("neither as li nor as li@123.com", found.trouble)

    @from_coroutine
    async def test_one_command_is_one_login(self) -> None:
        answers = {b"LOGIN": b"%t BAD command not implemented\r\n"}
        server = self.serve_folders(capabilities=b"IMAP4rev1 AUTH=PLAIN SASL-IR", answers=answers)
        found = await self.looked()
        self.assertEqual((self.logins(server), [each.answer for each in found.attempts]), (1, [Answer.NOT_POSSIBLE]))

    @from_coroutine
    async def test_a_server_that_takes_no_password_is_not_told_one(self) -> None:
        server = self.serve_folders(capabilities=b"IMAP4rev1 LOGINDISABLED")
        found = await self.looked()
        self.assertEqual((self.logins(server), found.attempts), (0, []))
        self.assertIn('(LOGINDISABLED); try `tls = "starttls"`', found.trouble)

    @from_coroutine
    async def test_pop3_breaks_off(self) -> None:
        pop3 = self.beside(hang_up_at=frozenset({b"UIDL"}))
        self.serve_folders()
        found = await self.looked(pop3.port, lock=True)
        self.assertIn("gives no UIDLs: the connection was closed by the server", found.uidls_by_pop3)
        self.assertEqual(found.trouble, "")

    @from_coroutine
    async def test_locked_and_busy_end_it(self) -> None:
        server = self.serve_folders()
        for number, (words, answer) in enumerate(
            (
                (b"NO [AUTHENTICATIONFAILED] account locked after too many attempts", None),
                (b"NO [UNAVAILABLE] temporary", Answer.BUSY),
                (b"NO [CONTACTADMIN] disabled", Answer.NOT_POSSIBLE),
            ),
            1,
        ):
            server.manner.answers = {b"LOGIN": b"%t " + words + b"\r\n"}
            found = await self.looked()
            self.assertEqual((self.logins(server), len(found.attempts)), (number, 1), words)
            if answer is not None:
                self.assertIs(found.attempts[0].answer, answer)

    @from_coroutine
    async def test_what_breaks_off(self) -> None:
        server = self.serve_folders(hang_up_at=frozenset({b"EXAMINE"}))
        found = await self.looked()
        self.assertIn("closed by the server", found.trouble)
        self.assertIsNone(found.mailbox)
        self.assertEqual(self.logins(server), 1)
