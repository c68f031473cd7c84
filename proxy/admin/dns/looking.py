"""One look at a domain: find who knows, ask them all at once, and judge what they say.

Bounded: a server that does not answer the first question is asked nothing else, no question takes more than three
seconds, and the whole look ends within `WHOLE`. Questions go to the resolvers that were named, to the authoritative
servers of the zones that the records are in, and to those above them; nothing else is asked.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import dns.resolver
from dns.rdatatype import RdataType

from proxy.admin.dns import asking, remembered, wanted
from proxy.admin.dns.asking import Limit, NoAnswer
from proxy.admin.dns.at_once import at_once
from proxy.admin.dns.certified import certified
from proxy.admin.dns.delegation import NotFound, Ways, Zone, find_zone
from proxy.admin.dns.judging import Judgement, judge, key_addresses
from proxy.admin.dns.knowing import AT_ONCE, Known
from proxy.admin.dns.records import Answer, Heard, Key, Remark, Server, parent, within
from proxy.admin.dns.remarking import about_exchanges, about_spf, about_ttls, about_versions
from proxy.admin.dns.remembered import Looked
from proxy.admin.dns.wanted import Asked
from proxy.config import Config
from proxy.config.names import resolver_address

WHOLE: Final = 25.0  # seconds


class Abandoned(Exception):
    """Nobody waited for the look any more."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found. Times are in seconds since 1970."""

    domain: str
    at: int
    servers: tuple[Heard, ...]
    judgements: tuple[Judgement, ...]
    remarks: tuple[Remark, ...]

    @property
    def right(self) -> bool:
        """Is all as it should be, as far as everybody who was asked says?"""
        return (
            bool(self.judgements)
            and all(judgement.right for judgement in self.judgements)
            and not any(server.trouble for server in self.servers)
            and not any(remark.weight == "mistake" for remark in self.remarks)
        )

    @property
    def count_right(self) -> int:
        """Of its records."""
        return sum(judgement.right for judgement in self.judgements)

    @property
    def cached_until(self) -> int | None:
        """When the last cache, of those asked and of all others, has what is there now; None where nothing is cached,
        or it is not known."""
        ends = [end for j in self.judgements for end in (j.until, j.elsewhere) if end is not None]
        return max(ends, default=None)


def resolvers(config: Config | None, given: Iterable[str]) -> list[Server]:
    """Those of the configuration, or else this machine's, and those that are given. Raises Unfit for what is no
    address."""
    found = named(config.resolvers if config is not None else ()) or _system()
    return list(dict.fromkeys([*found, *named(given)]))


def named(given: Iterable[str]) -> list[Server]:
    """Resolvers by their addresses. Raises Unfit."""
    addresses = [resolver_address(text) for text in given]
    return [Server("", address, port, authority=False) for address, port in dict.fromkeys(addresses)]


def _system() -> list[Server]:
    try:
        found = dns.resolver.Resolver()
    except dns.resolver.NoResolverConfiguration:
        return []
    addresses = [str(address) for address in found.nameservers if "://" not in str(address)]
    return [Server("", address, found.port, authority=False) for address in addresses]


@dataclass(frozen=True, slots=True)
class Looker:
    """All that does not change from one look to the next. `memory` is a file, made where its directory is there."""

    config: Config
    domain: str  # in A-labels
    asked: Asked
    resolvers: Sequence[Server]
    memory: Path
    port: int = 53  # of authoritative servers
    fixed: Server | None = None  # stands for all of them
    caches: bool = True  # are resolvers asked what they have?

    def look(self, now: int, abandoned: threading.Event | None = None) -> Look:
        """Whoever sets `abandoned` has it end with the questions that are under way, and nothing written down. Raises
        NotFound where nobody could be asked about the domain; Abandoned."""
        limit = Limit(time.monotonic() + WHOLE, abandoned or threading.Event())
        found = _OneLook(self, limit, now).look()
        if self.caches:
            with suppress(OSError):  # that nothing can be written there is among the remarks
                remembered.note_look(self.memory, Looked(found.count_right, len(found.judgements), found.right, now))
        return found


class _OneLook:
    def __init__(self, looker: Looker, limit: Limit, now: int) -> None:
        self._config, self._domain, self._asked = looker.config, looker.domain, looker.asked
        self._looker, self._limit, self._now = looker, limit, now
        self._remarks: list[Remark] = []

    def look(self) -> Look:
        heard = self._heard((resolver, self._domain) for resolver in self._looker.resolvers)
        alive = [one.server for one in heard if not one.trouble]
        ways = Ways(alive, self._looker.port, self._looker.fixed)
        zones = self._zones(ways)
        authorities = self._heard((server, zone.apex) for zone in zones for server in zone.servers)
        self._remarks += about_versions(zones, authorities)
        self._delegations(zones, authorities)
        known = Known(zones, {one.server for one in authorities if not one.trouble}, ways, self._limit)
        answers = self._answers(known)
        now = {key: best for key, found in answers.items() if (best := _best(found)) is not None}
        wishes = wanted.wishes(self._config, self._domain, self._asked, now)
        self._remarks += wanted.remarks(self._config, self._domain, self._asked, now)
        self._remarks += about_spf(self._domain, wishes, now, known.ask)
        self._remarks += about_exchanges(self._asked.mx, known.ask)
        self._remarks += certified(self._config, wishes)
        if self._limit.abandoned.is_set():
            raise Abandoned
        memory = self._remember(answers)
        hosts = {self._config.hostname: key_addresses(answers, self._config.hostname)}
        judgements = [judge(w, answers[w.key], memory.get(w.key, ()), self._now, hosts) for w in wishes]
        self._remarks += about_ttls(judgements, memory, self._now)
        return Look(self._domain, self._now, (*authorities, *heard), tuple(judgements), tuple(self._remarks))

    def _heard(self, pairs: Iterable[tuple[Server, str]]) -> list[Heard]:
        return at_once(lambda pair: self._first(*pair), pairs, AT_ONCE)

    def _first(self, server: Server, name: str) -> Heard:
        """One question, to find out whether others are worth while."""
        try:
            said = asking.checked(server, name, RdataType.SOA, self._limit)
        except NoAnswer as error:
            return Heard(server, error.text)
        start = asking.start_of_authority(said)
        return Heard(server, serial=start[1] if start is not None and server.authority else None)

    def _zones(self, ways: Ways) -> list[Zone]:
        """The domain's, and those of host names that are elsewhere."""
        zones = [find_zone(self._domain, ways, self._limit)]
        for host in (self._config.hostname, *self._asked.hosts):
            if any(within(host, zone.apex) for zone in zones):
                continue
            # Of a name that is yet to be made a resolver would keep that there is none: the one above is asked for.
            above = parent(host)
            try:
                zones.append(find_zone(above if "." in above else host, ways, self._limit))
            except NotFound as error:
                self._remarks.append(Remark("mistake", str(error)))
        for zone in zones:
            self._remarks += zone.remarks
        return zones

    def _delegations(self, zones: Sequence[Zone], heard: Sequence[Heard]) -> None:
        """Whom a zone names itself, and whom the zone above names, should be the same."""
        for zone in zones:
            own = next((one.server for one in heard if not one.trouble and one.server in zone.servers), None)
            if own is None or self._looker.fixed is not None:
                continue
            try:
                hosts = asking.names(asking.checked(own, zone.apex, RdataType.NS, self._limit), zone.apex, RdataType.NS)
            except NoAnswer:
                continue
            if hosts and set(hosts) != set(zone.hosts):
                text = f"{zone.apex} is delegated to {', '.join(zone.hosts)}, and itself names {', '.join(hosts)}"
                self._remarks.append(Remark("advice", f"{text} as its servers: have them made the same"))

    def _answers(self, known: Known) -> dict[Key, dict[Server, Answer]]:
        """Everybody's answers to all questions.

        Resolvers are not asked for what an authority has not: they would keep that for as long as the zone says, and
        then hide the record that its administrator is about to make.
        """
        keys = wanted.keys(self._config, self._domain, self._asked)
        found = known.at_authorities(keys)
        absent = {key for key, said in found.items() if any(map(known.is_absent, said.values()))}
        asked = [key for key in keys if key not in absent and (self._looker.caches or not _heard(found[key]))]
        known.ask_all([(server, key) for key in asked for server in known.ways.resolvers], found)
        return known.followed(found)

    def _remember(self, answers: Mapping[Key, Mapping[Server, Answer]]) -> remembered.Memory:
        seen = {key: [a for s, a in found.items() if s.authority] for key, found in answers.items()}
        try:
            memory = remembered.noted(remembered.load(self._looker.memory), seen, self._now)
        except OSError as error:
            memory = remembered.noted({}, seen, self._now)
            self._forgetful(error)
            return memory
        try:
            remembered.save(self._looker.memory, memory)
        except OSError as error:
            self._forgetful(error)
        return memory

    def _forgetful(self, error: OSError) -> None:
        text = f"what was seen is not remembered for the next look ({self._looker.memory}: {error.strerror}): "
        remedy = "without it old records are told from wrong ones only by what caches have"
        self._remarks.append(Remark("advice", text + remedy))


def _heard(answers: Mapping[Server, Answer]) -> bool:
    return any(not answer.trouble for answer in answers.values())


def _best(found: Mapping[Server, Answer]) -> Answer | None:
    """What counts as being there now: an authority's word, or else a resolver's."""
    for authority in (True, False):
        for server, answer in found.items():
            if server.authority is authority and not answer.trouble:
                return answer
    return None
