"""A probe of scripted legacy servers, over loopback: what it finds, and what the server heard of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.trial.unittest import TestCase

from proxy import config
from proxy.admin.probing import maildrop
from proxy.admin.probing.finding import Probed, Step
from proxy.admin.probing.run import Probe
from proxy.config import Config
from proxy.login.names import Name
from proxy.pop3.client import connection as pop3_client
from proxy.wire.door import Secret
from tests.legacy.scripted import ScriptedServer
from tests.legacy.server import Behaviour, LegacyServer
from tests.proxy.migration.scripted import mail

reactor: Any = _reactor
PASSWORD = b"correct horse"
NAME = Name("li", "123.com")
BOX = [mail(n) for n in range(1, 31)]

CONFIG = """
hostname = "mail.123.com"
[listen]
imap = ["tcp:143"]
[domain."123.com".legacy]
host = "127.0.0.1"
port = {port}
{more}
"""


class ProbeCase(TestCase):
    """`serve`, then `probed`. Whatever happens nothing is deleted, nobody logs in more than twice, and the password is
    in nothing that is told."""

    timeout = 60
    server: ScriptedServer[Any]

    def setUp(self) -> None:
        self.patch(pop3_client, "PROBE_TIME", 0.2)
        self.patch(maildrop, "SLOWLY", 0.5)
        self.steps: list[tuple[Step, str]] = []

    def serve(self, messages: Sequence[bytes] = BOX, **behaviour: Any) -> LegacyServer:
        return self.listening(LegacyServer(messages, Behaviour(password=PASSWORD, **behaviour)))

    def listening(self, server: Any, *, tls: Any = None) -> Any:
        server.listen(reactor, tls=tls)
        self.addCleanup(lambda: Deferred.fromCoroutine(server.close()))
        self.server = server
        return server

    def settings(self, more: str = 'tls = "none"') -> Config:
        return config.parse(CONFIG.format(port=self.server.port, more=more).encode())

    async def probed(self, more: str = 'tls = "none"', *, password: bytes = PASSWORD, **how: Any) -> Probed:
        probe = Probe(
            self.settings(more),
            NAME,
            reactor,
            lambda step, whom: self.steps.append((step, whom)),
            **({"timeout": 0.5} | how),
        )
        found = await probe.run(Secret(password))
        self.assertNotIn(PASSWORD.decode(), repr(found))
        self.assertLessEqual(len(found.attempts), 2)
        self.assertEqual(self.server.harmful, [])
        await self.server.emptied()
        return found


class Garbage(Protocol):
    """No mail server."""

    def connectionMade(self) -> None:
        self.transport.write(b"220 ftp.old.123.com FTP ready\r\n")
