"""What there is to know about what a look has found, beside the records' own states: of versions, SPF, MX and TTLs.

`wanted.remarks` has what is to be said before anything is compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from proxy.admin.dns import remembered, spf
from proxy.admin.dns.delegation import Zone
from proxy.admin.dns.judging import HIGH_TTL, LOW_TTL, Judgement, counts_from
from proxy.admin.dns.records import Answer, Heard, Key, Remark, Wish

Ask = Callable[[Key], Answer]


def about_versions(zones: Iterable[Zone], heard: Sequence[Heard]) -> Iterator[Remark]:
    """Servers of one zone that have not the same one."""
    for zone in zones:
        serials = {one.server: one.serial for one in heard if one.serial is not None and one.server in zone.servers}
        if len(set(serials.values())) > 1:
            each = ", ".join(f"{server.name} {serial}" for server, serial in serials.items())
            text = f"the servers of {zone.apex} have not the same version of it (serial: {each}): "
            yield Remark("advice", text + "those that are behind have yet to fetch the change")


def about_spf(domain: str, wishes: Iterable[Wish], now: Mapping[Key, Answer], ask: Ask) -> Iterator[Remark]:
    """What it costs, with all that it includes."""
    key = Key(domain, "SPF")
    wish = next(wish for wish in wishes if wish.key == key)
    if key not in now:
        yield Remark("mistake", f"the SPF record of {domain} could not be read, so nothing is proposed for it")
        return
    record = wish.lines[0].removeprefix("TXT ").replace('" "', "").strip('"') if wish.lines else ""
    record = record or next(iter(now[key].values), "")
    number = spf.lookups(record, lambda name: min(ask(Key(name, "SPF")).values, default=None)) if record else 0
    if number > spf.MOST_LOOKUPS:
        text = f"the SPF record of {domain} costs {number} lookups; receivers may give up after 10"
        yield Remark("mistake", f"{text} (RFC 7208 4.6.4): replace an include or a host by ip4: and ip6:")


def about_exchanges(hosts: Iterable[str], ask: Ask) -> Iterator[Remark]:
    """Whether mail could be delivered to them."""
    for host in hosts:
        found = ask(Key(host, "address"))
        if found.aliases:
            yield Remark("mistake", f"{host} is an alias, and an MX must not lead to one (RFC 2181 10.3)")
        elif not found.values and not found.trouble:
            yield Remark("mistake", f"{host} has no address, so no mail could be delivered to it")


def about_ttls(judgements: Iterable[Judgement], memory: remembered.Memory, now: int) -> Iterator[Remark]:
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
            f"{spelled_time(now + longest)} on, and caches then follow a change within {LOW_TTL} seconds",
        )
    for judgement in changing:
        since = counts_from(judgement, memory.get(judgement.wish.key, ()), now)
        if since is not None:
            text = f"{judgement.wish.key.name}: its TTL was lowered to {judgement.ttl}; caches that have the one "
            yield Remark("advice", f"{text}before go by it until {spelled_time(since)}: change the record after that")


def spelled_time(seconds: int) -> str:
    """In UTC, to the minute."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
