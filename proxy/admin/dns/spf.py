"""SPF (RFC 7208): what a record says, how it comes to permit one more host, and how many lookups it costs.

Pure but for the lookups that its caller hands in.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final, Literal

from proxy.config.mistakes import Unfit
from proxy.config.names import ascii_name

Wrong = Literal["kind", "sign", "network", "name"]

MOST_LOOKUPS: Final = 10  # past it receivers may take the record for broken (RFC 7208 4.6.4)
MOST_ASKED: Final = 20  # records that are fetched to count them
_COSTLY: Final = ("include", "a", "mx", "ptr", "exists", "redirect")
_NAMED: Final = re.compile(r"(?P<before>\+?(?:include|a|mx|ptr|exists)):(?P<name>[^/]*)(?P<length>(?:/.*)?)", re.I)
_MACROS: Final = re.compile(r"[!-~]*%[!-~]+")  # RFC 7208 7


def is_spf(text: str) -> bool:
    """Is this TXT record an SPF record (RFC 7208 4.5)?"""
    return text.lower() == "v=spf1" or text.lower().startswith("v=spf1 ")


class NoMechanism(ValueError):
    """The text says what would be right; `wrong` is what is the matter with `term`."""

    def __init__(self, term: str, wrong: Wrong, text: str) -> None:
        super().__init__(text)
        self.term = term
        self.wrong = wrong


def mechanisms(given: Sequence[str]) -> list[str]:
    """What an administrator wrote, as single mechanisms: whole records lose their version and their end. Raises
    NoMechanism."""
    found = []
    for term in " ".join(given).split():
        if term.lower() == "v=spf1" or _kind(term) in {"all", "redirect", "exp"}:
            continue
        found.append(_mechanism(term))
    return list(dict.fromkeys(found))


def _mechanism(term: str) -> str:
    """One, with its name in A-labels. Raises NoMechanism."""
    kind = _kind(term)
    if kind not in {"include", "a", "mx", "ptr", "exists", "ip4", "ip6"}:
        text = f'"{term}" is no mechanism of SPF: write for instance "a:mail.123.com" or "ip4:192.0.2.1"'
        raise NoMechanism(term, "kind", text)
    if term[0] in "-~?":
        raise NoMechanism(term, "sign", f'"{term}" permits nobody: write it without the "{term[0]}"')
    if kind in {"ip4", "ip6"}:
        if _network(term) is None:
            text = f'"{term}" has no network: write for instance "ip4:192.0.2.1" or "ip4:192.0.2.0/24"'
            raise NoMechanism(term, "network", text)
        return term
    if ":" not in term and kind not in {"include", "exists"}:
        return term  # the domain itself
    named = _NAMED.fullmatch(term)
    if named is not None and _MACROS.fullmatch(named["name"]):
        return term
    with suppress(Unfit):
        if named is not None:
            return f"{named['before']}:{ascii_name(named['name'])}{named['length']}"
    raise NoMechanism(term, "name", f'"{term}" has no name that can be one: write for instance "include:spf.123.com"')


def merged(record: str | None, wanted: Iterable[str]) -> str:
    """The record with the wanted mechanisms in it, before what answers for everybody else; a new one where there is
    none."""
    if record is None:
        return " ".join(["v=spf1", *dict.fromkeys(["mx", *wanted]), "~all"])
    terms = record.split()
    known = {term.lower().removeprefix("+") for term in _reached(terms)}
    added = [term for term in wanted if term.lower().removeprefix("+") not in known]
    end = next((n for n, term in enumerate(terms) if _kind(term) in {"all", "redirect", "exp"}), len(terms))
    return " ".join([*terms[:end], *added, *terms[end:]])


def joined(records: Sequence[str], wanted: Iterable[str]) -> str:
    """Several records as one: all mechanisms in their order, and the mildest end."""
    ends = [term for record in records for term in record.split() if _kind(term) in {"all", "redirect", "exp"}]
    alls = sorted((term for term in ends if _kind(term) == "all"), key=_strictness)
    terms = [term for record in records for term in record.split()[1:] if term not in ends]
    end = [alls[0]] if alls else ends[:1]
    return merged(" ".join(["v=spf1", *dict.fromkeys(terms), *end]), wanted)


def permits(record: str, mechanism: str, domain: str, hosts: Mapping[str, Sequence[str]]) -> bool:
    """Does the record itself let the mechanism's senders pass: by the same words, or because the networks that it names
    hold all of the host's addresses, as far as `hosts` has them? What an `include` may permit is not looked into."""
    terms = [term for term in _reached(record.lower().split()) if term[0] not in "-~?"]
    wanted = mechanism.lower().removeprefix("+")
    if wanted in {term.removeprefix("+") for term in terms}:
        return True
    if wanted == f"a:{domain}" and {"a", "+a"} & set(terms):
        return True
    networks = [network for term in terms if (network := _network(term)) is not None]
    senders = [ipaddress.ip_address(a) for a in hosts.get(wanted[2:], ())] if wanted.startswith("a:") else []
    own = _network(wanted)
    if own is not None:
        return any(own.version == net.version and own.subnet_of(net) for net in networks)  # type: ignore[arg-type]
    return bool(senders) and all(any(sender in network for network in networks) for sender in senders)


def lookups(record: str, fetch: Callable[[str], str | None]) -> int:
    """How many questions a receiver has to ask for it, with all that it includes. `fetch` gives a domain's SPF record,
    or None; it is asked at most 20 times."""
    left = MOST_ASKED
    seen: set[str] = set()

    def count(text: str, depth: int) -> int:
        nonlocal left
        number = 0
        for term in text.split()[1:]:
            kind = _kind(term)
            if kind not in _COSTLY:
                continue
            number += 1
            target = term.partition("=" if kind == "redirect" else ":")[2].lower().rstrip(".")
            if kind in {"include", "redirect"} and target and "%" not in target and target not in seen and left:
                seen.add(target)
                left -= 1
                inner = fetch(target) if depth < MOST_LOOKUPS else None
                number += count(inner, depth + 1) if inner is not None else 0
        return number

    return count(record, 0)


def _reached(terms: Sequence[str]) -> Sequence[str]:
    """Those that are looked at: what stands behind an `all` is not (RFC 7208 5.1)."""
    return terms[: next((number for number, term in enumerate(terms) if _kind(term) == "all"), len(terms))]


def _strictness(term: str) -> int:
    """Of an `all`: what lets more pass comes first, but for one that lets everybody."""
    return "?~-".find(term[0]) % 4


def _kind(term: str) -> str:
    name = term.lower().lstrip("+-~?")
    for sign in ":=/":
        name = name.partition(sign)[0]
    return name


def _network(term: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    kind, _, text = term.lower().lstrip("+").partition(":")
    try:
        network = ipaddress.ip_network(text, strict=False) if kind in {"ip4", "ip6"} else None
    except ValueError:
        return None
    return network if network is not None and kind == f"ip{network.version}" else None
