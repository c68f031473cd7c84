"""How long it will take, as far as one mailbox can tell. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxy.admin.probing.finding import DomainFigures, Mailbox, Probed, Speed
from proxy.config import Domain

WRITING: Final = 0.00015  # seconds that a message takes here at the least, with its share of a barrier
ROUGH: Final = 256 * 1024  # octets of a sample below which its rate says little


@dataclass(frozen=True, slots=True)
class ForDomain:
    """All accounts that are not here yet, in seconds: with `connections` at once, if the legacy server is as fast for
    each of them as it was for one; and one after the other, as if all of them shared what one had."""

    accounts: int
    messages: int
    octets: int
    fastest: float
    slowest: float
    connections: int
    by_those_here: bool  # from what the accounts that are here had; else from the probed mailbox alone


@dataclass(frozen=True, slots=True)
class Estimate:
    """`mailbox` in seconds, from the login to the last message. `rough`: the sample was small, and says little."""

    mailbox: float
    rough: bool
    domain: ForDomain | None


def estimate(found: Probed, domain: Domain) -> Estimate | None:
    """None where nothing was measured."""
    mailbox, speed, accepted = found.mailbox, found.speed, found.accepted
    if mailbox is None or speed is None or accepted is None:
        return None
    opening = accepted.seconds + mailbox.listing_seconds
    alone = opening + _carrying(mailbox.messages, mailbox.octets, speed, domain.legacy.bandwidth)
    whole = None if found.figures is None else _domain(found.figures, mailbox, speed, opening, domain)
    return Estimate(alone, speed.octets < ROUGH, whole)


def _carrying(messages: int, octets: int, speed: Speed, bandwidth: int | None) -> float:
    """Seconds for the messages themselves. Asked for one by one, each costs a round trip, however short it is."""
    waits = 0.0 if speed.at_once else min(speed.round_trip, 0.95 * speed.seconds / speed.messages)
    an_octet = (speed.seconds - waits * speed.messages) / speed.octets
    seconds = messages * waits + octets * an_octet
    if speed.at_once:
        seconds = max(seconds, messages * speed.seconds / speed.messages if octets else 0.0)
    limit = octets / bandwidth if bandwidth else 0.0
    return max(seconds, messages * WRITING, limit)


def _domain(figures: DomainFigures, mailbox: Mailbox, speed: Speed, opening: float, domain: Domain) -> ForDomain | None:
    left, legacy = figures.left, domain.legacy
    if not left:
        return None
    by_those_here = figures.here > 0 and figures.octets > mailbox.octets
    some, messages, octets = (
        (figures.here, figures.messages, figures.octets) if by_those_here else (1, mailbox.messages, mailbox.octets)
    )
    messages, octets = round(messages * left / some), round(octets * left / some)
    work = left * opening + _carrying(messages, octets, speed, None)
    least = max(
        messages * WRITING,
        octets / legacy.bandwidth if legacy.bandwidth else 0.0,
        left * 60 / legacy.logins_per_minute if legacy.logins_per_minute else 0.0,
    )
    at_once = min(legacy.connections, left)
    return ForDomain(left, messages, octets, max(work / at_once, least), max(work, least), at_once, by_those_here)
