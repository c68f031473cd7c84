"""A probe for other programs: JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from proxy.admin.moments import iso, iso_or_none
from proxy.admin.probing.advice import Change
from proxy.admin.probing.attempts import MOST
from proxy.admin.probing.estimate import Estimate
from proxy.admin.probing.finding import Ability, Mailbox, Maildrop, Probed, Server


def as_json(found: Probed, estimated: Estimate | None, new: Sequence[Change], advice: Sequence[str]) -> dict[str, Any]:
    """See README. Times in seconds, sizes in octets, dates in ISO 8601, UTC; null is what is not known."""
    return {
        "account": found.account,
        "ok": not found.trouble,
        "trouble": found.trouble,
        "host": found.host,
        "source": found.source,
        "port": found.way.port if found.way else None,
        "tls": found.way.tls if found.way else None,
        "dead_ends": [
            {"port": end.way.port, "tls": end.way.tls, "why": end.why, "remedy": end.remedy} for end in found.dead_ends
        ],
        "logins_at_most": MOST,
        "logins": [
            {"user": each.login.user, "form": each.login.form, "answer": each.answer.value, "words": each.words}
            for each in found.attempts
        ],
        "login": found.accepted.login.form if found.accepted else None,
        "server": None if found.server is None else _server(found.server),
        "pop3": None if found.maildrop is None else _maildrop(found.maildrop),
        "pop3_beside_imap": found.uidls_by_pop3 or None,
        "mailbox": None if found.mailbox is None else _mailbox(found.mailbox),
        "round_trip": _rounded(found.round_trip),
        "sample": None if found.speed is None else _sample(found),
        "estimate": None if estimated is None else _estimate(estimated),
        "remarks": list(found.remarks),
        "advice": list(advice),
        "changes": {change.key: change.value for change in new},
        "seconds": _rounded(found.seconds),
    }


def _server(server: Server) -> dict[str, Any]:
    encryption = server.encryption
    shown: dict[str, Any] = {
        "greeting": server.greeting,
        "software": server.software or None,
        "capabilities": list(server.capabilities),
        "tls_version": None if encryption is None else encryption.version,
        "cipher": None if encryption is None else encryption.cipher,
        "certificate": None,
    }
    if encryption is not None and encryption.certificate is not None:
        certificate = asdict(encryption.certificate)
        shown["certificate"] = certificate | {
            "names": list(certificate["names"]),
            "until": iso(certificate["until"].timestamp()),
        }
    return shown


def _maildrop(drop: Maildrop) -> dict[str, Any]:
    return {
        "uidl": _ability(drop.uidl),
        "top": _ability(drop.top),
        "pipelining": _ability(drop.pipelining),
        "last": drop.last,
        "expire": drop.expire,
        "login_delay": drop.login_delay,
        "second_session": drop.lock.value,
        "second_session_words": drop.lock_words,
    }


def _ability(ability: Ability) -> dict[str, Any]:
    return {"announced": ability.announced, "works": ability.works, "words": ability.words}


def _mailbox(mailbox: Mailbox) -> dict[str, Any]:
    return {
        "messages": mailbox.messages,
        "bytes": mailbox.octets,
        "oldest": iso_or_none(mailbox.oldest),
        "newest": iso_or_none(mailbox.newest),
        "dated": mailbox.dated,
        "biggest": None if mailbox.largest is None else asdict(mailbox.largest),
        "folders": [
            {"name": each.name, "messages": each.messages, "bytes": each.octets, "refused": each.refused}
            for each in mailbox.folders
        ],
        "listing_seconds": _rounded(mailbox.listing_seconds),
    }


def _sample(found: Probed) -> dict[str, Any]:
    speed = found.speed
    assert speed is not None
    return {
        "messages": speed.messages,
        "bytes": speed.octets,
        "seconds": _rounded(speed.seconds),
        "bytes_per_second": round(speed.rate),
        "at_once": speed.at_once,
    }


def _estimate(estimated: Estimate) -> dict[str, Any]:
    domain = estimated.domain
    return {
        "mailbox_seconds": _rounded(estimated.mailbox),
        "rough": estimated.rough,
        "domain": None
        if domain is None
        else {
            "accounts": domain.accounts,
            "messages": domain.messages,
            "bytes": domain.octets,
            "seconds_at_once": _rounded(domain.fastest),
            "seconds_one_by_one": _rounded(domain.slowest),
            "connections": domain.connections,
            "by_accounts_here": domain.by_those_here,
        },
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)
