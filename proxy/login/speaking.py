"""In which protocol a domain's legacy server is spoken to (`source` in the configuration): how a connection is made,
and what becomes of it once a user's password is checked.

Over IMAP, its POP3 side is asked as well, for UIDLs, with the same name and password.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, Protocol, cast

from proxy.config import Domain
from proxy.imap.client import connection as imap_client
from proxy.imap.client.connection import Connection as ImapConnection
from proxy.legacy.settings import Legacy
from proxy.migration.imap_source import ImapManners, ImapSource, Note
from proxy.migration.pop3_source import Manners, Pop3Source
from proxy.migration.source import Source
from proxy.migration.uidls import Maildrops
from proxy.pop3.client import connection as pop3_client
from proxy.pop3.client.connection import Connection as Pop3Connection
from proxy.wire.door import Secret

MAILDROP_TIMEOUT: Final = 5.0  # seconds: POP3 need not be open where the source is IMAP

Connection = Pop3Connection | ImapConnection


class Speech(Protocol):
    """One protocol, to one server."""

    async def connect(self, reactor: Any) -> Connection:
        """Up to where a login can follow. Raises LegacyError."""

    async def login(self, connection: Connection, user: bytes, password: Secret) -> None:
        """Check a password. Raises LegacyError."""

    def source(self, connection: Connection, left: Callable[[], None], user: bytes, password: Secret) -> Source:
        """A connection that has logged in, for a move; `left` is called once when it is given up."""


class OverPop3:
    def __init__(self, settings: Legacy) -> None:
        self._settings = settings
        self._manners = Manners()
        # A stamp without secrets behind it: each attempt is a login that failed, in the eyes of what guards the server.
        self._apop = True

    async def connect(self, reactor: Any) -> Connection:
        return await pop3_client.connect(reactor, self._settings)

    async def login(self, connection: Connection, user: bytes, password: Secret) -> None:
        over_pop3 = cast(Pop3Connection, connection)
        await over_pop3.login(user, password, apop=self._apop)
        self._apop = self._apop and not over_pop3.apop_in_vain

    def source(self, connection: Connection, left: Callable[[], None], user: bytes, password: Secret) -> Source:
        return Pop3Source(cast(Pop3Connection, connection), self._manners, left)


class OverImap:
    def __init__(self, settings: Legacy, imap_port: int, note: Note) -> None:
        self._settings = replace(settings, port=imap_port)
        self._maildrop = replace(settings, connect_timeout=MAILDROP_TIMEOUT)
        self._manners = ImapManners()
        self._maildrops = Maildrops()
        self._note = note

    async def connect(self, reactor: Any) -> Connection:
        self._reactor = reactor
        return await imap_client.connect(reactor, self._settings)

    async def login(self, connection: Connection, user: bytes, password: Secret) -> None:
        await connection.login(user, password)

    def source(self, connection: Connection, left: Callable[[], None], user: bytes, password: Secret) -> Source:
        async def open_maildrop() -> Pop3Connection:
            maildrop = await pop3_client.connect(self._reactor, self._maildrop)
            try:
                await maildrop.login(user, password)
            except BaseException:
                maildrop.abort()
                raise
            return maildrop

        return ImapSource(
            cast(ImapConnection, connection),
            self._manners,
            left,
            maildrops=self._maildrops,
            open_maildrop=open_maildrop,
            note=self._note,
        )


def speech_for(domain: Domain, settings: Legacy, note: Note) -> Speech:
    """As the configuration has it; `settings` are POP3's, `note` is told what an administrator should know."""
    if domain.legacy.source == "imap":
        return OverImap(settings, domain.legacy.imap_port, note)
    return OverPop3(settings)
