"""Python's imaplib over real sockets, threads and TLS: what a dialogue in memory cannot show."""

from __future__ import annotations

import imaplib
import resource
import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet import endpoints, reactor
from twisted.internet.defer import Deferred, DeferredLock, inlineCallbacks
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from mailstore.mailbox import Announce
from mailstore.mailhome import MailHome
from proxy.imap.server import ImapFactory
from proxy.wire.door import Credentials, Hold, LoginRefused, Refusal, Terms
from tests.dialogues import fixtures
from tests.legacy.certificates import Authority
from tests.proxy.recording import RecordingLog

T = TypeVar("T")


class ThreadedHome:
    """A home whose operations run in threads, one at a time."""

    account = "user@123.com"

    def __init__(self, mail: MailHome, lock: DeferredLock, homes: list[ThreadedHome]) -> None:
        self._mail = mail
        self._lock = lock
        self._homes = homes
        self.watches: list[Announce] = []
        homes.append(self)

    async def run(self, operation: Callable[[MailHome], T]) -> T:
        return await self._lock.run(deferToThread, operation, self._mail)

    run_briefly = run

    def watch(self, changed: Announce) -> Callable[[], None]:
        self.watches.append(changed)
        return lambda: self.watches.remove(changed)

    def attend(self, folder_id: int) -> Callable[[], None]:
        return lambda: None

    async def lock_maildrop(self) -> bool:
        return True

    def close(self) -> None:
        if self in self._homes:
            self._homes.remove(self)


class ThreadedGate:
    """Lets "user" in with "pass"."""

    def __init__(self, path: Path) -> None:
        self.homes: list[ThreadedHome] = []
        self.mail = fixtures.open_home(path, "folders", self._announce)
        self._lock = DeferredLock()

    def _announce(self, folder_id: int, modseq: int | None = None) -> None:
        reactor.callFromThread(self._tell, folder_id, modseq)  # type: ignore[attr-defined]

    def _tell(self, folder_id: int, modseq: int | None) -> None:
        for home in self.homes:
            for changed in home.watches:
                changed(folder_id, modseq)

    async def login(self, credentials: Credentials, hold: Hold) -> ThreadedHome:
        if (credentials.username, credentials.password.reveal()) != (b"user", b"pass"):
            raise LoginRefused(Refusal.WRONG, "wrong password")
        return ThreadedHome(self.mail, self._lock, self.homes)


class RealClients(TestCase):
    timeout = 30

    @inlineCallbacks
    def setUp(self) -> Any:
        self.directory = tempfile.TemporaryDirectory(prefix="imap-clients-")
        self.addCleanup(self.directory.cleanup)
        self.gate = ThreadedGate(Path(self.directory.name))
        self.addCleanup(self.gate.mail.close)
        authority = Authority()
        self.pem = authority.certificate
        self.log = RecordingLog()
        terms = Terms(hostname="localhost", tls=authority.issue("localhost").options())
        self.factory = ImapFactory(self.gate, terms, self.log, reactor)  # type: ignore[arg-type]
        endpoint = endpoints.serverFromString(reactor, "tcp:0:interface=127.0.0.1")
        port = yield endpoint.listen(self.factory)
        self.port = port.getHost().port
        self.addCleanup(port.stopListening)
        self.addCleanup(self.factory.drain)

    def client(self) -> imaplib.IMAP4:
        client = imaplib.IMAP4("127.0.0.1", self.port, timeout=10)
        client.login("user", "pass")
        return client

    def in_thread(self, work: Callable[[], T]) -> Deferred[T]:
        return deferToThread(work)

    def test_a_session(self) -> Deferred[None]:
        def work() -> None:
            client = self.client()
            assert client.select()[1] == [b"3"]
            _, data = client.uid("FETCH", "1:*", "(UID BODY.PEEK[])")
            bodies = [part[1] for part in data if isinstance(part, tuple)]
            assert bodies == [sample.octets for sample in fixtures.THREE]
            _, data = client.append("Sent", "(\\Seen)", None, b"Subject: x\r\n\r\ny\r\n")
            assert b"APPENDUID" in data[0]
            assert client.copy("1:2", "Archive")[0] == "OK"
            assert client.store("1", "+FLAGS", "(\\Deleted)")[1] == [b"1 (FLAGS (\\Deleted \\Recent))"]
            assert client.expunge()[1] == [b"1"]
            assert client.search(None, "SUBJECT", "dots")[1] == [b"2"]
            assert client.status("Archive", "(MESSAGES)")[1] == [b"Archive (MESSAGES 4)"]
            assert client.logout()[0] == "BYE"

        return self.in_thread(work)

    def test_starttls(self) -> Deferred[None]:
        def work() -> None:
            client = imaplib.IMAP4("127.0.0.1", self.port, timeout=10)
            context = ssl.create_default_context(cadata=self.pem.decode())
            client.host = "localhost"
            client.starttls(context)
            assert "STARTTLS" not in client.capabilities
            client.authenticate("PLAIN", lambda _: b"\0user\0pass")
            client.select("Archive")
            _, data = client.fetch("1", "(RFC822)")
            assert data[0][1] == fixtures.letter(1)
            client.logout()

        return self.in_thread(work)

    def test_a_large_message_costs_little_memory(self) -> Deferred[None]:
        size = 64 * 1024 * 1024

        def work() -> None:
            with tempfile.TemporaryFile() as large:
                large.write(b"Subject: large\r\n\r\n")
                for _ in range(size // 65_536):
                    large.write(b"x" * 65_535 + b"\n")
                large.seek(0)
                self.gate.mail.append("Sent", large, (), None)
            client = self.client()
            client.select("Sent", readonly=True)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            client.send(b"a FETCH 1 BODY.PEEK[TEXT]\r\n")
            assert client.readline() == b"* 1 FETCH (BODY[TEXT] {%d}\r\n" % size
            received = 0
            while received < size:
                received += len(client.read(min(65_536, size - received)))
            assert client.readline() == b")\r\n"
            after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            assert after - before < 16 * 1024
            client.shutdown()

        return self.in_thread(work)

    def test_two_clients_see_each_other(self) -> Deferred[None]:
        def work() -> None:
            first, second = self.client(), self.client()
            first.select()
            second.select()
            first.send(b"i IDLE\r\n")
            assert first.readline() == b"+ idling\r\n"
            second.store("2", "+FLAGS", "(\\Flagged)")
            assert first.readline() == b"* 2 FETCH (FLAGS (\\Flagged \\Recent))\r\n"
            first.send(b"DONE\r\n")
            assert first.readline().startswith(b"i OK")
            first.logout()
            second.logout()

        return self.in_thread(work)

    def test_pipelined_and_half_closed(self) -> Deferred[None]:
        """What `printf … | nc` does: everything at once, and no more to say."""

        def work() -> None:
            client = imaplib.IMAP4("127.0.0.1", self.port, timeout=10)
            client.send(b"a LOGIN user pass\r\nb SELECT INBOX\r\nc FETCH 1:3 UID\r\n")
            client.sock.shutdown(1)
            heard = client.file.read()
            assert b"c OK" in heard
            assert heard.count(b" FETCH ") == 3
            client.shutdown()

        return self.in_thread(work)

    def test_drain_answers_first(self) -> Deferred[None]:
        def work() -> bytes:
            client = self.client()
            client.select()
            client.send(b"".join(b"%d UID FETCH 1:* (BODY.PEEK[] BODYSTRUCTURE)\r\n" % n for n in range(50)))
            reactor.callFromThread(self.factory.drain)  # type: ignore[attr-defined]
            heard: bytes = client.file.read()
            client.shutdown()
            return heard

        def check(heard: bytes) -> None:
            assert heard.endswith(b"* BYE Server is shutting down.\r\n")
            before = heard[: -len(b"* BYE Server is shutting down.\r\n")]
            assert not before or b" OK Fetch completed.\r\n" in before[-40:]

        return self.in_thread(work).addCallback(check)
