"""The listeners: from the configuration's endpoint strings to ports that are open."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.internet.protocol import Factory

from proxy.daemon.handover import Acceptor

PLAIN = ("imap", "pop3")
WITH_TLS = ("imaps", "pop3s")
WEB = ("web", "console")  # HTTPS or HTTP, whichever the configuration has

HandOver = Callable[[socket.socket, str], None]
Endpoints = Mapping[str, Sequence[str]]  # by service


class CannotListen(Exception):
    """A port or socket cannot be opened; the text names it and says why."""


class Listening:
    """The open ports of a daemon."""

    def __init__(self, reactor: Any, report: Callable[..., None]) -> None:
        """`report(event, **figures)` is for the log."""
        self._reactor = reactor
        self._report = report
        self._ports: list[IListeningPort] = []
        self._acceptors: list[Acceptor] = []

    async def open(self, endpoints: Endpoints, factory: Callable[[str], IProtocolFactory]) -> list[str]:
        """Open every endpoint of each service, with its factory; gives back where it listens, for the log.
        Raises CannotListen."""
        return [
            f"{service} {_address(await self._listen(service, string, factory(service)))}"
            for service, strings in endpoints.items()
            for string in strings
        ]

    async def open_for(self, endpoints: Endpoints, hand_over: HandOver) -> list[str]:
        """The same, where connections are not served here but handed over with the service's name."""
        opened = []
        for service, strings in endpoints.items():
            for string in strings:
                port: Any = await self._listen(service, string, Factory())
                port.stopReading()  # it keeps the socket open, and does no more
                acceptor = Acceptor(
                    self._reactor, port.socket, partial(_handing_over, hand_over, service), self._report
                )
                acceptor.start()
                self._acceptors.append(acceptor)
                opened.append(f"{service} {_address(port)}")
        return opened

    async def _listen(self, service: str, string: str, factory: IProtocolFactory) -> IListeningPort:
        try:
            endpoint = serverFromString(self._reactor, string)  # type: ignore[no-untyped-call]
            port: IListeningPort = await endpoint.listen(factory)
        except Exception as error:
            raise CannotListen(f"cannot listen on {service} {string}: {error}") from error
        self._ports.append(port)
        return port

    def close(self) -> Deferred[Any]:
        """Take no new connections."""
        for acceptor in self._acceptors:
            acceptor.stop()
        self._acceptors.clear()
        ports, self._ports = self._ports, []
        return gatherResults([closing for port in ports if isinstance(closing := port.stopListening(), Deferred)])


def _handing_over(hand_over: HandOver, service: str, connection: socket.socket) -> None:
    hand_over(connection, service)


def _address(port: IListeningPort) -> str:
    address: Any = port.getHost()
    host = getattr(address, "host", None)
    if host is None:
        name = getattr(address, "name", None)  # a UNIX socket's path
        return os.fsdecode(name) if name else str(address)
    return f"[{host}]:{address.port}" if ":" in host else f"{host}:{address.port}"
