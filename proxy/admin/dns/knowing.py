"""Who is asked about which record: the authorities of the zone that it is in, and resolvers where they may be.

An authority's word is taken first, and of names in its zones nothing is asked of a resolver that it has not: a resolver
would keep that there is no such record, and hide the one that the administrator makes next.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from proxy.admin.dns import asking
from proxy.admin.dns.asking import Limit
from proxy.admin.dns.at_once import at_once
from proxy.admin.dns.delegation import NotFound, Ways, Zone, find_zone
from proxy.admin.dns.records import Answer, Key, Server, within

AT_ONCE: Final = 32  # questions


@dataclass(frozen=True, slots=True)
class Known:
    """Zones, those of their servers that answer, and the resolvers of `ways`, which do."""

    zones: Sequence[Zone]
    authorities: AbstractSet[Server]
    ways: Ways
    limit: Limit

    def home(self, name: str) -> Zone | None:
        """The zone that it is in; a part of that may be one of its own."""
        return max((z for z in self.zones if within(name, z.apex)), key=lambda zone: len(zone.apex), default=None)

    def ask_all(self, questions: Sequence[tuple[Server, Key]], found: Mapping[Key, dict[Server, Answer]]) -> None:
        """Each answer goes to its key in `found`."""
        answers = at_once(lambda question: asking.answer(*question, self.limit), questions, AT_ONCE)
        for (server, key), answer in zip(questions, answers, strict=True):
            found[key][server] = answer

    def at_authorities(self, keys: Iterable[Key]) -> dict[Key, dict[Server, Answer]]:
        """What they say, each by itself."""
        found: dict[Key, dict[Server, Answer]] = {key: {} for key in keys}
        homes = {key: self.home(key.name) for key in found}
        self.ask_all([(s, key) for key, home in homes.items() if home for s in self._of(home)], found)
        self._further(found)
        return found

    def _of(self, zone: Zone) -> list[Server]:
        return [server for server in zone.servers if server in self.authorities]

    def _further(self, found: dict[Key, dict[Server, Answer]]) -> None:
        """Ask who else is referred to: a part of the domain, such as `_tcp`, may be a zone of its own."""
        zones: dict[str, Zone] = {}
        questions = []
        for key, answers in found.items():
            referred = next((a.referred for a in answers.values() if a.referred), "")
            if not referred or not within(key.name, referred) or self.ways.fixed is not None:
                continue
            try:
                zone = zones.get(referred) or find_zone(referred, self.ways, self.limit)
            except NotFound:
                continue  # what it is referred to is in the answers
            zones[referred] = zone
            questions += [(server, key) for server in zone.servers]
            found[key] = {server: answer for server, answer in answers.items() if not answer.referred}
        self.ask_all(questions, found)

    def is_absent(self, answer: Answer) -> bool:
        """Does an authority say that there is none, or an alias of a name in its zones that is not there?"""
        if answer.trouble or answer.values:
            return False
        return not answer.aliases or self.home(answer.aliases[-1]) is not None

    def _end(self, answer: Answer) -> str:
        """The name in another zone that an alias leads to, where the server does not say what is there; or ""."""
        return answer.aliases[-1] if answer.aliases and not answer.values and not self.is_absent(answer) else ""

    def followed(self, found: Mapping[Key, Mapping[Server, Answer]]) -> dict[Key, dict[Server, Answer]]:
        """An authority that only knows an alias to another zone is given what a resolver finds behind it."""
        ends = {
            Key(end, key.type): None
            for key, answers in found.items()
            for server, answer in answers.items()
            if server.authority and (end := self._end(answer))
        }
        behind = dict(zip(ends, at_once(self._resolved, ends, AT_ONCE), strict=True))
        return {
            key: {
                server: _joined(answer, behind[Key(end, key.type)])
                if server.authority and (end := self._end(answer))
                else answer
                for server, answer in answers.items()
            }
            for key, answers in found.items()
        }

    def _resolved(self, key: Key) -> Answer:
        found = Answer(trouble="no resolver answers")
        for resolver in self.ways.resolvers:
            found = asking.answer(resolver, key, self.limit)
            if not found.trouble:
                break
        return found

    def ask(self, key: Key) -> Answer:
        """From who knows best."""
        home = self.home(key.name)
        for server in self._of(home) if home is not None else ():
            found = asking.answer(server, key, self.limit)
            if found.trouble:
                continue
            end = self._end(found)
            return _joined(found, self._resolved(Key(end, key.type))) if end else found
        return self._resolved(key)


def _joined(alias: Answer, behind: Answer) -> Answer:
    return Answer(behind.values, alias.ttl, (*alias.aliases, *behind.aliases))
