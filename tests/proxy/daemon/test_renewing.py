"""A renewed certificate is shown without a restart, and sessions stay."""

from __future__ import annotations

import imaplib
import os
import ssl
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase

from proxy import config
from proxy.config import Config, Listen
from proxy.config.model import Tls
from proxy.daemon import renewing
from proxy.daemon.listeners import PLAIN, WITH_TLS
from proxy.daemon.renewing import LOOK_SECONDS, Renewing
from proxy.daemon.service import Daemon
from proxy.daemon.tls import Pair, read_pair
from tests.legacy.certificates import Authority, Identity
from tests.proxy.daemon.test_daemon import LOGIN, DaemonTestCase
from tests.proxy.login.login_rig import CONFIG
from tests.proxy.migration.scripted import direct, folder
from tests.proxy.recording import RecordingLog

AUTHORITY = Authority()
FREE = ("tcp:0:interface=127.0.0.1",)


class TheFiles(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = folder(self)
        self.first = AUTHORITY.issue("mail.123.com")
        certificate, key = self.first.write(self.folder, "mail")
        self.tls = Tls(certificate=certificate, key=key)
        self.log, self.clock = RecordingLog(), Clock()
        self.shown: list[Pair] = []
        pair = read_pair(self.tls)
        assert pair is not None
        self.renewing = Renewing(
            self.tls, pair, self.shown.append, in_thread=direct, reactor=self.clock, log=self.log, now=self.now
        )
        self.renewing.start()
        self.addCleanup(lambda: self.successResultOf(Deferred.fromCoroutine(self.renewing.stop())))
        self.time = datetime.now(UTC)

    def now(self) -> datetime:
        return self.time

    def look(self, times: int = 2) -> None:
        for _ in range(times):
            self.clock.advance(LOOK_SECONDS)

    def at_once(self) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.renewing.at_once()))

    def write(self, identity: Identity) -> None:
        identity.write(self.folder, "mail")

    def certificates(self) -> list[bytes]:
        return [pair.certificate for pair in self.shown]

    def test_files_that_stay_are_not_read(self) -> None:
        self.look(5)
        self.assertEqual((self.shown, self.log.lines), ([], []))

    def test_a_new_pair_is_taken_once_it_has_settled(self) -> None:
        second = AUTHORITY.issue("mail.123.com")
        self.write(second)
        self.look(1)
        self.assertEqual(self.shown, [])
        self.look(3)
        self.assertEqual(self.certificates(), [second.certificate])
        self.assertEqual(self.log.events(), ["certificate renewed"])

    def test_half_a_pair_changes_nothing_until_the_other_half_is_there(self) -> None:
        second = AUTHORITY.issue("mail.123.com")
        (self.folder / "mail.pem").write_bytes(second.certificate)
        self.look(5)
        self.assertEqual((self.shown, self.log.events()), ([], ["certificate not renewed"]))
        self.assertIn("mail.key is not that of the certificate", self.log.lines[0][2]["reason"])
        (self.folder / "mail.key").write_bytes(second.key)
        self.look()
        self.assertEqual(self.certificates(), [second.certificate])

    def test_files_that_go_and_come_again(self) -> None:
        (self.folder / "mail.key").rename(self.folder / "away")
        self.look(5)
        self.assertEqual(self.log.events(), ["certificate not renewed"])
        (self.folder / "away").rename(self.folder / "mail.key")
        self.look(5)
        self.assertEqual((self.shown, self.log.events()), ([], ["certificate not renewed"]))

    def test_links_that_lead_elsewhere(self) -> None:
        second = AUTHORITY.issue("mail.123.com")
        for new, name in zip(second.write(self.folder, "second"), ("mail.pem", "mail.key"), strict=True):
            (self.folder / "link").symlink_to(new)
            (self.folder / "link").rename(self.folder / name)
        self.look()
        self.assertEqual(self.certificates(), [second.certificate])

    def test_one_that_has_ended_is_not_taken(self) -> None:
        self.write(AUTHORITY.issue("mail.123.com", days=-1))
        self.look(5)
        self.assertEqual((self.shown, self.log.events()), ([], ["certificate not renewed"]))
        self.assertIn("has ended on", self.log.lines[0][2]["reason"])

    def test_one_that_begins_tomorrow_is_taken_tomorrow(self) -> None:
        self.time -= timedelta(days=3)
        self.write(AUTHORITY.issue("mail.123.com"))
        self.look(5)
        self.assertEqual((self.shown, self.log.events()), ([], ["certificate not renewed"]))
        self.time += timedelta(days=3)
        self.look(1)
        self.assertEqual(len(self.shown), 1)

    def test_told_to_it_reads_at_once_and_says_again_what_is_wrong(self) -> None:
        (self.folder / "mail.pem").write_bytes(b"nonsense\n")
        self.look(3)
        self.at_once()
        self.assertEqual(self.log.events(), ["certificate not renewed"] * 2)
        second = AUTHORITY.issue("mail.123.com")
        self.write(second)
        self.at_once()
        self.assertEqual(self.certificates(), [second.certificate])
        self.look(3)
        self.assertEqual(len(self.shown), 1)

    def test_what_is_only_touched_is_no_news(self) -> None:
        os.utime(self.folder / "mail.pem", (1, 1))
        self.look(3)
        self.assertEqual((self.shown, self.log.lines), ([], []))


def _shown(port: int, *, starttls: bool = False) -> bytes:
    """The certificate that a listener shows."""
    if not starttls:
        return ssl.get_server_certificate(("127.0.0.1", port)).encode()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with imaplib.IMAP4("127.0.0.1", port) as client:
        client.starttls(context)
        shown = client.sock.getpeercert(binary_form=True)
    assert shown
    return ssl.DER_cert_to_PEM_cert(shown).encode()


def _serial(certificate: bytes) -> int:
    return x509.load_pem_x509_certificate(certificate).serial_number


class WhileServing(DaemonTestCase):
    workers = 1

    def settings(self, port: int) -> Config:
        self.first, self.second = AUTHORITY.issue("mail.123.com"), AUTHORITY.issue("mail.123.com")
        certificate, key = self.first.write(self.state, "mail")
        text = CONFIG.format(state=self.state, accounts="open", port=port, connections=5)
        text = text.replace("workers = 1", f"workers = {self.workers}")
        text = f'{text}\n[tls]\ncertificate = "{certificate}"\nkey = "{key}"\n'
        listen = Listen.model_construct(imap=FREE, pop3=FREE, imaps=FREE, pop3s=FREE, web=FREE)
        return config.parse(text.encode()).model_copy(update={"listen": listen})

    async def all_shown(self, daemon: Daemon) -> set[int]:
        """Serial numbers, of every listener and, with several workers, in each."""
        ports: list[Any] = daemon._listening._ports  # type: ignore[assignment]
        numbers = [port.getHost().port for port in ports]
        shown = [await deferToThread(_shown, numbers[0], starttls=True)]
        for number in numbers[len(PLAIN) :] * 2:
            shown.append(await deferToThread(_shown, number))
        self.assertEqual(len(numbers), len(PLAIN) + len(WITH_TLS) + 1)
        return {_serial(each) for each in shown}

    def test_new_connections_see_it_and_sessions_stay(self) -> Deferred[None]:
        async def test() -> None:
            self.patch(renewing, "LOOK_SECONDS", 0.01)
            daemon = await self.daemon(self.legacy().port)
            session = await self.imap(daemon)
            await session.ask(b"a " + LOGIN, b"a OK")
            self.assertEqual(await self.all_shown(daemon), {_serial(self.first.certificate)})
            self.second.write(self.state, "mail")
            await self.until(lambda: "certificate renewed" in self.log.events())
            self.assertEqual(await self.all_shown(daemon), {_serial(self.second.certificate)})
            (self.state / "mail.key").write_bytes(b"")
            await daemon.renew()
            self.assertEqual(self.log.events("error"), ["certificate not renewed"])
            self.assertEqual(await self.all_shown(daemon), {_serial(self.second.certificate)})
            assert daemon._sites is not None
            signing = daemon._sites._web.shown()  # profiles for Apple's devices
            self.assertEqual(signing, (self.second.certificate, self.second.key))
            await self.after(daemon)
            await session.ask(b"b SELECT INBOX", b"b OK")
            await self.stop(daemon)

        return self.run_async(test())

    async def after(self, daemon: Daemon) -> None:
        """There are no workers."""


class WithWorkers(WhileServing):
    workers = 2

    async def after(self, daemon: Daemon) -> None:
        """A worker that comes later shows the good one, whatever is in the files."""
        crew = daemon._crew
        assert crew is not None
        dying = min(crew._workers, key=lambda worker: worker.sessions.total())
        dying.transport.signalProcess("KILL")  # type: ignore[union-attr]
        await self.until(lambda: dying not in crew._workers and sum(each.serving for each in crew._workers) == 2)
        self.assertEqual(await self.all_shown(daemon), {_serial(self.second.certificate)})
