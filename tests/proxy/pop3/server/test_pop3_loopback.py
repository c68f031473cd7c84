"""Real sockets and real clients on loopback: poplib, plain, STLS and implicit TLS; curl."""

from __future__ import annotations

import datetime
import os
import poplib
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import SSL4ServerEndpoint, TCP4ServerEndpoint
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from mailstore.mailhome import MailHome
from proxy.pop3.server import Pop3Factory
from proxy.wire.door import Credentials, Hold, Terms
from tests.dialogues import fixtures
from tests.dialogues.gate import ScriptedGate, ScriptedHome
from tests.dialogues.store import deliver

T = TypeVar("T")
LARGE = b"Subject: large\r\n\r\n" + b".dots and text\r\n" * 200_000  # 3 MB


@implementer(IOpenSSLServerConnectionCreator)
class Certificate:
    """A server's certificate for localhost, made now."""

    def __init__(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        now = datetime.datetime.now(datetime.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .sign(key, hashes.SHA256())
        )
        self._context = SSL.Context(SSL.TLS_SERVER_METHOD)
        self._context.use_certificate(made)
        self._context.use_privatekey(key)

    def serverConnectionForTLS(self, protocol: object) -> SSL.Connection:
        return SSL.Connection(self._context, None)


class ThreadHome(ScriptedHome):
    async def run(self, operation: Callable[[MailHome], T]) -> T:
        return await deferToThread(operation, self._gate.mail)


class ThreadGate(ScriptedGate):
    async def login(self, credentials: Credentials, hold: Hold) -> ThreadHome:
        (await super().login(credentials, hold)).close()
        return ThreadHome(self)


def trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def everything(client: poplib.POP3) -> list[bytes]:
    """Log in and fetch all; poplib gives lines without their ends."""
    client.user("user@123.com")
    client.pass_("pass")
    count, _ = client.stat()
    got = [b"\r\n".join(client.retr(number)[1]) + b"\r\n" for number in range(1, count + 1)]
    assert [line.split()[1] for line in client.uidl()[1]] == [b"letter-%d" % n for n in range(1, 6)] + [b"large"]
    assert len(client.top(6, 2)[1]) == 4
    client.quit()
    return got


class LoopbackTests(TestCase):
    async def setUp(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="pop3-"))
        self.addCleanup(shutil.rmtree, self.path)
        mail = fixtures.open_home(self.path, "letters")
        self.addCleanup(mail.close)
        deliver(mail, [(LARGE, "large", (), 1_700_000_000)])
        self.expected = [fixtures.letter(n) for n in range(1, 6)] + [LARGE]
        self.certificate = Certificate()
        terms = Terms("localhost", tls=self.certificate)
        log = structlog.wrap_logger(None, processors=[structlog.testing.LogCapture()])
        self.factory = Pop3Factory(ThreadGate(mail, reactor, []), terms, log, reactor)  # type: ignore[arg-type]
        endpoints = (
            TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1"),
            SSL4ServerEndpoint(reactor, 0, self.certificate, interface="127.0.0.1"),
        )
        self.plain, self.secure = [await endpoint.listen(self.factory) for endpoint in endpoints]

    def tearDown(self) -> Deferred[object]:
        stopped = [port.stopListening() for port in (self.plain, self.secure)]
        return gatherResults([*(each for each in stopped if each is not None), self.factory.drain()])

    async def test_poplib(self) -> None:
        def talk() -> list[bytes]:
            return everything(poplib.POP3("127.0.0.1", self.plain.getHost().port, timeout=10))

        self.assertEqual(await deferToThread(talk), self.expected)

    async def test_poplib_stls(self) -> None:
        def talk() -> list[bytes]:
            client = poplib.POP3("127.0.0.1", self.plain.getHost().port, timeout=10)
            assert "STLS" in client.capa()
            client.stls(trusting())
            assert "STLS" not in client.capa()
            return everything(client)

        self.assertEqual(await deferToThread(talk), self.expected)

    async def test_poplib_implicit_tls(self) -> None:
        def talk() -> list[bytes]:
            port = self.secure.getHost().port
            return everything(poplib.POP3_SSL("127.0.0.1", port, timeout=10, context=trusting()))

        self.assertEqual(await deferToThread(talk), self.expected)

    @pytest.mark.peers
    async def test_curl(self) -> None:
        curl = shutil.which("curl")
        if curl is None:
            if os.environ.get("CI") == "true":
                self.fail("curl is not installed, and in CI it has to be")
            self.skipTest("curl is not installed")

        def talk() -> list[bytes]:
            plain, secure = self.plain.getHost().port, self.secure.getHost().port
            got = []
            for options, url in (
                (["--login-options", "AUTH=PLAIN"], f"pop3://127.0.0.1:{plain}/6"),
                (["--login-options", "AUTH=LOGIN"], f"pop3://127.0.0.1:{plain}/6"),
                (["-k", "--ssl-reqd"], f"pop3://127.0.0.1:{plain}/6"),
                (["-k"], f"pop3s://127.0.0.1:{secure}/6"),
            ):
                command = [curl, "-sS", "--max-time", "20", "-u", "user@123.com:pass", *options, url]
                got.append(subprocess.run(command, capture_output=True, check=True).stdout)
            return got

        self.assertEqual(await deferToThread(talk), [LARGE] * 4)
