"""The door to the legacy servers: a connection that has logged in, within the limits of its host.

Where a server lets those at the front wait in vain, those who wait for their connections are told so at once:
they would wait in vain as well, and longer, one after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.task import deferLater

from mailstore.accounts import Account
from proxy.config import Config, Domain
from proxy.legacy.errors import LegacyError, LegacyTimeout
from proxy.legacy.settings import Legacy
from proxy.login.names import Name
from proxy.login.speaking import Connection, speech_for
from proxy.migration.pop3_source import source_error
from proxy.migration.schedule import Slots
from proxy.migration.source import Reopen, Source
from proxy.wire.door import Secret


class LegacyServer:
    """One domain's legacy server: how to speak to it, its connections, and what was learnt of it."""

    def __init__(self, domain: Domain, report: Callable[..., Any]) -> None:
        legacy = domain.legacy
        self.login_name = legacy.login_name
        self.settings = Legacy(
            host=legacy.host,
            port=legacy.port,
            tls=legacy.tls,
            verify=legacy.verify,
            ca=legacy.ca,
        )
        self.speech = speech_for(domain, self.settings, partial(report, domain=domain.name))
        self.slots = Slots(legacy.connections)
        self.in_vain: tuple[float, LegacyError] | None = None  # when it was last waited for so, if not answered since


class LegacyDoor:
    """All of them. `reactor` is Twisted's."""

    def __init__(
        self, config: Config, reactor: Any, report: Callable[..., Any] = lambda _event, **_fields: None
    ) -> None:
        """`report` takes a warning for the log."""
        self._reactor = reactor
        self._servers = {name: LegacyServer(domain, report) for name, domain in config.domains.items()}

    async def open(self, name: Name, password: Secret) -> Source:
        """A connection logged in as this account. Waits for a free one. Raises LegacyError, as it came."""
        server = self._servers[name.domain]
        asked = self._reactor.seconds()
        release: Callable[[], None] = await server.slots.acquire()
        try:
            connection = await self._connect(server, asked)
            user = server.login_name(name.local, name.domain).encode()
            try:
                await connection.login(user, password)
            except BaseException:
                connection.abort()
                raise
        except BaseException:
            release()
            raise
        return server.speech.source(connection, release, user, password)

    async def _connect(self, server: LegacyServer, asked: float) -> Connection:
        """A connection for somebody who has waited for it since `asked`. Raises LegacyError."""
        if server.in_vain is not None and server.in_vain[0] > asked:
            text = server.in_vain[1].text
            await deferLater(self._reactor, 0)  # the next in the queue is told in a turn of its own
            raise LegacyTimeout(text)
        began = self._reactor.seconds()
        try:
            connection = await server.speech.connect(self._reactor)
        except LegacyError as error:
            now = self._reactor.seconds()
            if now - began >= server.settings.connect_timeout:
                server.in_vain = (now, error)
            raise
        server.in_vain = None
        return connection

    def reopener(self, name: Name, password: Secret) -> Reopen:
        """What a move calls when its connection was lost."""

        async def reopen() -> Source:
            try:
                return await self.open(name, password)
            except LegacyError as error:
                raise source_error(error) from error

        return reopen


def name_of(account: Account) -> Name:
    return Name(account.local, account.domain)
