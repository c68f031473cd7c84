"""What `mailferry dns` found, for a terminal, a pipe, and programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from proxy.admin.dns.judging import Judgement, State
from proxy.admin.dns.looking import Look
from proxy.admin.dns.telling import Group, Standing, caches, groups, kind, standing, wished
from proxy.admin.dns.wanted import shown
from proxy.admin.moments import iso_or_none, spelled

WORDS: Final[dict[Standing, str]] = {
    "right": "right",
    "stays": "stays",
    "changed in part": "changed in part",
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


def state(judgement: Judgement) -> str:
    """In a word or three."""
    return WORDS[standing(judgement)]


def should_be(judgement: Judgement) -> str:
    """The values, without their types."""
    wish, values = judgement.wish, wished(judgement)
    if wish.rule == "as it is":
        return f"as it is ({shown(judgement.seen[0].answer)})" if judgement.seen else "as it is"
    if wish.rule == "some address":
        return f"{values} (this server's?)" if values else "this server's address"
    return f"{values} (or none)" if wish.rule == "not offered" else values


def headline(look: Look) -> str:
    right, all_of = look.count_right, len(look.judgements)
    count = "all" if right == all_of else f"{right} of"
    return f"{look.domain} at {clock(look.at)}: {count} {all_of} records are as they should be"


def details(judgement: Judgement) -> Iterator[str]:
    """For a record that is not right: who says what. Those that say the same are told of together."""
    for group in groups(judgement):
        who = "everywhere" if group.everywhere else ", ".join(str(seen.server) for seen in group.seen)
        yield f"{who}: {_said(group)}"


def _said(group: Group) -> str:
    answer, until = group.first.answer, group.first.until
    if answer.trouble:
        return answer.trouble
    ttl = f" (TTL {group.ttl})" if group.ttl is not None else ""
    match group.first.state:
        case "cached":
            return f"still {shown(answer)}" + (f", until {clock(until)} at the latest" if until is not None else "")
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
    match caches(look):
        case "waiting":
            yield f"the last cache forgets what was before at {clock(look.cached_until)}, at the latest"
        case "others":
            yield f"caches that were not asked may have what was before until {clock(look.cached_until)}, at the latest"
        case "not known":
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
