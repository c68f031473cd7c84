"""What a look has found, in the pieces that people are told it in. `proxy.cli.dns_text` and the console have words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from proxy.admin.dns.judging import Judgement, Seen, State
from proxy.admin.dns.looking import Look

Standing = State | Literal["stays", "changed in part"]


@dataclass(frozen=True, slots=True)
class Group:
    """Servers that say the same, the first one's answer for all. `everywhere`: there are no others."""

    seen: tuple[Seen, ...]
    everywhere: bool = False

    @property
    def first(self) -> Seen:
        return self.seen[0]

    @property
    def ttl(self) -> int | None:
        """Of the record, as its zone has it."""
        return self.first.answer.ttl if self.first.server.authority and self.first.answer.content else None


Cached = Literal["waiting", "others", "not known"]


def kind(judgement: Judgement) -> str:
    """The type as a person looks for it: of what is there, or else of what should be."""
    if judgement.wish.key.type == "SPF":
        return "TXT (SPF)"
    if judgement.wish.key.type != "address":
        return judgement.wish.key.type
    kinds = list(dict.fromkeys(line.partition(" ")[0] for line in judgement.wish.lines))
    return "/".join(kinds) or "A/AAAA"


def standing(judgement: Judgement) -> Standing:
    """How it is with a record."""
    if judgement.wish.rule == "as it is" and judgement.right:
        return "stays"
    if not judgement.right and any(seen.server.authority and seen.state == "right" for seen in judgement.seen):
        return "changed in part" if judgement.state in {"not changed", "missing"} else judgement.state
    return judgement.state


def wished(judgement: Judgement) -> str:
    """The values that should be, without their types; "" where none is wished for, or known."""
    return ", ".join(line.partition(" ")[2] for line in judgement.wish.lines)


def groups(judgement: Judgement) -> list[Group]:
    """For a record that is not right: who says what. Nothing where it is missing everywhere."""
    said = {(seen.state, seen.answer.content, seen.answer.trouble) for seen in judgement.seen}
    if len(said) == 1:
        return [] if judgement.state == "missing" else [Group(judgement.seen, everywhere=True)]
    return [Group(tuple(seen)) for seen in _grouped(judgement.seen)]


def _grouped(seen: Iterable[Seen]) -> list[list[Seen]]:
    found: dict[object, list[Seen]] = {}
    for one in seen:
        same = (one.server.authority, one.state, one.answer.content, one.answer.trouble, one.until)
        found.setdefault(same if one.server.authority or not one.until else one.server, []).append(one)
    return list(found.values())


def caches(look: Look) -> Cached | None:
    """Whether caches have what was before, until `look.cached_until`: those that were asked, or others only; "not
    known" where nobody can say until when."""
    waiting = any(judgement.state == "cached" for judgement in look.judgements)
    if look.cached_until is not None:
        return "waiting" if waiting else "others"
    return "not known" if waiting else None
