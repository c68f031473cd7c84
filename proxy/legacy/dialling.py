"""From a host's name to a `Wire`, or why there is none, in words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, Generic, cast

from twisted.internet import error as net
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory

from proxy.legacy.errors import LegacyUnreachable
from proxy.legacy.settings import Legacy
from proxy.legacy.wire import E, Machine, Wire

Dial = Callable[[], Awaitable[Wire[E]]]  # a connection over which nothing was said yet. Raises LegacyError

_CHECK: Final = "check `host` and `port`, and whether that server runs and lets this machine in"


class _Wires(Factory, Generic[E]):
    """Makes the protocol of one connection."""

    noisy = False

    def __init__(self, clock: IReactorTime, legacy: Legacy, machine: Callable[[], Machine[E]]) -> None:
        self._clock = clock
        self._legacy = legacy
        self._machine = machine

    def buildProtocol(self, addr: IAddress | None) -> Wire[E]:
        return Wire(self._clock, self._legacy, self._machine())


def dialling(reactor: Any, legacy: Legacy, machine: Callable[[], Machine[E]]) -> Dial[E]:
    """How `legacy` is reached."""
    return partial(_dialled, reactor, legacy, machine)


async def _dialled(reactor: Any, legacy: Legacy, machine: Callable[[], Machine[E]]) -> Wire[E]:
    """Raises LegacyUnreachable."""
    endpoint = HostnameEndpoint(reactor, legacy.host, legacy.port, timeout=legacy.connect_timeout)
    try:
        return cast(Wire[E], await endpoint.connect(_Wires(reactor, legacy, machine)))
    except (net.ConnectError, net.DNSLookupError, OSError, ValueError) as error:
        raise LegacyUnreachable(_no_connection(error, legacy), remedy=_CHECK) from None


def _no_connection(error: Exception, legacy: Legacy) -> str:
    """Why there is no connection, in words."""
    where = f"{legacy.host} port {legacy.port}"
    if isinstance(error, net.DNSLookupError | ValueError):  # ValueError: it cannot even be a name
        return f"the name {legacy.host} is not known to DNS"
    if isinstance(error, net.ConnectionRefusedError):
        return f"{where} refuses connections"
    if isinstance(error, net.TimeoutError):
        return f"{where} does not answer within {legacy.connect_timeout:g} s"
    if isinstance(error, net.NoRouteError):
        return f"there is no route to {where}"
    return f"no connection to {where} ({type(error).__name__})"
