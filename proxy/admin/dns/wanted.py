"""What a domain's records should be, so that its users' programs find this server.

From the configuration (`proxy.admin.offered`), from what the administrator asked for, and from what is in DNS now as
far as that is to be kept; nothing is asked here. MX and SPF decide about others' mail, so nothing is wanted of them but
what was asked for.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from proxy.admin.dns import spf
from proxy.admin.dns.records import NOWHERE, Answer, Key, Remark, Wish, within
from proxy.admin.hosted import hosted_by
from proxy.admin.offered import Server, offered
from proxy.config import Config
from proxy.config.endpoints import parse_endpoint

# Service names of SRV records (RFC 6186 3; `_submissions` is RFC 8314 7.2's): what is found behind each, and in which
# order programs are to prefer them (RFC 6186 3.3: lower comes first).
_SERVICES: Final = (
    ("_imaps._tcp", "imap", ("tls",), 0),
    ("_imap._tcp", "imap", ("starttls", "none"), 5),
    ("_pop3s._tcp", "pop3", ("tls",), 10),
    ("_pop3._tcp", "pop3", ("starttls", "none"), 15),
    ("_submissions._tcp", "submission", ("tls",), 0),
    ("_submission._tcp", "submission", ("starttls",), 5),
)
_ALIASES: Final = (
    ("autoconfig", "Thunderbird and others set themselves up"),
    ("autodiscover", "Outlook sets itself up"),
)
_CALLED: Final = {"imap": "IMAP", "pop3": "POP3", "submission": "the server that takes what they send"}
_Hosts = Mapping[str, Sequence[str]]  # addresses of hosts
_AUTODISCOVER: Final = "_autodiscover._tcp"


@dataclass(frozen=True, slots=True)
class Asked:
    """What the administrator asked for beside what the configuration says. Names are in A-labels, lower case."""

    mx: tuple[str, ...] = ()  # hosts, the first one preferred
    spf: tuple[str, ...] = ()  # mechanisms
    addresses: tuple[str, ...] = ()  # of this server, as the world sees it
    hosts: tuple[str, ...] = ()  # other names that users' programs have, which should lead here as well


def keys(config: Config, domain: str, asked: Asked) -> list[Key]:
    """All that is looked at, whatever is wanted of it."""
    names = [Key(host, "address") for host in (config.hostname, *asked.hosts)]
    names += [Key(domain, "MX"), Key(domain, "SPF")]
    names += [Key(f"{service}.{domain}", "SRV") for service, *_ in _SERVICES]
    names += [Key(f"{alias}.{domain}", "address") for alias, _ in _ALIASES]
    return [*dict.fromkeys([*names, Key(f"{_AUTODISCOVER}.{domain}", "SRV")])]


def wishes(config: Config, domain: str, asked: Asked, now: Mapping[Key, Answer]) -> list[Wish]:
    """What should be, in the order of `keys`. `now` is what the authoritative servers say, or else a resolver; of what
    could not be read it has nothing."""
    host = Key(config.hostname, "address")
    addresses = asked.addresses or tuple(sorted(now[host].values if host in now else ()))
    found = [_host(host, asked.addresses, now.get(host))]
    found += [_other(config, Key(other, "address"), addresses, asked) for other in asked.hosts]
    found += [
        _mx(Key(domain, "MX"), asked.mx, now),
        _spf(config, Key(domain, "SPF"), asked, now, {config.hostname: addresses}),
    ]
    found += _services(config, domain)
    found += _found_by_programs(config, domain, addresses, now)
    order = keys(config, domain, asked)
    return sorted({wish.key: wish for wish in reversed(found)}.values(), key=lambda wish: order.index(wish.key))


def _host(key: Key, addresses: Sequence[str], now: Answer | None) -> Wish:
    why = "this server, as mail programs connect to it"
    if addresses:
        return Wish(key, "addresses", tuple(addresses), tuple(map(_address_line, addresses)), why)
    lines = () if now is None else tuple(lines_of(key, now))
    return Wish(key, "some address", (), lines, why)


def _other(config: Config, key: Key, addresses: Sequence[str], asked: Asked) -> Wish:
    """One that an MX leads to has addresses, since it must be no alias (RFC 2181 10.3)."""
    wish = _alias(config, key, addresses, "a name that users have")
    return replace(wish, lines=tuple(map(_address_line, addresses))) if key.name in asked.mx else wish


def _mx(key: Key, hosts: Sequence[str], now: Mapping[Key, Answer]) -> Wish:
    if hosts:
        lines = tuple(f"MX {10 * number} {host}." for number, host in enumerate(hosts, 1))
        return Wish(key, "exchanges", tuple(f"{host}." for host in hosts), lines, "where new mail is delivered")
    return Wish(key, "as it is", (), (), "where new mail is delivered")


def _spf(config: Config, key: Key, asked: Asked, now: Mapping[Key, Answer], hosts: _Hosts) -> Wish:
    why = "who may send mail of this domain"
    wanted = list(asked.spf)
    if config.submission is not None and not wanted:
        wanted = [f"a:{config.submission.rpartition(':')[0]}"]
    records = sorted(now[key].values) if key in now else []
    if key not in now or (not wanted and len(records) <= 1):
        return Wish(key, "as it is", (), (), why)  # what could not be read is not replaced
    record = records[0] if records else None
    if len(records) > 1:
        text = spf.joined(records, [term for term in wanted if not any(_lets(r, term, key, hosts) for r in records)])
    else:
        text = spf.merged(record, [t for t in wanted if record is None or not _lets(record, t, key, hosts)])
    return Wish(key, "permits", (*wanted,), (f"TXT {quoted(text)}",), why)


def _lets(record: str, mechanism: str, key: Key, hosts: _Hosts) -> bool:
    return spf.permits(record, mechanism, key.name, hosts)


def _services(config: Config, domain: str) -> Iterator[Wish]:
    servers = offered(config)
    for name, service, securities, priority in _SERVICES:
        server = next((s for s in servers if s.service == service and s.security in securities), None)
        yield _service(Key(f"{name}.{domain}", "SRV"), server, priority)


def _service(key: Key, server: Server | None, priority: int) -> Wish:
    if server is None:
        return Wish(key, "not offered", (), (f"SRV {NOWHERE}",), "not offered here, which programs are told by this")
    target = f"{server.port} {server.host}."
    why = f"where mail programs find {_CALLED[server.service]}"
    return Wish(key, "service", (target,), (f"SRV {priority} 1 {target}",), why)


def _found_by_programs(
    config: Config, domain: str, addresses: Sequence[str], now: Mapping[Key, Answer]
) -> Iterator[Wish]:
    """The names that lead mail programs to the portal's answers; without a portal they are left alone."""
    if not config.listen.web:
        for alias, why in _ALIASES:
            yield Wish(Key(f"{alias}.{domain}", "address"), "as it is", (), (), why)
        yield Wish(Key(f"{_AUTODISCOVER}.{domain}", "SRV"), "as it is", (), (), "Outlook sets itself up")
        return
    for alias, why in _ALIASES:
        yield _alias(config, Key(f"{alias}.{domain}", "address"), addresses, why)
    target = f"{web_port(config)} {config.hostname}."
    key = Key(f"{_AUTODISCOVER}.{domain}", "SRV")
    yield Wish(key, "service", (target,), (f"SRV 0 0 {target}",), "Outlook sets itself up")


def _alias(config: Config, key: Key, addresses: Sequence[str], why: str) -> Wish:
    if key.name in {domain.ascii_name for domain in config.domains.values()}:  # no alias beside a zone's other records
        return Wish(key, "alias", (f"{config.hostname}.", *addresses), tuple(map(_address_line, addresses)), why)
    return Wish(key, "alias", (f"{config.hostname}.", *addresses), (f"CNAME {config.hostname}.",), why)


def web_port(config: Config) -> int:
    """The portal's port: 443 where it listens there, or else its first; of a socket that is handed over, and behind a
    proxy, 443."""
    ports = [
        443 if endpoint.proxied else endpoint.port or 443
        for text in config.listen.web
        if (endpoint := parse_endpoint(text)).kind != "unix"
    ]
    return 443 if 443 in ports or not ports else ports[0]


def remarks(config: Config, domain: str, asked: Asked, now: Mapping[Key, Answer]) -> Iterator[Remark]:
    """What there is to know about what is there, before anything is compared."""
    yield from _about_legacy(config, domain, asked)
    yield from _about_host(config, asked, now.get(Key(config.hostname, "address")))
    yield from _about_mx(config, domain, asked, now.get(Key(domain, "MX")))
    yield from _about_spf(domain, now.get(Key(domain, "SPF")))
    if config.listen.web and web_port(config) != 443:
        yield Remark(
            "advice", f"mail programs look for autoconfig at port 443 alone, and `listen.web` has {web_port(config)}"
        )
    if not config.listen.web:
        for alias, _ in _ALIASES:
            there = now.get(Key(f"{alias}.{domain}", "address"))
            if there is not None and there.content:
                text = f"{alias}.{domain} ({shown(there)}) tells mail programs the settings of whoever answers there"
                yield Remark("advice", f"{text}: remove it, or add `listen.web`")


def _about_legacy(config: Config, domain: str, asked: Asked) -> Iterator[Remark]:
    """A legacy server that could no longer be found once DNS has moved."""
    for served in config.domains.values():
        host = served.legacy.host
        if served.ascii_name == domain and host in {config.hostname, *asked.hosts}:
            yield Remark(
                "mistake",
                f"`legacy.host` is {host}, which is to lead here: write the old server's address or another name of it "
                "before that is changed, or mailferry asks itself for old mail",
            )


def _about_host(config: Config, asked: Asked, now: Answer | None) -> Iterator[Remark]:
    if now is None or asked.addresses:
        return
    if not now.content:
        yield Remark("advice", f"{config.hostname} has no address yet: --address says which it should be")
    others = [address for address in sorted(now.values) if not is_here(address)]
    if others and len(others) == len(now.values):
        text = (
            f"{config.hostname} leads to {', '.join(others)}, which is no address of this machine: right where a proxy "
        )
        yield Remark("advice", f"{text}or a translated address is in front of it; --address says what it should be")


def is_here(address: str) -> bool:
    """Is it an address of this machine? Nothing is sent."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def _about_mx(config: Config, domain: str, asked: Asked, now: Answer | None) -> Iterator[Remark]:
    hosts = [value.partition(" ")[2] for value in in_order(now.values)] if now is not None else []
    if now is None or now.trouble:
        return
    if hosts == ["."]:
        yield Remark("advice", f"{domain} says that it takes no mail at all (a null MX, RFC 7505)")
    elif not hosts:
        yield Remark("advice", f"{domain} has no MX: new mail goes to the address of {domain} itself (RFC 5321 5.1)")
    elif not asked.mx:
        here = any(host.rstrip(".") == config.hostname for host in hosts)
        whose = {service.name for host in hosts if (service := hosted_by(host.rstrip("."))) is not None}
        at = ", ".join(host.rstrip(".") for host in hosts) + (f" ({', '.join(sorted(whose))})" if whose else "")
        yield Remark("advice", f"new mail for {domain} goes to {at}: " + (_MX_HERE if here else _MX_STAYS))
    if any(host == config.hostname for host in asked.mx):
        yield Remark("advice", f"MX to {config.hostname}: {_MX_HERE}")


_MX_STAYS: Final = (
    "it stays there until this server takes mail, by a Postfix in front of it; then ask again with --mx HOST. "
    "Until then what arrives there is carried over by each move"
)
_MX_HERE: Final = "mailferry itself takes no mail by SMTP, so a Postfix has to answer there"


def _about_spf(domain: str, now: Answer | None) -> Iterator[Remark]:
    if now is not None and len(now.values) > 1:
        text = f"{domain} has {len(now.values)} SPF records, which receivers take for none that is valid (RFC 7208 4.5)"
        yield Remark("mistake", f"{text}: leave one, with all that is needed in it")


def own_names(domain: str, wishes: Iterable[Wish]) -> tuple[list[Wish], list[Wish]]:
    """Those in the domain, and those that are in somebody else's: a host name of another domain."""
    listed = list(wishes)
    return [w for w in listed if within(w.key.name, domain)], [w for w in listed if not within(w.key.name, domain)]


def lines_of(key: Key, answer: Answer) -> list[str]:
    """An answer as lines of a zone, each a type and what is behind it."""
    if answer.aliases:
        return [f"CNAME {answer.aliases[0]}."]
    if key.type == "address":
        return [_address_line(value) for value in sorted(answer.values)]
    if key.type == "SPF":
        return [f"TXT {quoted(value)}" for value in sorted(answer.values)]
    return [f"{key.type} {value}" for value in in_order(answer.values)]


def shown(answer: Answer) -> str:
    """An answer in a few words."""
    if answer.trouble:
        return answer.trouble
    return ", ".join(in_order(answer.content)) or "no such record"


def in_order(values: Iterable[str]) -> list[str]:
    """MX and SRV with the preferred one first."""
    return sorted(values, key=lambda value: ([int(n) for n in value.split()[:2] if n.isdecimal()], value))


def _address_line(address: str) -> str:
    return f"{'AAAA' if ':' in address else 'A'} {address}"


def quoted(text: str) -> str:
    """TXT as a zone file has it: strings of at most 255 octets (RFC 1035 3.3.14)."""
    octets = text.encode()
    return " ".join(f'"{"".join(map(_escaped, octets[at : at + 250]))}"' for at in range(0, len(octets), 250))


def _escaped(octet: int) -> str:
    """RFC 1035 5.1."""
    letter = chr(octet)
    if letter in '"\\':
        return f"\\{letter}"
    return letter if 0x20 <= octet < 0x7F else f"\\{octet:03}"
