"""What follows from what was found: lines of the configuration that should be others, and what to know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from proxy.admin.probing.attempts import OWN
from proxy.admin.probing.finding import Lock, Maildrop, Probed
from proxy.config import Config, Domain

SOON: Final = timedelta(days=60)  # a certificate that ends within this time may end in the midst of the move


@dataclass(frozen=True, slots=True)
class Change:
    """A key of [domain."…".legacy] that should have another value."""

    key: str
    was: str | int
    value: str | int
    why: str


def changes(domain: Domain, found: Probed) -> list[Change]:
    """With which the mailbox could be looked into, where the configuration has something else. A login that was only
    said to be good is not enough: some servers say so of all, and hang up."""
    legacy, accepted, way = domain.legacy, found.accepted, found.way
    if accepted is None or way is None or found.mailbox is None:
        return []
    new = []
    form = accepted.login.form
    if form not in {legacy.login, OWN}:
        new.append(Change("login", legacy.login, form, f"{accepted.login.user} was let in"))
    if way.tls != legacy.tls:
        new.append(Change("tls", legacy.tls, way.tls, "this way led to the server"))
    key = "imap_port" if legacy.source == "imap" else "port"
    if way.port != getattr(legacy, key) or (new and way.tls != legacy.tls):
        new.append(Change(key, getattr(legacy, key), way.port, "this way led to the server"))
    return new


def to_be_written(config: Config, domain: Domain, new: Sequence[Change]) -> Mapping[tuple[str, ...], Any]:
    """The same as `proxy.admin.settings_file.change` takes it."""
    written = next(name for name, each in config.domain.items() if each is domain)
    return {("domain", written, "legacy", change.key): change.value for change in new}


def advice(domain: Domain, found: Probed) -> list[str]:
    """What nobody but a person should decide."""
    told = [*_encryption(domain, found)]
    if found.mailbox is not None and not found.mailbox.messages:
        told.append("the mailbox is empty, which tells little: take a test account with some hundred messages")
    if found.maildrop is not None:
        told += _maildrop(found.maildrop)
    return told


def _encryption(domain: Domain, found: Probed) -> Iterator[str]:
    legacy, server = domain.legacy, found.server
    if server is None:
        return
    if server.encryption is None:
        offered = {"STLS", "STARTTLS"} & set(server.capabilities)
        more = f'; it offers {min(offered)}: `tls = "starttls"`' if offered else ""
        yield f"passwords and mail cross the network in the clear{more}"
        return
    certificate = server.encryption.certificate
    if certificate is None:
        return
    if not legacy.verify:
        pin = f'`fingerprint = "{certificate.fingerprint}"` in place of `verify = false`'
        yield f"nobody checks that this is the old server: once you are sure that the certificate is its own, set {pin}"
    elif not legacy.fingerprint and certificate.until - datetime.now(UTC) < SOON:
        yield f"the certificate ends on {certificate.until:%Y-%m-%d}: see that the old server is given another in time"


def _maildrop(drop: Maildrop) -> Iterator[str]:
    if drop.lock is Lock.ONE_SESSION:
        yield "who fetches mail there while a mailbox moves is told that it is in use; and a move waits for such a one"
    delay = (drop.login_delay or "").split()[:1]
    if delay and delay[0].isdigit() and int(delay[0]) > 0:
        yield f"an account may log in every {delay[0]} s only: logins here wait for that, or make `refresh` longer"
    if drop.pipelining.works is False:
        yield "messages come one at a time, each behind a round trip: the farther away, the longer it takes"
    if drop.top.works is False:
        yield 'without TOP nobody sees headers before the messages: with `login = "serve"` first screens take longer'
