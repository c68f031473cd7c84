"""What should be, as text to paste into a zone file (RFC 1035 5.1). Every name in it is absolute, so that it means the
same wherever it is put."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from proxy.admin.dns.judging import LOW_TTL
from proxy.admin.dns.looking import Look
from proxy.admin.dns.records import Answer, Wish
from proxy.admin.dns.remarking import spelled_time
from proxy.admin.dns.wanted import lines_of, own_names

_LABELS: Final = {"address": "addresses", "SPF": "the SPF record"}


def snippet(look: Look, hostname: str) -> str:
    """The records that should be, and, as comments, what they take the place of and what stays."""
    own, foreign = own_names(look.domain, [judgement.wish for judgement in look.judgements])
    now = {j.wish.key: next((s.answer for s in j.seen if not s.answer.trouble), None) for j in look.judgements}
    lines = [
        f"; {look.domain}: what DNS should have for users to find {hostname}, as of {spelled_time(look.at)}.",
        "; Each record takes the place of what the zone has of the same name and type; an alias (CNAME), of everything",
        "; that has its name. Raise the TTLs when all of it has proven itself.",
    ]
    why = ""
    for wish in sorted(own, key=lambda wish: wish.rule == "not offered"):
        lines += _record(wish, now[wish.key], again=wish.why == why)
        why = wish.why
    if foreign:
        lines += ["", "; In the zone of that name, not in this one:"]
        for wish in foreign:
            lines += [
                line if line.startswith(";") else f"; {line}"
                for line in _record(wish, now[wish.key], again=False)
                if line
            ]
    return "\n".join(lines) + "\n"


def _record(wish: Wish, now: Answer | None, *, again: bool) -> Iterator[str]:
    """`again`: it has been said just now what it is for."""
    key = wish.key
    there = lines_of(key, now) if now is not None else []
    if wish.rule == "as it is":
        what = _LABELS.get(key.type, key.type)
        known = (
            "could not be read; leave it as it is" if now is None else "stays as it is" if there else "none is needed"
        )
        yield from ("", f"; {key.name}, {what}: {known}" + (f": {', '.join(there)}" if there else ""))
        return
    if not again:
        yield from ("", f"; {wish.why}")
    if not wish.lines:
        yield f"; {key.name}. has no address yet: put this server's here, or ask again with --address"
        yield f"; {_line(key.name, 'A 192.0.2.1')}"
    yield from (_line(key.name, line) for line in wish.lines)
    if there and set(there) != set(wish.lines):
        yield f"; (now {', '.join(line for line in there if line not in wish.lines)})"


def _line(name: str, line: str) -> str:
    kind, _, value = line.partition(" ")
    return f"{name + '.':<32} {LOW_TTL} IN {kind:<5} {value}"
