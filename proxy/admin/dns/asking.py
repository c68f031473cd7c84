"""One question to one DNS server: over UDP, again over TCP where the answer was cut, and never longer than a limit.

An authority is asked without recursion, and only what it says of its own (AA) counts: a server that refers elsewhere,
refuses, or answers from somebody else's words is lame. Blocking; called from threads.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Final

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset
from dns.rdatatype import RdataType

from proxy.admin.dns.records import Answer, Key, Server
from proxy.admin.dns.spf import is_spf
from proxy.config.mistakes import printable

QUESTION: Final = 2.9  # seconds that one question may take, with all tries: a dead server is done with in 3
FIRST_TRY: Final = 1.2
PAYLOAD: Final = 1232  # octets over UDP: what no network cuts into pieces
_ALIASES: Final = 8  # CNAMEs one behind the other
_TYPES: Final = {
    "address": (RdataType.A, RdataType.AAAA),
    "MX": (RdataType.MX,),
    "SPF": (RdataType.TXT,),
    "SRV": (RdataType.SRV,),
}


class NoAnswer(Exception):
    """The text says why, as the end of a sentence that begins with the server. `referred`: the zone to ask about
    instead."""

    def __init__(self, text: str, *, referred: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.referred = referred


@dataclass(frozen=True, slots=True)
class Limit:
    """When all of it has to be over, by the monotonic clock; at once where it is `abandoned`: nobody waits for it any
    more."""

    end: float
    abandoned: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def after(cls, seconds: float) -> Limit:
        return cls(time.monotonic() + seconds)

    @property
    def question(self) -> float:
        """How long one question may take now."""
        return 0.0 if self.abandoned.is_set() else min(QUESTION, self.end - time.monotonic())


def message(server: Server, name: str, rdtype: RdataType, limit: Limit) -> dns.message.Message:
    """The server's answer, whatever it says. Raises NoAnswer."""
    left = limit.question
    if left <= 0:
        raise NoAnswer("was not asked: the time was over")
    end = time.monotonic() + left
    edns = True
    for first in (True, False):
        query = _question(server, name, rdtype, edns=edns)
        try:
            answer = _asked(query, server, end, first=first)
        except dns.exception.Timeout:
            continue
        except (dns.exception.DNSException, EOFError, ValueError) as error:
            raise NoAnswer(f"answers what is no DNS ({type(error).__name__})") from None
        except OSError as error:
            raise NoAnswer(f"cannot be reached: {error.strerror or 'network error'}") from None
        if answer.rcode() in {dns.rcode.FORMERR, dns.rcode.NOTIMP, dns.rcode.BADVERS} and edns and first:
            edns = False  # it may know nothing of EDNS (RFC 6891 7)
            continue
        return answer
    raise NoAnswer(f"does not answer within {max(1, round(left))} s")


def _question(server: Server, name: str, rdtype: RdataType, *, edns: bool) -> dns.message.Message:
    """Raises NoAnswer."""
    try:
        query = dns.message.make_query(
            name + ".", rdtype, use_edns=0 if edns else False, payload=PAYLOAD if edns else None
        )
    except dns.exception.DNSException:  # names out of others' records
        raise NoAnswer("was not asked: this is no name") from None
    if server.authority:
        query.flags &= ~dns.flags.RD
    return query


def _asked(query: dns.message.Message, server: Server, end: float, *, first: bool) -> dns.message.Message:
    patience = min(FIRST_TRY, end - time.monotonic()) if first else end - time.monotonic()
    if patience <= 0:
        raise dns.exception.Timeout
    try:
        return dns.query.udp(query, server.address, patience, server.port, raise_on_truncation=True)
    except dns.message.Truncated:
        return _asked_by_tcp(query, server, max(0.1, end - time.monotonic()))


def _asked_by_tcp(query: dns.message.Message, server: Server, patience: float) -> dns.message.Message:
    cut = "cuts its answer short, and by TCP"
    try:
        return dns.query.tcp(query, server.address, patience, server.port)
    except dns.exception.Timeout:
        raise NoAnswer(f"{cut} does not answer") from None
    except OSError as error:
        raise NoAnswer(f"{cut} cannot be reached: {error.strerror or 'network error'}") from None


def checked(server: Server, name: str, rdtype: RdataType, limit: Limit) -> dns.message.Message:
    """An answer that counts: the record, or that there is none. Raises NoAnswer."""
    said = message(server, name, rdtype, limit)
    code = said.rcode()
    if code not in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
        raise NoAnswer(f"refuses to answer ({dns.rcode.to_text(code)})")
    if not server.authority or said.flags & dns.flags.AA:
        return said
    if any(rrset.rdtype == RdataType.NS for rrset in said.authority) and not said.answer:
        further = _named(next(r for r in said.authority if r.rdtype == RdataType.NS).name).strip(".")
        raise NoAnswer(f"refers to the servers of {further or 'the root'} instead", referred=further)
    raise NoAnswer("is no authority for it")


def answer(server: Server, key: Key, limit: Limit) -> Answer:
    """What the server says of a record; what keeps it from saying is `trouble`."""
    parts = []
    for rdtype in _TYPES[key.type]:
        try:
            parts.append(read(checked(server, key.name, rdtype, limit), key, rdtype))
        except NoAnswer as error:
            return Answer(trouble=error.text, referred=error.referred)
    if len(parts) == 1:
        return parts[0]
    there = [part for part in parts if part.values or part.aliases]
    ttls = [part.ttl for part in there or parts if part.ttl is not None]
    aliases = next((part.aliases for part in parts if part.aliases), ())
    return Answer(frozenset().union(*(part.values for part in parts)), min(ttls, default=None), aliases)


def read(said: dns.message.Message, key: Key, rdtype: RdataType) -> Answer:
    """The record, behind its aliases, out of a message."""
    owner = dns.name.from_text(key.name + ".")
    aliases: list[str] = []
    ttls: list[int] = []
    while len(aliases) < _ALIASES:
        found = _rrset(said, owner, rdtype)
        if found is not None:
            values = frozenset(_values(found))
            if values or key.type != "SPF":
                return Answer(values, min([*ttls, found.ttl]), tuple(aliases))
            return Answer(frozenset(), found.ttl, tuple(aliases))
        alias = _rrset(said, owner, RdataType.CNAME)
        if alias is None:
            break
        owner = alias[0].target
        aliases.append(_named(owner))
        ttls.append(alias.ttl)
    return Answer(frozenset(), min(ttls) if ttls else _absence(said), tuple(aliases))


def _rrset(said: dns.message.Message, owner: dns.name.Name, rdtype: RdataType) -> dns.rrset.RRset | None:
    return next((rrset for rrset in said.answer if rrset.name == owner and rrset.rdtype == rdtype), None)


def _absence(said: dns.message.Message) -> int | None:
    """For how long it may be kept that there is no such record (RFC 2308 5)."""
    for rrset in said.authority:
        if rrset.rdtype == RdataType.SOA:
            return min(rrset.ttl, int(rrset[0].minimum))
    return None


def _values(rrset: dns.rrset.RRset) -> list[str]:
    if rrset.rdtype == RdataType.TXT:
        texts = [printable(b"".join(rdata.strings).decode("utf-8", "replace")) for rdata in rrset]
        return [text for text in texts if is_spf(text)]
    return [rdata.to_text().lower() for rdata in rrset]


def _named(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()


def names(said: dns.message.Message, owner: str, rdtype: RdataType) -> list[str]:
    """The targets of NS records for `owner`, wherever in the message they are."""
    name = dns.name.from_text(owner + ".")
    found = [r for r in (*said.answer, *said.authority) if r.name == name and r.rdtype == rdtype]
    return sorted({_named(rdata.target) for rrset in found for rdata in rrset})


def glue(said: dns.message.Message, host: str) -> list[str]:
    """The addresses of a host that the message brings with it."""
    name = dns.name.from_text(host + ".")
    found = [r for r in said.additional if r.name == name and r.rdtype in {RdataType.A, RdataType.AAAA}]
    return sorted(rdata.to_text() for rrset in found for rdata in rrset)


def start_of_authority(said: dns.message.Message) -> tuple[str, int] | None:
    """The zone and its serial, from an answer or from the word that there is none."""
    for rrset in (*said.answer, *said.authority):
        if rrset.rdtype == RdataType.SOA:
            return _named(rrset.name), int(rrset[0].serial)
    return None
