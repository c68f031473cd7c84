"""What `mailferry dns` found, for a terminal, a pipe, and programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from proxy.admin.dns.judging import Judgement, Seen, State
from proxy.admin.dns.looking import Look
from proxy.admin.dns.wanted import shown
from proxy.admin.moments import iso_or_none, spelled

WORDS: Final[dict[State, str]] = {
    "right": "right",
    "not changed": "not changed",
    "cached": "still cached",
    "wrong": "wrong",
    "missing": "missing",
    "not reachable": "nobody could say",
}
COLOURS: Final[dict[State, str]] = {
    "right": "green",
    "not changed": "yellow",
    "cached": "cyan",
    "wrong": "red",
    "missing": "yellow",
    "not reachable": "red",
}


def kind(judgement: Judgement) -> str:
    """The type as a person looks for it: of what is there, or else of what should be."""
    if judgement.wish.key.type == "SPF":
        return "TXT (SPF)"
    if judgement.wish.key.type != "address":
        return judgement.wish.key.type
    kinds = list(dict.fromkeys(line.partition(" ")[0] for line in judgement.wish.lines))
    return "/".join(kinds) or "A/AAAA"


def state(judgement: Judgement) -> str:
    """In a word or three."""
    if judgement.wish.rule == "as it is" and judgement.right:
        return "stays"
    if not judgement.right and any(seen.server.authority and seen.state == "right" for seen in judgement.seen):
        return "changed in part" if judgement.state in {"not changed", "missing"} else WORDS[judgement.state]
    return WORDS[judgement.state]


def should_be(judgement: Judgement) -> str:
    """The values, without their types."""
    wish = judgement.wish
    if wish.rule == "as it is":
        return f"as it is ({shown(judgement.seen[0].answer)})" if judgement.seen else "as it is"
    values = ", ".join(line.partition(" ")[2] for line in wish.lines)
    if wish.rule == "some address":
        return f"{values} (this server's?)" if values else "this server's address"
    return f"{values} (or none)" if wish.rule == "not offered" else values


def headline(look: Look) -> str:
    right = sum(judgement.right for judgement in look.judgements)
    all_of = len(look.judgements)
    count = "all" if right == all_of else f"{right} of"
    return f"{look.domain} at {clock(look.at)}: {count} {all_of} records are as they should be"


def details(judgement: Judgement) -> Iterator[str]:
    """For a record that is not right: who says what. Those that say the same are told of together."""
    said = {(seen.state, seen.answer.content, seen.answer.trouble) for seen in judgement.seen}
    if len(said) == 1:
        if judgement.state != "missing":
            yield f"everywhere: {_said(judgement.seen[0])}"
        return
    for group in _grouped(judgement.seen):
        first = group[0]
        names = ", ".join(str(seen.server) for seen in group)
        yield f"{names}: {_said(first)}"


def _grouped(seen: Iterable[Seen]) -> list[list[Seen]]:
    groups: dict[object, list[Seen]] = {}
    for one in seen:
        same = (one.server.authority, one.state, one.answer.content, one.answer.trouble, one.until)
        groups.setdefault(same if one.server.authority or not one.until else one.server, []).append(one)
    return list(groups.values())


def _said(seen: Seen) -> str:
    answer = seen.answer
    if answer.trouble:
        return answer.trouble
    ttl = f" (TTL {answer.ttl})" if answer.ttl is not None and seen.server.authority and answer.content else ""
    match seen.state:
        case "cached":
            until = f", until {clock(seen.until)} at the latest" if seen.until is not None else ""
            return f"still {shown(answer)}{until}"
        case "not changed":
            return f"{shown(answer)}{ttl}, as before"
        case "wrong":
            return f"{shown(answer)}{ttl}, which is neither what was before nor what should be"
        case "missing":
            return "no such record"
        case _:
            return f"{shown(answer)}{ttl}"


def servers(look: Look) -> Iterator[tuple[str, str, bool]]:
    """Everybody who was asked: who, what came of it, is that good?"""
    for one in look.servers:
        role = "authoritative" if one.server.authority else "resolver"
        name = str(one.server).removeprefix("resolver ")
        yield f"{role} {name}", one.trouble or _answers(one.serial), not one.trouble


def _answers(serial: int | None) -> str:
    return "answers" if serial is None else f"answers, serial {serial}"


def ending(look: Look) -> Iterator[str]:
    """When the last cache has it."""
    waiting = [judgement for judgement in look.judgements if judgement.state == "cached"]
    if look.cached_until is not None:
        if waiting:
            yield f"the last cache forgets what was before at {clock(look.cached_until)}, at the latest"
        else:
            yield f"caches that were not asked may have what was before until {clock(look.cached_until)}, at the latest"
    elif waiting:
        yield "until when other caches have what was before is not known: it was not looked at before the change"


def lines(look: Look) -> Iterator[str]:
    """For a pipe."""
    yield headline(look)
    for judgement in look.judgements:
        yield f"{judgement.wish.key.name}  {kind(judgement)}  {state(judgement)}  {should_be(judgement)}"
        if not judgement.right:
            yield from (f"    {line}" for line in details(judgement))
    for who, what, _good in servers(look):
        yield f"{who}  {what}"
    yield from ending(look)
    for remark in look.remarks:
        yield f"{remark.weight}: {remark.text}"


def clock(seconds: int | None) -> str:
    """A time in UTC, to the second."""
    return "" if seconds is None else spelled(seconds)


def as_json(look: Look) -> dict[str, Any]:
    """As `--json` prints it; times in ISO 8601, UTC."""
    return {
        "domain": look.domain,
        "at": iso_or_none(look.at),
        "right": look.right,
        "records": [_record_json(judgement) for judgement in look.judgements],
        "servers": [
            {
                "server": one.server.name,
                "address": one.server.address,
                "port": one.server.port,
                "role": "authoritative" if one.server.authority else "resolver",
                "answers": not one.trouble,
                "trouble": one.trouble,
                "serial": one.serial,
            }
            for one in look.servers
        ],
        "remarks": [{"weight": remark.weight, "text": remark.text} for remark in look.remarks],
        "cached_until": iso_or_none(look.cached_until),
    }


def _record_json(judgement: Judgement) -> dict[str, Any]:
    wish = judgement.wish
    return {
        "name": wish.key.name,
        "type": wish.key.type,
        "should_be": list(wish.lines),
        "why": wish.why,
        "state": judgement.state,
        "wanted": wish.rule != "as it is",
        "ttl": judgement.ttl,
        "cached_until": iso_or_none(judgement.until),
        "cached_elsewhere_until": iso_or_none(judgement.elsewhere),
        "seen": [
            {
                "server": seen.server.name,
                "address": seen.server.address,
                "port": seen.server.port,
                "role": "authoritative" if seen.server.authority else "resolver",
                "state": seen.state,
                "values": sorted(seen.answer.content),
                "ttl": seen.answer.ttl,
                "until": iso_or_none(seen.until),
                "trouble": seen.answer.trouble,
            }
            for seen in judgement.seen
        ],
    }
