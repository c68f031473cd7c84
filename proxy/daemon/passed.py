"""Listening sockets that were open before this process: passed by systemd (sd_listen_fds(3)), or kept over a reload.

The configuration says where to listen, as it does without them: a socket belongs to the endpoint whose address it is
bound to, or, under systemd, to the service that its FileDescriptorName is. Endpoints without one are opened as usual; a
socket that nothing in the configuration asks for is said in the log and closed.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from proxy.config.endpoints import Endpoint, parse_endpoint

FIRST: Final = 3  # SD_LISTEN_FDS_START


@dataclass(frozen=True, slots=True)
class Passed:
    """One of them. `name` is systemd's for it; one that an earlier daemon has opened has `opened_for` instead."""

    socket: socket.socket
    name: str = ""
    opened_for: tuple[str, str] | None = None  # service and endpoint
    index: int = -1  # its place among those that systemd passed

    @property
    def address(self) -> str:
        """Where it listens, for people."""
        bound = self.socket.getsockname()
        if self.socket.family == socket.AF_UNIX:
            return os.fsdecode(bound) or "a UNIX socket without a name"
        return f"[{bound[0]}]:{bound[1]}" if ":" in bound[0] else f"{bound[0]}:{bound[1]}"


def from_systemd(environment: MutableMapping[str, str] = os.environ) -> list[Passed]:
    """What systemd has passed to this process, and no child of it. The variables are taken out of the environment."""
    pid, count, names = (environment.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"))
    environment.pop("LISTEN_PIDFDID", None)
    if pid != str(os.getpid()) or not (count.isascii() and count.isdigit()):
        return []
    named = names.split(":")
    found = []
    for number in range(int(count)):
        try:
            passed = socket.socket(fileno=FIRST + number)
        except OSError:  # none, or no socket: a file of FileDescriptorStoreMax=
            continue
        passed.set_inheritable(False)
        passed.setblocking(False)
        found.append(Passed(passed, named[number] if number < len(named) else "", index=number))
    return found


class PassedSockets:
    """Those that are still nobody's."""

    def __init__(self, passed: Iterable[Passed] = ()) -> None:
        self._left = list(passed)
        self._taken: list[Passed] = []

    def take(self, service: str, text: str) -> Passed | None:
        """The one for an endpoint of a service, if there is one. It is the caller's from here on."""
        if not self._left:
            return None
        found = self._opened_for(service, text)
        if found is None:
            endpoint = parse_endpoint(text)
            found = self._systemd(endpoint) if endpoint.kind == "systemd" else self._bound_to(endpoint)
        return self._give(found)

    def covered(self, text: str) -> bool:
        """Is an endpoint's address one that a socket that was taken has already? One of systemd's usual ones for a port
        takes connections over IPv6 and IPv4 alike, where the configuration may have an endpoint for each."""
        if not self._taken:
            return False
        endpoint = parse_endpoint(text)
        return any(_takes(each.socket, endpoint) for each in self._taken)

    def take_by_name(self, service: str) -> Passed | None:
        """One that systemd calls as the service is called."""
        return self._give(next((each for each in self._left if each.name == service), None))

    def rest(self) -> list[Passed]:
        """Those that nobody took."""
        left, self._left = self._left, []
        return left

    def _give(self, passed: Passed | None) -> Passed | None:
        if passed is not None:
            self._left.remove(passed)
            self._taken.append(passed)
        return passed

    def _opened_for(self, service: str, text: str) -> Passed | None:
        return next((each for each in self._left if each.opened_for == (service, text)), None)

    def _bound_to(self, endpoint: Endpoint) -> Passed | None:
        fitting = [each for each in self._left if _takes(each.socket, endpoint)]
        family = socket.AF_INET6 if ":" in endpoint.address else socket.AF_INET
        return next((each for each in fitting if each.socket.family == family), fitting[0] if fitting else None)

    def _systemd(self, endpoint: Endpoint) -> Passed | None:
        """By its place among those that were passed, or by its name."""
        for each in self._left:
            if each.name == endpoint.name if endpoint.name else each.index == endpoint.index:
                return each
        return None


def _takes(passed: socket.socket, endpoint: Endpoint) -> bool:
    """Does a socket take the connections that the endpoint would?"""
    bound = passed.getsockname()
    if passed.family == socket.AF_UNIX:
        return endpoint.kind == "unix" and os.fsdecode(bound) == endpoint.path
    if endpoint.kind not in {"tcp", "tcp6"} or bound[1] != endpoint.port:
        return False
    at, wanted = _plain(bound[0]), _plain(endpoint.address or "0.0.0.0")  # noqa: S104 - to compare with
    if at == wanted:
        return True
    return at.version == 6 and at.is_unspecified and wanted.version == 4 and wanted.is_unspecified and _both(passed)


def _both(passed: socket.socket) -> bool:
    """Does it take connections over IPv4 as well?"""
    with suppress(OSError):
        return not passed.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    return False


def _plain(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(address.partition("%")[0])
