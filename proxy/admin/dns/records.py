"""What is asked of DNS, what was answered, and what should be: the objects that the rest of this package hands around.

Names are absolute, in A-labels (RFC 5890) and lower case, without the dot at the end. Values are as a zone file has
them behind the type; names in values have their dot. Times are in seconds since 1970, TTLs in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Type = Literal["address", "MX", "SPF", "SRV"]  # "address": A and AAAA together, and the CNAME that leads to them

NOWHERE: Final = "0 0 0 ."  # an SRV record that says: not offered (RFC 2782; RFC 6186 3.4)


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """What is asked for."""

    name: str
    type: Type


@dataclass(frozen=True, slots=True)
class Server:
    """A name server: `name` is what it is called, for an authority that of its NS record, for a resolver ""."""

    name: str
    address: str
    port: int
    authority: bool

    @property
    def place(self) -> str:
        """Its address, and its port where that is not the usual one."""
        where = f"[{self.address}]" if ":" in self.address and self.port != 53 else self.address
        return where + ("" if self.port == 53 else f":{self.port}")

    def __str__(self) -> str:
        return f"{self.name} ({self.place})" if self.name else f"resolver {self.place}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one server says. No values and no trouble: it says that there is no such record.

    `aliases` are the names that CNAME records led to, in order. `ttl` is the record's; where there is none, for how
    long that may be kept (RFC 2308 5). `trouble` says why there is no answer.
    """

    values: frozenset[str] = frozenset()
    ttl: int | None = None
    aliases: tuple[str, ...] = ()
    trouble: str = ""
    referred: str = ""

    @property
    def content(self) -> frozenset[str]:
        """What tells one state of the record from another: where an alias leads to, or else the values."""
        return frozenset({f"CNAME {self.aliases[0]}."}) if self.aliases else self.values


@dataclass(frozen=True, slots=True)
class Heard:
    """A server, what keeps it from answering ("" where it answers), and the serial of its zone."""

    server: Server
    trouble: str = ""
    serial: int | None = None


# How what is there is compared with what should be.
Rule = Literal[
    "as it is",  # nothing is asked of it
    "some address",  # only its administrator knows which
    "addresses",  # these, and no others
    "alias",  # an alias of the first value, or its addresses (the other values)
    "exchanges",  # these mail servers, whatever their preference
    "service",  # this port of this host, whatever its weight
    "not offered",  # a record that says so, or none
    "permits",  # one SPF record that has these mechanisms
]


@dataclass(frozen=True, slots=True)
class Wish:
    """A record that should be there. `lines` are what the zone should have, each a type and what is behind it."""

    key: Key
    rule: Rule
    values: tuple[str, ...]
    lines: tuple[str, ...]
    why: str  # what it is good for

    @property
    def should_be(self) -> str:
        """In one line."""
        return ", ".join(self.lines) if self.lines else "as it is" if self.rule == "as it is" else "an address"


Weight = Literal["mistake", "advice"]


@dataclass(frozen=True, slots=True)
class Remark:
    """Something to know: a mistake keeps it from being all as it should be."""

    weight: Weight
    text: str


def within(name: str, zone: str) -> bool:
    """Is the name the zone's own, or below it?"""
    return name == zone or name.endswith(f".{zone}") or not zone


def parent(name: str) -> str:
    """The name without its first label; "" is the root."""
    return name.partition(".")[2]
