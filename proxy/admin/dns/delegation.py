"""Which servers know a zone's records: found from the delegation, as every resolver does, and not from a cache's word.

A resolver says where the zone begins and who serves the zone above; one of these is asked, without recursion, whom it
delegates to. Where no server above can be asked (a network that lets only its own resolvers out), the NS records that
the resolver has are taken, and a remark says so.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import dns.message
import dns.rcode
from dns.rdatatype import RdataType

from proxy.admin.dns import asking
from proxy.admin.dns.asking import Limit, NoAnswer
from proxy.admin.dns.records import Key, Remark, Server, parent, within

_ASKED_ABOVE: Final = 3  # servers of the zone above, one after the other
_MOST_SERVERS: Final = 16  # authorities of one zone that are looked at


class NotFound(Exception):
    """There is no such zone, or nobody who knows. The text is for the administrator."""


@dataclass(frozen=True, slots=True)
class Zone:
    """One zone, and the servers that it is delegated to: their names, and each of their addresses."""

    apex: str
    servers: tuple[Server, ...]
    hosts: tuple[str, ...] = ()
    remarks: tuple[Remark, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Ways:
    """How authorities are found: through these resolvers, and at this port. `fixed` stands for all of them."""

    resolvers: Sequence[Server]
    port: int = 53
    fixed: Server | None = None


def find_zone(name: str, ways: Ways, limit: Limit) -> Zone:
    """The zone that a name is in. Raises NotFound."""
    if not ways.resolvers:
        raise NotFound("no resolver answers, and without one the authoritative servers cannot be found")
    apex = _apex(name, ways, limit)
    if ways.fixed is not None:
        return Zone(apex, (ways.fixed,))
    remarks = []
    try:
        hosts, brought = _delegated(apex, ways, limit)
    except NoAnswer as error:
        text = f"whom {apex} is delegated to could not be read above it ({error.text}): its NS records are a resolver's"
        remarks.append(Remark("advice", text))
        hosts, brought = _resolved_ns(apex, ways, limit), None
    servers, known = [], False
    for host in hosts[:_MOST_SERVERS]:
        addresses = asking.glue(brought, host) if brought is not None else []
        addresses = addresses or _addresses(host, ways, limit)
        if not addresses:
            remarks.append(Remark("mistake", f"{apex} is delegated to {host}, which has no address"))
        known = known or bool(addresses)
        servers += [Server(host, address, ways.port, authority=True) for address in addresses if _routed(address)]
    if not servers:
        reached = " that this machine has a way to" if known else ""
        raise NotFound(f"{apex} has no authoritative server with an address{reached}")
    return Zone(apex, tuple(dict.fromkeys(servers)), tuple(hosts), tuple(remarks))


def _apex(name: str, ways: Ways, limit: Limit) -> str:
    """Where the zone of a name begins: the owner of its SOA. Raises NotFound."""
    looked = name
    while looked:
        said = _resolved(looked, RdataType.SOA, ways, limit)
        found = asking.start_of_authority(said)
        if found is not None and within(name, found[0].rstrip(".")):
            apex = found[0].rstrip(".")
            if not parent(apex) and apex != name and said.rcode() == dns.rcode.NXDOMAIN:
                raise NotFound(f"{name} is not in DNS: it is not registered, or not delegated to any server")
            return apex
        looked = parent(looked)  # an alias of something elsewhere, or a server that leaves its SOA away
    raise NotFound(f"{name} is in no zone that a resolver knows")


def _delegated(apex: str, ways: Ways, limit: Limit) -> tuple[list[str], dns.message.Message]:
    """The name servers that the zone above names, and the message, which may bring their addresses. Raises NoAnswer,
    NotFound."""
    if not apex:
        raise NoAnswer("nothing is above the root")
    above = _apex(parent(apex), ways, limit) if parent(apex) else ""
    trouble = NoAnswer(f"{above or 'the root'} has no server with an address")
    asked = 0
    for host in _resolved_ns(above, ways, limit):
        for address in filter(_routed, _addresses(host, ways, limit)):
            if asked == _ASKED_ABOVE:
                raise trouble
            asked += 1
            server = Server(host, address, ways.port, authority=True)
            try:
                said = asking.message(server, apex, RdataType.NS, limit)
            except NoAnswer as error:
                trouble = NoAnswer(f"{server} {error.text}")
                continue
            if hosts := asking.names(said, apex, RdataType.NS):
                return hosts, said
            trouble = NoAnswer(f"{server} delegates {apex} to nobody")
    raise trouble


def _resolved_ns(apex: str, ways: Ways, limit: Limit) -> list[str]:
    return asking.names(_resolved(apex, RdataType.NS, ways, limit), apex, RdataType.NS)


def _resolved(name: str, rdtype: RdataType, ways: Ways, limit: Limit) -> dns.message.Message:
    """What the first resolver that can says. Raises NotFound."""
    trouble = ""
    for resolver in ways.resolvers:
        try:
            return asking.checked(resolver, name, rdtype, limit)
        except NoAnswer as error:
            trouble = f"{resolver} {error.text}"
    raise NotFound(f"{name} could not be looked up: {trouble}")


def _addresses(host: str, ways: Ways, limit: Limit) -> list[str]:
    for resolver in ways.resolvers:
        found = asking.answer(resolver, Key(host, "address"), limit)
        if not found.trouble:
            return sorted(found.values)
    return []


def _routed(address: str) -> bool:
    """Does this machine know a way there? A machine without IPv6 asks the others. Nothing is sent."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 53))
    except OSError:
        return False
    return True
