"""A scripted server with TLS, and the client on its way in."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from proxy.pop3.client import Legacy, TlsFailed, connect
from proxy.wire.door import Secret
from tests.legacy.certificates import Authority, Identity
from tests.legacy.server import Behaviour, LegacyServer

CA = Authority()
GOOD = CA.issue("localhost", "127.0.0.1")


class TlsCase(TestCase):
    timeout = 60

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.ca = CA.write(self.folder)

    def serve(
        self,
        identity: Identity | None = GOOD,
        *,
        implicit: bool = False,
        newest: int | None = None,
        ciphers: str = "",
        dh: bytes = b"",
        **how: Any,
    ) -> LegacyServer:
        how |= {"tls": identity.options(newest, ciphers, dh)} if identity is not None else {}
        server = LegacyServer([b"hello\r\n"], Behaviour(**how))
        server.listen(reactor, tls=server.behaviour.tls if implicit else None)
        self.addCleanup(lambda: Deferred.fromCoroutine(server.close()))
        self.server = server
        return server

    async def log_in(self, tls: Any = "starttls", **changes: Any) -> None:
        """All the way to STAT and QUIT."""
        settings = {"host": "localhost", "port": self.server.port, "ca": self.ca}
        settings |= {"reply_timeout": 2.0, "connect_timeout": 2.0}
        legacy = Legacy(tls=tls, **(settings | changes))
        connection = await connect(reactor, legacy)
        try:
            await connection.login(b"joe", Secret(b"secret"))
            self.assertEqual(await connection.stat(), (1, 7))
        finally:
            await connection.quit()

    async def refused(self, words: str, tls: Any = "starttls", **changes: Any) -> TlsFailed:
        """The login fails for want of TLS, and no password was sent."""
        try:
            await self.log_in(tls, **changes)
        except TlsFailed as error:
            self.assertIn(words, str(error))
            self.assertTrue(error.remedy)
            self.assertEqual(self.server.passwords, 0)
            return error
        return self.fail("it logged in")
