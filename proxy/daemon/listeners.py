"""The listeners: from the configuration's endpoint strings to ports that are open, or were before (`passed`)."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.internet.protocol import Factory

from proxy.config import Listen
from proxy.config.endpoints import PROXIED, Endpoint, parse_endpoint
from proxy.config.model import SERVED
from proxy.daemon.handover import Acceptor
from proxy.daemon.passed import Passed, PassedSockets

PLAIN = ("imap", "pop3")
WITH_TLS = ("imaps", "pop3s")
# Connections that may wait to be accepted; the system may allow fewer. Past Twisted's 50, clients of a crowd that comes
# at once are connected for all that they know, and forgotten by the kernel: they wait for a greeting for ever.
MANY = 4_096
ASKED = ("auth",)  # by other programs, in the daemon itself
WEB = ("web", "console")  # HTTPS or HTTP, whichever the configuration has

MAIL = ("lmtp",)  # handed in by a mail server; served by the daemon itself, however many workers there are

# A connection whose endpoint begins with "haproxy:" is for "haproxy:imap", not for "imap": see `proxy.daemon.fronted`.

HandOver = Callable[[socket.socket, str], None]
Endpoints = Mapping[str, Sequence[str]]  # by service


class CannotListen(Exception):
    """A port or socket cannot be opened; the text names it and says why."""


@dataclass(frozen=True, slots=True)
class Open:
    """A listening socket in use."""

    socket: socket.socket
    name: str  # systemd's for it
    opened_for: tuple[str, str] | None  # service and endpoint; None: it is systemd's
    index: int = -1  # its place among those that systemd passed

    def close(self) -> None:
        """It was not opened in this process. What systemd has opened stays in its directory."""
        path = "" if self.socket.family != socket.AF_UNIX else os.fsdecode(self.socket.getsockname())
        self.socket.close()
        if path.startswith("/") and self.opened_for is not None:
            for left in (path, f"{path}.lock"):
                with suppress(OSError):
                    Path(left).unlink()


class Listening:
    """The open ports of a daemon."""

    def __init__(self, reactor: Any, report: Callable[..., None], passed: PassedSockets | None = None) -> None:
        """`report(event, **figures)` is for the log. `passed` are sockets that were open before."""
        self._reactor = reactor
        self._report = report
        self._passed = passed or PassedSockets()
        self._ports: list[IListeningPort] = []
        self._acceptors: list[Acceptor] = []
        self._opened: list[Open] = []
        self._adopted: list[Open] = []

    async def open(self, endpoints: Endpoints, factory: Callable[[str], IProtocolFactory]) -> list[str]:
        """Open every endpoint of each service, with its factory; gives back where it listens, for the log.
        Raises CannotListen."""
        opened = []
        for service, strings in endpoints.items():
            for passed, string in self._passed_for(service, strings, wanted := list(strings)):
                serving: Any = factory(_served_at(service, string))
                serving.doStart()  # as a port of Twisted's would have it do
                self._accept(passed.socket, partial(self._adopt, serving, passed.socket.family))
                opened.append(f"{_served_at(service, string)} {passed.address}")
            for string in wanted:
                port = await self._listen(service, string, factory(_served_at(service, string)))
                opened.append(f"{_served_at(service, string)} {_address(port)}")
        return opened

    async def open_for(self, endpoints: Endpoints, hand_over: HandOver) -> list[str]:
        """The same, where connections are not served here but handed over with the service's name."""
        opened = []
        for service, strings in endpoints.items():
            for passed, string in self._passed_for(service, strings, wanted := list(strings)):
                self._accept(passed.socket, partial(_handing_over, hand_over, _served_at(service, string)))
                opened.append(f"{_served_at(service, string)} {passed.address}")
            for string in wanted:
                port: Any = await self._listen(service, string, Factory())
                port.stopReading()  # it keeps the socket open, and does no more
                self._accept(port.socket, partial(_handing_over, hand_over, _served_at(service, string)))
                opened.append(f"{_served_at(service, string)} {_address(port)}")
        return opened

    def close_unused(self) -> None:
        """When all is open that the configuration names: nobody answers at what else was passed."""
        for passed in self._passed.rest():
            if passed.opened_for is None:
                self._report("passed socket not used", name=passed.name, address=passed.address)
            Open(passed.socket, passed.name, passed.opened_for).close()

    def _passed_for(self, service: str, strings: Sequence[str], wanted: list[str]) -> list[tuple[Passed, str]]:
        """The sockets that were passed for a service, each with the endpoint that it stands for; `wanted` are its
        endpoints, of which is left what has none."""
        found = []
        for string in strings:
            passed = self._passed.take(service, string)
            if passed is not None:
                found.append((passed, string))
                wanted.remove(string)
            elif self._passed.covered(string):
                wanted.remove(string)
        while (passed := self._passed.take_by_name(service)) is not None:
            # Its socket is bound elsewhere, as systemd's unit says.
            found.append((passed, wanted.pop(0) if wanted else strings[0] if strings else ""))
        for passed, string in found:
            mine = (service, string) if passed.opened_for is not None else None
            self._adopted.append(Open(passed.socket, passed.name, mine, passed.index))
        return found

    def _accept(self, listening: socket.socket, take: Callable[[socket.socket], None]) -> None:
        acceptor = Acceptor(self._reactor, listening, take, self._report)
        acceptor.start()
        self._acceptors.append(acceptor)

    def _adopt(self, factory: IProtocolFactory, family: int, connection: socket.socket) -> None:
        """Serve it here."""
        with connection, suppress(OSError):  # the client may be gone
            connection.setblocking(False)
            self._reactor.adoptStreamConnection(connection.fileno(), family, factory)

    async def _listen(self, service: str, string: str, factory: IProtocolFactory) -> IListeningPort:
        # Workers open no port, and are begun again when one dies.
        from twisted.internet.endpoints import serverFromString  # noqa: PLC0415

        try:
            endpoint = serverFromString(self._reactor, string.removeprefix(PROXIED))  # type: ignore[no-untyped-call]
            port: Any = await endpoint.listen(factory)
        except Exception as error:
            raise CannotListen(f"cannot listen on {service} {string}: {error}") from error
        if "backlog=" not in string:
            port.socket.listen(MANY)
        self._ports.append(port)
        self._opened.append(Open(port.socket, "", (service, string)))
        return port  # type: ignore[no-any-return]

    @property
    def opened(self) -> list[Open]:
        """All listening sockets."""
        return [*self._opened, *self._adopted]

    def rest(self) -> list[Open]:
        """Take no new connections for now; those who come wait with the kernel. Gives back all sockets, open."""
        for acceptor in self._acceptors:
            acceptor.stop()
        for port in self._ports:
            port.stopReading()  # type: ignore[attr-defined]
        for each in self.opened:
            each.socket.listen(MANY)
        return self.opened

    def close(self) -> Deferred[Any]:
        """Take no new connections."""
        for acceptor in self._acceptors:
            acceptor.stop()
        self._acceptors.clear()
        for adopted in self._adopted:
            adopted.close()
        self._adopted.clear()
        ports, self._ports = self._ports, []
        return gatherResults([closing for port in ports if isinstance(closing := port.stopListening(), Deferred)])


def try_listening(listen: Listen, passed: PassedSockets) -> None:
    """Could the endpoints be opened that have no socket yet? Raises CannotListen."""
    for service in SERVED:
        for string in getattr(listen, service) or ():
            if passed.take(service, string) is None and not passed.covered(string):
                try:
                    _try(parse_endpoint(string))
                except OSError as error:
                    raise CannotListen(f"cannot listen on {service} {string}: {error.strerror}") from error


def _try(endpoint: Endpoint) -> None:
    if endpoint.kind == "unix":
        if not Path(endpoint.path).parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, "its directory is not there")
    elif endpoint.kind != "systemd":
        family = socket.AF_INET6 if ":" in endpoint.address else socket.AF_INET
        with socket.socket(family) as trying:
            trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trying.bind((endpoint.address, endpoint.port))


def _served_at(service: str, string: str) -> str:
    """What connections of an endpoint are for."""
    return f"{PROXIED}{service}" if string.startswith(PROXIED) else service


def _handing_over(hand_over: HandOver, service: str, connection: socket.socket) -> None:
    hand_over(connection, service)


def _address(port: IListeningPort) -> str:
    address: Any = port.getHost()
    host = getattr(address, "host", None)
    if host is None:
        name = getattr(address, "name", None)  # a UNIX socket's path
        return os.fsdecode(name) if name else str(address)
    return f"[{host}]:{address.port}" if ":" in host else f"{host}:{address.port}"
