"""What was found, the best first: a server that is spoken for, speaks POP3 (or IMAP, where the configuration has that
for `source`), and proves who it is."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from proxy.admin.discovering.knocking import Encrypted, Heard, knock
from proxy.admin.discovering.places import Hint, Place, Places, Protocol, World, gather
from proxy.admin.dns.asking import Limit
from proxy.admin.dns.at_once import at_once
from proxy.admin.dns.wanted import is_here
from proxy.admin.offered import USUAL
from proxy.config import Config
from proxy.config.endpoints import parse_endpoint
from proxy.config.model import Domain
from proxy.legacy.settings import Legacy

ASKING: Final = 20.0  # seconds for DNS and autoconfig
_AT_ONCE: Final = 24


@dataclass(frozen=True, slots=True)
class Candidate:
    """One place, what speaks for it, and what it said. `fleeting`: its host has this server's own name, which leads
    there only until DNS has moved. `preferred` is the protocol that mail is to be carried over by."""

    heard: Heard
    hints: tuple[Hint, ...]
    fleeting: bool = False
    preferred: Protocol = "pop3"

    @property
    def place(self) -> Place:
        return self.heard.place

    @property
    def tls(self) -> Encrypted | None:
        return self.heard.tls

    @property
    def login(self) -> str:
        """What accounts are probably called there: "full", "local", or "" where nothing tells."""
        return next((hint.login for hint in self.hints if hint.login), "")

    @property
    def order(self) -> tuple[Any, ...]:
        """Sorts before whatever is worse: the protocol that is preferred before the other one, proven before unproven
        encryption and that before none."""
        trust = 2 if self.tls is None else 1 if self.tls.trouble else 0
        implicit = 0 if self.place.tls == "implicit" else 1
        hint = self.hints[0].weight
        place = (implicit, self.place.host, self.place.port)
        return (self.place.protocol != self.preferred, trust, self.fleeting, hint, *place)

    def settings(self, domain: str) -> dict[tuple[str, ...], Any]:
        """As keys of the configuration."""
        table = ("domain", domain, "legacy")
        port = "port" if self.place.protocol == "pop3" else "imap_port"
        found: dict[tuple[str, ...], Any] = {
            (*table, "host"): self.place.host,
            (*table, port): self.place.port,
            (*table, "tls"): self.place.tls,
        }
        if "imap" in {self.place.protocol, self.preferred}:
            found[(*table, "source")] = self.place.protocol
        if self.login:
            found[(*table, "login")] = self.login
        return found


@dataclass(frozen=True, slots=True)
class Discovery:
    """All of it. `silent` are places with an address where nothing of use answers."""

    domain: str
    candidates: tuple[Candidate, ...]
    silent: tuple[Candidate, ...]
    remarks: tuple[str, ...]

    @property
    def best(self) -> Candidate | None:
        return self.candidates[0] if self.candidates else None


def discover(domain: str, world: World, config: Config | None = None) -> Discovery:
    """Look for the domain's legacy server; the name is in A-labels. Raises NoAnswer where no resolver answers."""
    limit = Limit(time.monotonic() + ASKING)
    served = _served(config, domain)
    places = gather(domain, world, limit, configured=_configured(served))
    ours = _ours(config, places)
    wanted = [place for place in places.hints if place not in ours]
    heard = at_once(
        lambda place: knock(place, places.addresses[place.host][0], _trust(served, place)), wanted, _AT_ONCE
    )
    own = config.hostname if config is not None else ""
    preferred: Protocol = served.legacy.source if served is not None else "pop3"
    found = [
        Candidate(one, tuple(places.hints[place]), place.host == own, preferred)
        for one, place in zip(heard, wanted, strict=True)
    ]
    answering = _distinct(sorted((c for c in found if c.heard.answers), key=lambda c: c.order))
    silent = sorted((c for c in found if not c.heard.answers), key=lambda c: (c.hints[0].weight, c.place.host))
    return Discovery(
        domain, tuple(answering), tuple(silent), (*places.remarks, *_remarks(config, places, ours, answering))
    )


def _served(config: Config | None, domain: str) -> Domain | None:
    return next((d for d in config.domains.values() if d.ascii_name == domain), None) if config is not None else None


def _trust(served: Domain | None, place: Place) -> Legacy | None:
    """How the configuration has this host's certificate checked, if it is the one that it names and is checked."""
    if served is None or served.legacy.host != place.host or not served.legacy.verify:
        return None
    legacy = served.legacy
    return Legacy(
        legacy.host,
        place.port,
        place.tls,
        ca=legacy.ca,
        minimum=legacy.tls_minimum,
        ciphers=legacy.ciphers,
        fingerprints=legacy.fingerprint,
    )


def _configured(served: Domain | None) -> list[Place]:
    if served is None:
        return []
    legacy = served.legacy
    places = [Place(legacy.host, legacy.port, "pop3", legacy.tls)]
    if legacy.source == "imap":
        places.append(Place(legacy.host, legacy.imap_port, "imap", legacy.tls))
    return places


def _ours(config: Config | None, places: Places) -> set[Place]:
    """Places that are this server's own listeners: after the move DNS leads here."""
    if config is None:
        return set()
    ports = {
        USUAL[listener] if endpoint.proxied else endpoint.port  # of HAProxy, which may be on this machine
        for listener in ("pop3", "pop3s", "imap", "imaps")
        for text in getattr(config.listen, listener)
        if (endpoint := parse_endpoint(text)).kind != "unix"
    }
    return {place for place in places.hints if place.port in ports and any(map(is_here, places.addresses[place.host]))}


def _distinct(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Each place once: a server without STLS answers in the clear for two of them."""
    return list({candidate.place: candidate for candidate in reversed(candidates)}.values())[::-1]


def _remarks(config: Config | None, places: Places, ours: Iterable[Place], answering: Sequence[Candidate]) -> list[str]:
    remarks = []
    hosts = sorted({place.host for place in ours})
    if hosts:
        remarks.append(f"{', '.join(hosts)}: leads to this server itself, so it was left out")
    if config is not None and any(candidate.fleeting for candidate in answering):
        remarks.append(
            f"{config.hostname} is this server's own name: once DNS has moved it leads here, so write the old server's "
            "address, or another name of it, as `legacy.host`"
        )
    remarks += [f"{host}, which the configuration names, has no address" for host in places.lost]
    if not places.addresses:
        remarks.append("none of the names that were tried has an address")
    return [*remarks, *_protocols(answering)]


def _protocols(answering: Sequence[Candidate]) -> Iterator[str]:
    """What there is to know of the choice between POP3 and IMAP."""
    if not answering:
        return
    best, spoken = answering[0], {candidate.place.protocol for candidate in answering}
    if best.preferred not in spoken and best.preferred == "imap":
        yield 'IMAP answers nowhere, though the configuration has source = "imap": POP3 gives the inbox alone'
    elif spoken == {"imap"}:
        yield 'POP3 answers nowhere; with source = "imap" the mail is carried over by IMAP'
    elif best.place.protocol == "pop3" and any(
        c.place.protocol == "imap" and c.place.host == best.place.host for c in answering
    ):
        yield f'IMAP answers at {best.place.host} too: with source = "imap" all folders are carried over'
