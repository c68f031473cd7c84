"""The listeners: from the configuration's endpoint strings to ports that are open."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.protocols.tls import TLSMemoryBIOFactory

PLAIN = ("imap", "pop3")
WITH_TLS = ("imaps", "pop3s")


class ServerFactory(Protocol):
    """What the POP3 and the IMAP factory have in common."""

    def drain(self) -> Deferred[Any]:
        """Let each session finish its command, then close it."""


class CannotListen(Exception):
    """A port or socket cannot be opened; the text names it and says why."""


class Listening:
    """The open ports of a daemon."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._ports: list[IListeningPort] = []

    async def open(self, endpoints: Mapping[str, Sequence[str]], factories: Mapping[str, Any], tls: Any) -> list[str]:
        """Open every endpoint of each service; gives back where it listens, for the log. Raises CannotListen."""
        opened = []
        for service, strings in endpoints.items():
            factory: IProtocolFactory = factories[service]
            if strings and service in WITH_TLS:
                factory = TLSMemoryBIOFactory(tls, False, factory, self._reactor)
            for string in strings:
                try:
                    endpoint = serverFromString(self._reactor, string)  # type: ignore[no-untyped-call]
                    port = await endpoint.listen(factory)
                except Exception as error:
                    raise CannotListen(f"cannot listen on {service} {string}: {error}") from error
                self._ports.append(port)
                opened.append(f"{service} {_address(port)}")
        return opened

    def close(self) -> Deferred[Any]:
        """Take no new connections."""
        ports, self._ports = self._ports, []
        return gatherResults([closing for port in ports if isinstance(closing := port.stopListening(), Deferred)])


def _address(port: IListeningPort) -> str:
    address: Any = port.getHost()
    host = getattr(address, "host", None)
    if host is None:
        name = getattr(address, "name", None)  # a UNIX socket's path
        return os.fsdecode(name) if name else str(address)
    return f"[{host}]:{address.port}" if ":" in host else f"{host}:{address.port}"
