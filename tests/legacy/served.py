"""Tests of a client over loopback, against the scripted servers: what every one of them needs."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from proxy.legacy.connection import LegacyConnection
from proxy.legacy.errors import LegacyError
from proxy.legacy.settings import Legacy
from tests.legacy.scripted import ScriptedServer

S = TypeVar("S", bound=ScriptedServer[Any])
C = TypeVar("C", bound=LegacyConnection[Any])


class ServedCase(TestCase):
    """Servers and connections are gone behind each test; whatever happens, no command comes that changes anything."""

    timeout = 60
    server: ScriptedServer[Any]

    def listening(self, server: S) -> S:
        """The server, which listens from here on."""
        server.listen(reactor)
        self.addCleanup(self._close, server)
        self.server = server
        return server

    def _close(self, server: ScriptedServer[Any]) -> Deferred[None]:
        self.assertEqual(server.harmful, [])
        return Deferred.fromCoroutine(server.close())

    def legacy(self, **changes: Any) -> Legacy:
        """How the server is spoken to."""
        settings: dict[str, Any] = {"host": "127.0.0.1", "port": self.server.port, "tls": "none"}
        return Legacy(**(settings | {"reply_timeout": 0.3, "opening_timeout": 0.3} | changes))

    def dropped_behind(self, connection: C) -> C:
        """A connection that lasts as long as the test at the most."""
        self.addCleanup(self._drop, connection)
        return connection

    def _drop(self, connection: LegacyConnection[Any]) -> Deferred[None]:
        connection.abort()
        return Deferred.fromCoroutine(connection.gone())

    async def fails(self, kind: type[LegacyError], doing: Coroutine[Any, Any, Any]) -> LegacyError:
        """Await what must fail, exactly so."""
        try:
            await doing
        except LegacyError as error:
            self.assertIs(type(error), kind, str(error))
            self.assertNotIn("secret", str(error))
            return error
        return self.fail("nothing failed")
