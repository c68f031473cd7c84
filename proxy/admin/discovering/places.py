"""Where a domain's legacy server could be, and what speaks for it."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, Literal

from proxy.admin.discovering import autoconfig
from proxy.admin.discovering.autoconfig import Autoconfig
from proxy.admin.dns import asking
from proxy.admin.dns.asking import Limit, NoAnswer
from proxy.admin.dns.at_once import at_once
from proxy.admin.dns.delegation import NotFound, Ways, find_zone
from proxy.admin.dns.records import Answer, Key, Server, within
from proxy.admin.hosted import hosted_by
from proxy.config.mistakes import Unfit
from proxy.config.names import ascii_name

Protocol = Literal["pop3", "imap"]
TlsMode = Literal["none", "starttls", "implicit"]

# In the order in which they are believed.
Way = Literal["configuration", "hosted service", "autoconfig", "SRV", "common name", "MX"]
BELIEVED: Final[tuple[Way, ...]] = ("configuration", "hosted service", "autoconfig", "SRV", "common name", "MX")

_SERVICES: Final[tuple[tuple[str, Protocol, TlsMode], ...]] = (
    ("_pop3s._tcp", "pop3", "implicit"),
    ("_pop3._tcp", "pop3", "starttls"),
    ("_imaps._tcp", "imap", "implicit"),
    ("_imap._tcp", "imap", "starttls"),
)
_COMMON: Final = ("pop", "pop3", "mail", "imap")
PORTS: Final[tuple[tuple[int, Protocol, TlsMode], ...]] = (
    (995, "pop3", "implicit"),
    (110, "pop3", "starttls"),
    (993, "imap", "implicit"),
    (143, "imap", "starttls"),
)
_AT_ONCE: Final = 16  # questions
_AUTHORITIES: Final = 3  # that are tried until one answers
MOST: Final = 48  # places that are looked at


@dataclass(frozen=True, slots=True)
class Hint:
    """One thing that speaks for a place. `login` is the form that it names, "" where it names none."""

    way: Way
    text: str
    login: str = ""

    @property
    def weight(self) -> int:
        return BELIEVED.index(self.way)


@dataclass(frozen=True, slots=True)
class Place:
    """A host's port, and how it is spoken to there."""

    host: str
    port: int
    protocol: Protocol
    tls: TlsMode


@dataclass(slots=True)
class Places:
    """All of them: the addresses of each host, and what speaks for each place, the best first. `lost` are hosts that
    the configuration names and DNS does not know."""

    addresses: dict[str, tuple[str, ...]] = field(default_factory=dict)
    hints: dict[Place, list[Hint]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def add(self, place: Place, hint: Hint) -> None:
        known = self.hints.setdefault(place, [])
        if hint not in known:
            known.append(hint)
            known.sort(key=lambda one: one.weight)


@dataclass(frozen=True, slots=True)
class World:
    """What is asked. `authorities` know the names of `zone` at first hand: a resolver would keep for a time that one is
    not there, and so hide the record that its administrator makes next. `ports` stand for others, in tests."""

    resolvers: Sequence[Server]
    zone: str = ""
    authorities: Sequence[Server] = ()
    ports: Mapping[int, int] = field(default_factory=dict)

    def answer(self, key: Key, limit: Limit) -> Answer:
        """From the first that answers, without trouble, or with that of the last."""
        found = Answer(trouble="no resolver is known")
        first = self.authorities if self.authorities and within(key.name, self.zone) else ()
        for server in (*first, *self.resolvers):
            found = asking.answer(server, key, limit)
            if not found.trouble and (found.values or not found.aliases):  # not an alias of another zone's name
                return found
        return found

    def port(self, usual: int) -> int:
        return self.ports.get(usual, usual)


def gather(domain: str, world: World, limit: Limit, *, configured: Iterable[Place] = ()) -> Places:
    """Look in DNS and autoconfig. Raises NoAnswer where no resolver answers."""
    places = Places()
    world = _known(domain, replace(world, resolvers=_answering(domain, world, limit)), limit)
    questions: list[Callable[[], Any]] = [
        partial(_exchanges, domain, world, limit),
        partial(_autoconfig, domain, world, limit),
        *(partial(_service, f"{name}.{domain}", world, limit) for name, *_ in _SERVICES),
    ]
    exchanges, told, *services = at_once(lambda question: question(), questions, _AT_ONCE)
    for place in configured:
        places.add(place, Hint("configuration", "the configuration names it"))
    for (name, protocol, tls), found in zip(_SERVICES, services, strict=True):
        for host, port in found:
            places.add(Place(host, port, protocol, tls), Hint("SRV", f"SRV {name}.{domain}"))
    _add_told(places, told)
    for host, hint in _usual_hosts(domain, exchanges, places):
        for port, protocol, tls in PORTS:
            places.add(Place(host, world.port(port), protocol, tls), hint)
    names = list(dict.fromkeys(place.host for place in places.hints))
    found_addresses = at_once(lambda host: _addresses(host, world, limit), names, _AT_ONCE)
    places.addresses = {host: found for host, found in zip(names, found_addresses, strict=True) if found}
    named = [place.host for place, hints in places.hints.items() if hints[0].way == "configuration"]
    places.lost = [host for host in dict.fromkeys(named) if host not in places.addresses]
    kept = sorted((p for p in places.hints if p.host in places.addresses), key=lambda p: places.hints[p][0].weight)
    places.hints = {place: places.hints[place] for place in kept[:MOST]}
    return places


def _answering(domain: str, world: World, limit: Limit) -> list[Server]:
    """The resolvers that answer: a dead one is waited for once. Raises NoAnswer where none does."""
    heard = at_once(lambda server: asking.answer(server, Key(domain, "MX"), limit), world.resolvers, _AT_ONCE)
    alive = [server for server, answer in zip(world.resolvers, heard, strict=True) if not answer.trouble]
    if not alive:
        troubles = [f"{server} {answer.trouble}" for server, answer in zip(world.resolvers, heard, strict=True)]
        raise NoAnswer("; ".join(troubles) or "no resolver is known")
    return alive


def _known(domain: str, world: World, limit: Limit) -> World:
    """With the domain's own name servers, where they can be found and one answers."""
    try:
        zone = find_zone(domain, Ways(world.resolvers, world.port(53)), limit)
    except NotFound:
        return world
    key = Key(domain, "MX")
    alive = (server for server in zone.servers[:_AUTHORITIES] if not asking.answer(server, key, limit).trouble)
    first = next(alive, None)
    return world if first is None else replace(world, zone=zone.apex, authorities=(first,))


def _exchanges(domain: str, world: World, limit: Limit) -> list[str]:
    """The hosts of MX, the preferred one first."""
    found = world.answer(Key(domain, "MX"), limit)
    pairs = sorted((int(value.split()[0]), value.split()[1].rstrip(".")) for value in found.values)
    return [host for _, host in pairs if host]


def _service(name: str, world: World, limit: Limit) -> list[tuple[str, int]]:
    """Hosts and ports of an SRV record; those of a service that is not offered are none."""
    rows = sorted(value.split() for value in world.answer(Key(name, "SRV"), limit).values)
    return [(host.rstrip("."), int(port)) for _, _, port, host in rows if host != "."]


def _addresses(host: str, world: World, limit: Limit) -> tuple[str, ...]:
    """Of a name; an address is its own."""
    with contextlib.suppress(ValueError):
        return (str(ipaddress.ip_address(host)),)
    found = world.answer(Key(host, "address"), limit)
    return tuple(sorted(found.values, key=lambda address: (":" in address, address)))


def _autoconfig(domain: str, world: World, limit: Limit) -> Autoconfig | None:
    return autoconfig.fetch(domain, lambda host: _addresses(host, world, limit), world.port)


def _add_told(places: Places, told: Autoconfig | None) -> None:
    if told is None:
        return
    places.remarks += told.remarks
    for server in told.servers:
        try:
            host = ascii_name(server.host)
        except Unfit:
            continue
        hint = Hint("autoconfig", f"autoconfig ({told.source})", server.login)
        places.add(Place(host, server.port, server.protocol, server.tls), hint)


def _usual_hosts(domain: str, exchanges: Sequence[str], places: Places) -> list[tuple[str, Hint]]:
    """Hosts of which no port is known: of hosted services, with common names, and the mail servers themselves."""
    found: list[tuple[str, Hint]] = []
    services = list(dict.fromkeys(s for s in map(hosted_by, exchanges) if s is not None))
    for service in services:
        hint = Hint("hosted service", f"MX leads to {service.name}", service.login)
        found += [(host, hint) for host in dict.fromkeys((service.pop3, service.imap))]
        if service.remark:
            places.remarks.append(f"{service.name}: {service.remark}")
    found += [(f"{name}.{domain}", Hint("common name", "a common name")) for name in _COMMON]
    own = [host for host in exchanges if hosted_by(host) is None or within(host, domain)]
    found += [(host, Hint("MX", f"MX of {domain}")) for host in own[:4]]
    return found
