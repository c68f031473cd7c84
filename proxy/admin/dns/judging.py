"""Is a record what it should be, and if not: was it not changed, is it changed and still cached, or is it wrong?

Pure: from a wish, from what each server answered, and from what was there at earlier looks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from proxy.admin.dns import spf
from proxy.admin.dns.records import Answer, Key, Server, Wish
from proxy.admin.dns.remembered import Episode

State = Literal["right", "not changed", "cached", "wrong", "missing", "not reachable"]
# Of several servers the worst counts.
_WORST: Final[tuple[State, ...]] = ("wrong", "missing", "not changed", "cached", "not reachable", "right")
Hosts = Mapping[str, Sequence[str]]  # their addresses
NONE: Final[Hosts] = {}
LOW_TTL: Final = 300  # seconds: low enough for a change that is to be seen at once
STANDING: Final = 86_400  # seconds after which a value was no slip
HIGH_TTL: Final = 600  # above it a change is worth preparing


@dataclass(frozen=True, slots=True)
class Seen:
    """One server's answer, judged. `until`: a cache forgets it then, at the latest."""

    server: Server
    answer: Answer
    state: State
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """One record. `elsewhere`: when the last cache that nobody asked forgets what was before, at the latest; None where
    nothing was before, or it is not known."""

    wish: Wish
    state: State
    seen: tuple[Seen, ...]
    elsewhere: int | None = None

    @property
    def right(self) -> bool:
        return self.state == "right"

    @property
    def ttl(self) -> int | None:
        """At the authoritative servers, the longest."""
        ttls = [s.answer.ttl for s in self.seen if s.server.authority and s.answer.ttl is not None]
        return max(ttls, default=None)

    @property
    def until(self) -> int | None:
        """When the last of the caches that were asked is right."""
        return max((s.until for s in self.seen if s.until is not None), default=None)


@dataclass(frozen=True, slots=True)
class _Ground:
    """What an answer is held against: contents that were there before the change (`before`), ever (`past`), and that an
    authority has now (`current`); `settled`: one of them has what should be."""

    before: frozenset[frozenset[str]]
    past: frozenset[frozenset[str]]
    current: frozenset[frozenset[str]]
    settled: bool
    now: int


def judge(
    wish: Wish, answers: Mapping[Server, Answer], episodes: Sequence[Episode], now: int, hosts: Hosts = NONE
) -> Judgement:
    """`episodes` are those of earlier looks and of this one; `hosts` has the addresses of hosts that an SPF record is
    to permit."""
    ground = _ground(wish, answers, episodes, now, hosts)
    ordered = sorted(answers.items(), key=lambda pair: not pair[0].authority)
    seen = [_seen(server, answer, ground, fits(wish, answer, hosts)) for server, answer in ordered]
    state: State = min((s.state for s in seen), key=_WORST.index, default="not reachable")
    if wish.rule == "as it is" and state != "not reachable":
        state = "right"
    old = [e for e in episodes if not fits(wish, _as_answer(e.content), hosts)]
    ends = [e.cached_until for e in old if e.cached_until is not None and e.cached_until > now]
    elsewhere = max(ends, default=None) if ground.settled and state in {"right", "cached"} else None
    return Judgement(wish, state, tuple(seen), elsewhere)


def _ground(
    wish: Wish, answers: Mapping[Server, Answer], episodes: Sequence[Episode], now: int, hosts: Hosts
) -> _Ground:
    said = {server: answer for server, answer in answers.items() if not answer.trouble}
    current = frozenset(answer.content for server, answer in said.items() if server.authority)
    cached = {answer.content for server, answer in said.items() if not server.authority}
    settled = any(server.authority and fits(wish, answer, hosts) for server, answer in said.items())
    past = [e for e in episodes if e.content and not fits(wish, _as_answer(e.content), hosts)]
    if past and (len({e.content for e in past}) > 1 or past[0].content not in current):
        # What was there first, and what stood for so long that it was meant.
        before = frozenset(e.content for e in past if e is past[0] or e.last - e.first >= STANDING)
    elif any(e.first < now for e in past) or any(now - e.first >= STANDING for e in episodes if e.gone is None):
        before = current  # an earlier look saw it: it is no news, and no cache has what was before that
    else:
        # Nothing but this look: what caches have and authorities have not was there before, or else what is there.
        others = {c for c in cached - current if c and not fits(wish, _as_answer(c), hosts)}
        before = frozenset(others) or current
    return _Ground(before, before | {e.content for e in episodes}, current, settled, now)


def _seen(server: Server, answer: Answer, ground: _Ground, fitting: bool) -> Seen:
    if answer.trouble:
        return Seen(server, answer, "not reachable")
    if fitting:
        return Seen(server, answer, "right")
    if not server.authority and ground.settled and answer.content not in ground.current:
        return _out_of_date(server, answer, ground)
    if not answer.content:
        return Seen(server, answer, "missing")
    return Seen(server, answer, "not changed" if answer.content in ground.before else "wrong")


def _out_of_date(resolver: Server, answer: Answer, ground: _Ground) -> Seen:
    """What a resolver has and no authority any more."""
    if answer.content and answer.content not in ground.past:
        return Seen(resolver, answer, "wrong")
    return Seen(resolver, answer, "cached", None if answer.ttl is None else ground.now + answer.ttl)


def fits(wish: Wish, answer: Answer, hosts: Hosts = NONE) -> bool:
    """Is the answer what is wished?"""
    values = answer.values
    match wish.rule:
        case "as it is":
            return True
        case "some address":
            return bool(values or answer.aliases)
        case "addresses":
            return values == frozenset(wish.values)
        case "alias":
            target, allowed = wish.values[0], frozenset(wish.values[1:])
            if target.rstrip(".") in answer.aliases:
                return True
            return not answer.aliases and bool(values) and values <= allowed
        case "exchanges":
            return {value.partition(" ")[2] for value in values} == set(wish.values)
        case "service":
            return {" ".join(value.split()[2:]) for value in values} == set(wish.values)
        case "not offered":
            return all(value.split()[-1:] == ["."] for value in values)
        case "permits":
            return len(values) == 1 and all(
                spf.permits(next(iter(values)), term, wish.key.name, hosts) for term in wish.values
            )


def _as_answer(content: frozenset[str]) -> Answer:
    """A record's content as the answer that it was."""
    alias = next((value for value in content if value.startswith("CNAME ")), None)
    if alias is not None:
        return Answer(aliases=(alias.removeprefix("CNAME ").rstrip("."),))
    return Answer(content)


def counts_from(judgement: Judgement, episodes: Sequence[Episode], now: int) -> int | None:
    """From when on the present TTL is the one that every cache goes by: the one before has to run out first. None where
    that is so already, or nothing is remembered."""
    ttl = judgement.ttl
    earlier = [e.cached_until for e in episodes if ttl is not None and e.ttl is not None and e.ttl > ttl]
    ends = [end for end in earlier if end is not None and end > now]
    return max(ends, default=None)


def key_addresses(answers: Mapping[Key, Mapping[Server, Answer]], host: str) -> tuple[str, ...]:
    """All that any authority, or else any resolver, gives for a host."""
    found = answers.get(Key(host, "address"), {})
    for authority in (True, False):
        values = {v for server, a in found.items() if server.authority is authority for v in a.values}
        if values:
            return tuple(sorted(values))
    return ()
