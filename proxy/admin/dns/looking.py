"""One look at a domain: find who knows, ask them all at once, and judge what they say.

Bounded: a server that does not answer the first question is asked nothing else, no question takes more than three
seconds, and the whole look ends within `WHOLE`. Questions go to the resolvers that were named, to the authoritative
servers of the zones that the records are in, and to those above them; nothing else is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import dns.resolver
from dns.rdatatype import RdataType

from proxy.admin.dns import asking, remembered, spf, wanted
from proxy.admin.dns.asking import Limit, NoAnswer
from proxy.admin.dns.certified import certified
from proxy.admin.dns.delegation import NotFound, Ways, Zone, find_zone
from proxy.admin.dns.judging import HIGH_TTL, LOW_TTL, Judgement, counts_from, judge, key_addresses
from proxy.admin.dns.records import Answer, Key, Remark, Server, Wish, within
from proxy.admin.dns.wanted import Asked
from proxy.config import Config
from proxy.config.names import resolver_address

WHOLE: Final = 25.0  # seconds
_AT_ONCE: Final = 32  # questions


@dataclass(frozen=True, slots=True)
class Heard:
    """A server, what keeps it from answering ("" where it answers), and the serial of its zone."""

    server: Server
    trouble: str = ""
    serial: int | None = None


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

    def look(self, now: int) -> Look:
        """Raises NotFound where nobody could be asked about the domain."""
        limit = Limit.after(WHOLE)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return _OneLook(self, limit, pool, now).look()


class _OneLook:
    def __init__(self, looker: Looker, limit: Limit, pool: ThreadPoolExecutor, now: int) -> None:
        self._config, self._domain, self._asked = looker.config, looker.domain, looker.asked
        self._looker, self._limit, self._pool, self._now = looker, limit, pool, now
        self._remarks: list[Remark] = []

    def look(self) -> Look:
        heard = list(self._pool.map(self._first, self._looker.resolvers, [self._domain] * len(self._looker.resolvers)))
        alive = [one.server for one in heard if not one.trouble]
        ways = Ways(alive, self._looker.port, self._looker.fixed)
        zones = self._zones(ways)
        pairs = [(server, zone.apex) for zone in zones for server in zone.servers]
        authorities = list(self._pool.map(self._first, *zip(*pairs, strict=True))) if pairs else []
        self._serials(zones, authorities)
        self._delegations(zones, authorities)
        answers = self._answers(zones, {one.server for one in authorities if not one.trouble}, ways)
        now = {key: best for key, found in answers.items() if (best := _best(found)) is not None}
        wishes = wanted.wishes(self._config, self._domain, self._asked, now)
        self._remarks += wanted.remarks(self._config, self._domain, self._asked, now)
        self._remarks += self._spf_remarks(wishes, now, alive)
        self._remarks += self._mx_remarks(alive)
        self._remarks += certified(self._config, wishes)
        memory = self._remember(answers)
        hosts = {self._config.hostname: key_addresses(answers, self._config.hostname)}
        judgements = [judge(w, answers[w.key], memory.get(w.key, ()), self._now, hosts) for w in wishes]
        self._remarks += self._ttl_remarks(judgements, memory)
        return Look(self._domain, self._now, (*authorities, *heard), tuple(judgements), tuple(self._remarks))

    def _first(self, server: Server, name: str) -> Heard:
        """One question, to find out whether others are worth while."""
        try:
            said = asking.checked(server, name, RdataType.SOA, self._limit)
        except NoAnswer as error:
            return Heard(server, error.text)
        start = asking.start_of_authority(said)
        return Heard(server, serial=start[1] if start is not None and server.authority else None)

    def _zones(self, ways: Ways) -> list[Zone]:
        """The domain's, and the host name's where that is elsewhere."""
        zones = [find_zone(self._domain, ways, self._limit)]
        if not within(self._config.hostname, zones[0].apex):
            try:
                zones.append(find_zone(self._config.hostname, ways, self._limit))
            except NotFound as error:
                self._remarks.append(Remark("mistake", str(error)))
        for zone in zones:
            self._remarks += zone.remarks
        return zones

    def _serials(self, zones: Sequence[Zone], heard: Sequence[Heard]) -> None:
        for zone in zones:
            serials = {one.server: one.serial for one in heard if one.serial is not None and one.server in zone.servers}
            if len(set(serials.values())) > 1:
                each = ", ".join(f"{server.name} {serial}" for server, serial in serials.items())
                text = f"the servers of {zone.apex} have not the same version of it (serial: {each}): "
                self._remarks.append(Remark("advice", text + "those that are behind have yet to fetch the change"))

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

    def _answers(self, zones: Sequence[Zone], authorities: set[Server], ways: Ways) -> dict[Key, dict[Server, Answer]]:
        """Everybody's answers to all questions.

        Resolvers are not asked for what an authority has not: they would keep that for as long as the zone says, and
        then hide the record that its administrator is about to make.
        """
        keys = wanted.keys(self._config, self._domain, self._asked)
        homes = {key: max((z for z in zones if within(key.name, z.apex)), key=_depth, default=None) for key in keys}
        known = [(s, key) for key, home in homes.items() if home for s in home.servers if s in authorities]
        found: dict[Key, dict[Server, Answer]] = {key: {} for key in keys}
        self._ask(known, found)
        self._further(found, ways)
        absent = {key for key, said in found.items() if any(not a.content and not a.trouble for a in said.values())}
        asked = [key for key in keys if key not in absent and (self._looker.caches or not _heard(found[key]))]
        self._ask([(server, key) for key in asked for server in ways.resolvers], found)
        return {key: _followed(answers) for key, answers in found.items()}

    def _ask(self, questions: Sequence[tuple[Server, Key]], found: Mapping[Key, dict[Server, Answer]]) -> None:
        answers = self._pool.map(lambda question: asking.answer(question[0], question[1], self._limit), questions)
        for (server, key), answer in zip(questions, answers, strict=True):
            found[key][server] = answer

    def _further(self, found: dict[Key, dict[Server, Answer]], ways: Ways) -> None:
        """Ask who else is referred to: a part of the domain, such as `_tcp`, may be a zone of its own."""
        zones: dict[str, Zone] = {}
        questions = []
        for key, answers in found.items():
            referred = next((a.referred for a in answers.values() if a.referred), "")
            if not referred or not within(key.name, referred) or ways.fixed is not None:
                continue
            try:
                zone = zones.get(referred) or find_zone(referred, ways, self._limit)
            except NotFound:
                continue  # what it is referred to is in the answers
            zones[referred] = zone
            questions += [(server, key) for server in zone.servers]
            found[key] = {server: answer for server, answer in answers.items() if not answer.referred}
        self._ask(questions, found)

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

    def _spf_remarks(
        self, wishes: Iterable[Wish], now: Mapping[Key, Answer], resolvers: Sequence[Server]
    ) -> Iterator[Remark]:
        key = Key(self._domain, "SPF")
        wish = next(wish for wish in wishes if wish.key == key)
        if key not in now:
            yield Remark(
                "mistake", f"the SPF record of {self._domain} could not be read, so nothing is proposed for it"
            )
            return
        record = wish.lines[0].removeprefix("TXT ").replace('" "', "").strip('"') if wish.lines else ""
        record = record or next(iter(now[key].values), "")
        number = spf.lookups(record, lambda name: self._spf_of(name, resolvers)) if record else 0
        if number > spf.MOST_LOOKUPS:
            text = f"the SPF record of {self._domain} costs {number} lookups; receivers may give up after 10"
            yield Remark("mistake", f"{text} (RFC 7208 4.6.4): replace an include or a host by ip4: and ip6:")

    def _spf_of(self, name: str, resolvers: Sequence[Server]) -> str | None:
        for resolver in resolvers:
            found = asking.answer(resolver, Key(name, "SPF"), self._limit)
            if not found.trouble:
                return min(found.values, default=None)
        return None

    def _mx_remarks(self, resolvers: Sequence[Server]) -> Iterator[Remark]:
        for host in self._asked.mx if resolvers else ():
            found = asking.answer(resolvers[0], Key(host, "address"), self._limit)
            if found.aliases:
                yield Remark("mistake", f"{host} is an alias, and an MX must not lead to one (RFC 2181 10.3)")
            elif not found.values and not found.trouble:
                yield Remark("mistake", f"{host} has no address, so no mail could be delivered to it")

    def _ttl_remarks(self, judgements: Iterable[Judgement], memory: remembered.Memory) -> Iterator[Remark]:
        """What can be prepared before a record is changed."""
        changing = [
            j
            for j in judgements
            if j.state == "not changed" and j.ttl is not None and not any(s.state == "right" for s in j.seen)
        ]
        high = [j for j in changing if (j.ttl or 0) > HIGH_TTL]
        if high:
            each = ", ".join(f"{j.wish.key.name} has {j.ttl}" for j in high)
            longest = max(j.ttl or 0 for j in high)
            yield Remark(
                "advice",
                f"before the change lower TTLs to {LOW_TTL} ({each}): done now, that counts everywhere from "
                f"{spelled_time(self._now + longest)} on, and caches then follow a change within {LOW_TTL} seconds",
            )
        for judgement in changing:
            since = counts_from(judgement, memory.get(judgement.wish.key, ()), self._now)
            if since is not None:
                text = f"{judgement.wish.key.name}: its TTL was lowered to {judgement.ttl}; caches that have the one "
                yield Remark(
                    "advice", f"{text}before go by it until {spelled_time(since)}: change the record after that"
                )


def spelled_time(seconds: int) -> str:
    """In UTC, to the minute."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def _heard(answers: Mapping[Server, Answer]) -> bool:
    return any(not answer.trouble for answer in answers.values())


def _depth(zone: Zone) -> int:
    return len(zone.apex)


def _best(found: Mapping[Server, Answer]) -> Answer | None:
    """What counts as being there now: an authority's word, or else a resolver's."""
    for authority in (True, False):
        for server, answer in found.items():
            if server.authority is authority and not answer.trouble:
                return answer
    return None


def _followed(found: dict[Server, Answer]) -> dict[Server, Answer]:
    """An authority that only knows an alias to another zone is given the addresses that a resolver found behind it."""
    behind = next((a.values for s, a in found.items() if not s.authority and a.aliases and a.values), frozenset[str]())
    return {
        server: Answer(behind, answer.ttl, answer.aliases) if answer.aliases and not answer.values else answer
        for server, answer in found.items()
    }
