"""How a legacy server may be reached: as the configuration says, then in the usual encrypted ways."""

from __future__ import annotations

from dataclasses import replace

from proxy.admin.probing.finding import Way
from proxy.config import Config, Domain
from proxy.config.names import is_loopback
from proxy.legacy.settings import Legacy, TlsMode
from proxy.login.legacy import legacy_settings

_USUAL: dict[str, tuple[tuple[int, TlsMode], ...]] = {
    "pop3": ((995, "implicit"), (110, "starttls")),
    "imap": ((993, "implicit"), (143, "starttls")),
}


def ways(config: Config, domain: Domain) -> list[Way]:
    """In the order in which they are tried. Not encrypted is tried only where the configuration says so; and on this
    machine nothing else than it says, for on the usual ports there is mailferry itself."""
    legacy = domain.legacy
    first = Way(legacy.imap_port if legacy.source == "imap" else legacy.port, legacy.tls)
    if is_loopback(legacy.host) or legacy.host.lower().rstrip(".") == config.hostname:
        return [first]
    return [first, *(way for way in (Way(*usual) for usual in _USUAL[legacy.source]) if way != first)]


def settings(domain: Domain, timeout: float, way: Way | None = None) -> Legacy:
    """How it is spoken to on this way; the POP3 side as the configuration has it where none is said. `timeout`: how
    long an answer is waited for; for what walks the mailbox three times as long."""
    found = replace(
        legacy_settings(domain),
        connect_timeout=min(timeout, 30.0),
        reply_timeout=timeout,
        opening_timeout=timeout * 3,
    )
    return found if way is None else replace(found, port=way.port, tls=way.tls)
