"""What an administrator asks of DNS beside what the configuration says: understood, and remembered for a domain.

Given on the command line or in the console's form. What the console is given is kept beside what was seen at looks, in
a file for each domain, so that nobody has to type it again; the command line goes by it, but for what its flags say.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, Literal

from proxy.admin.dns.looking import Looker, resolvers
from proxy.admin.dns.records import Server
from proxy.admin.dns.remembered import in_memory, write_whole
from proxy.admin.dns.spf import NoMechanism, mechanisms
from proxy.admin.dns.wanted import Asked
from proxy.config import Config
from proxy.config.mistakes import Unfit
from proxy.config.model import Domain
from proxy.config.names import ascii_name, resolver_address

Field = Literal["mx", "spf", "addresses", "hosts", "resolvers"]
FIELDS: Final[tuple[Field, ...]] = ("addresses", "hosts", "mx", "spf", "resolvers")
# What can be the matter: no name, an address where a name has to be, no address, ...
Wrong = Literal["name", "named", "address", "resolver", "spf.kind", "spf.sign", "spf.network", "spf.name"]
_VERSION: Final = 1


class NotMeant(ValueError):
    """What was given cannot be meant: `wrong` is the matter with `value`. The text says it for the command line."""

    def __init__(self, value: str, wrong: Wrong, text: str) -> None:
        super().__init__(text)
        self.value = value
        self.wrong = wrong


@dataclass(frozen=True, slots=True)
class Given:
    """All of it, understood: names in A-labels, addresses in their usual form."""

    mx: tuple[str, ...] = ()
    spf: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    resolvers: tuple[str, ...] = ()

    def of(self, field: Field) -> tuple[str, ...]:
        found: tuple[str, ...] = getattr(self, field)
        return found

    def or_else(self, other: Given) -> Given:
        """What is not given here is the other's."""
        return replace(other, **{field.name: found for field in fields(self) if (found := getattr(self, field.name))})

    @property
    def asked(self) -> Asked:
        return Asked(self.mx, self.spf, self.addresses, self.hosts)


def understood(field: Field, texts: Sequence[str]) -> tuple[str, ...]:
    """What was given of one kind. Raises NotMeant for the first that cannot be."""
    return tuple(dict.fromkeys(_READ[field](texts)))


def _exchanges(texts: Sequence[str]) -> list[str]:
    """Of an MX, what stands behind its preference."""
    return [_name(text.split()[-1] if text.split() else text) for text in texts]


def _names(texts: Sequence[str]) -> list[str]:
    return [_name(text) for text in texts]


def _name(text: str) -> str:
    try:
        name = ascii_name(text)
    except Unfit as error:
        raise NotMeant(text, "name", str(error)) from None
    if name.rpartition(".")[2].isdigit():  # no zone has such a name (RFC 3696 2)
        raise NotMeant(text, "named", f'"{text}" is no name: an address, or only a number, cannot stand here')
    return name


def _addresses(texts: Sequence[str]) -> list[str]:
    found = []
    for text in texts:
        try:
            address = ipaddress.ip_address(text)
        except ValueError as error:
            raise NotMeant(text, "address", str(error)) from None
        if address.is_unspecified or address.is_multicast or "%" in text:
            raise NotMeant(text, "address", f"{text!r} can be no server's address")
        found.append(str(address))
    return sorted(found, key=lambda address: (":" in address, address))


def _mechanisms(texts: Sequence[str]) -> list[str]:
    try:
        return mechanisms(texts)
    except NoMechanism as error:
        raise NotMeant(error.term, _SPF[error.wrong], str(error)) from None


_SPF: Final[Mapping[str, Wrong]] = {
    "kind": "spf.kind",
    "sign": "spf.sign",
    "network": "spf.network",
    "name": "spf.name",
}


def _resolvers(texts: Sequence[str]) -> list[str]:
    for text in texts:
        try:
            resolver_address(text)
        except Unfit as error:
            raise NotMeant(text, "resolver", str(error)) from None
    return [text.strip() for text in texts]


_READ: Final[Mapping[Field, Callable[[Sequence[str]], list[str]]]] = {
    "mx": _exchanges,
    "spf": _mechanisms,
    "addresses": _addresses,
    "hosts": _names,
    "resolvers": _resolvers,
}


def looker(
    config: Config,
    domain: Domain,
    given: Given,
    *,
    port: int = 53,
    fixed: Server | None = None,
    caches: bool = True,
) -> Looker:
    """Whoever looks at the domain, with all that was given."""
    name = domain.ascii_name
    listed = resolvers(config, given.resolvers)
    return Looker(config, name, given.asked, listed, in_memory(config.state, name), port, fixed, caches)


def _file(state: Path, domain: Domain) -> Path:
    return state / "dns" / f"{domain.ascii_name}.asked"


def remembered(state: Path, domain: Domain) -> Given:
    """What was asked for in the console; nothing where it was nothing, or cannot be understood. Raises OSError."""
    try:
        found: Any = json.loads(_file(state, domain).read_bytes())
        rows = found["asked"] if found["version"] == _VERSION else {}
        return Given(**{field: understood(field, [str(text) for text in rows.get(field, ())]) for field in FIELDS})
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        return Given()


def remember(state: Path, domain: Domain, given: Given) -> None:
    """Keep it, whole or not at all. Raises OSError."""
    file = _file(state, domain)
    write_whole(file, json.dumps({"version": _VERSION, "asked": asdict(given)}, indent=1) + "\n")
