"""What users set their mail programs to: servers, ports and encryption, as this configuration offers them.

One place for the notice, the portal, autoconfig, the profile for Apple's devices, and DNS's SRV records.

Behind a proxy (endpoints that begin with "haproxy:") the ports are the proxy's, which are taken to be the usual ones;
and where a service has no listener of its own for TLS from the first byte, TLS is taken to end at the proxy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from proxy.config import Config
from proxy.config.endpoints import parse_endpoint

Service = Literal["imap", "pop3", "submission"]
Security = Literal["tls", "starttls", "none"]

# Which listener is told of first: TLS from the first byte where there is one (RFC 8314 3).
_LISTENERS: Final[tuple[tuple[Service, str, Security], ...]] = (
    ("imap", "imaps", "tls"),
    ("imap", "imap", "starttls"),
    ("pop3", "pop3s", "tls"),
    ("pop3", "pop3", "starttls"),
)
USUAL: Final = {"imap": 143, "imaps": 993, "pop3": 110, "pop3s": 995}  # of a listener that does not tell its port


@dataclass(frozen=True, slots=True)
class Server:
    """One way in. The login is the whole address, which is right wherever several domains are served."""

    service: Service
    host: str
    port: int
    security: Security


def offered(config: Config) -> list[Server]:
    """Every way in, the best of each service first."""
    found: list[Server] = []
    for service, listener, security in _LISTENERS:
        for text in getattr(config.listen, listener):
            endpoint = parse_endpoint(text)
            if endpoint.proxied:
                servers = _at_the_proxy(config, service, listener, security)
            elif endpoint.kind == "unix":
                continue  # for neighbours on this machine
            else:
                encrypted: Security = security if config.tls.certificate is not None else "none"
                servers = [Server(service, config.hostname, endpoint.port or USUAL[listener], encrypted)]
            found += [server for server in servers if server not in found]
    if config.submission is not None:
        host, _, port = config.submission.rpartition(":")
        found.append(Server("submission", host, int(port), "tls" if port == "465" else "starttls"))
    return found


def _at_the_proxy(config: Config, service: Service, listener: str, security: Security) -> list[Server]:
    found = []
    if listener == service and not getattr(config.listen, f"{service}s"):
        found.append(Server(service, config.hostname, USUAL[f"{service}s"], "tls"))
    if config.tls.certificate is not None:
        found.append(Server(service, config.hostname, USUAL[listener], security))
    return found


def best(config: Config, service: Service) -> Server | None:
    """What a user is told to set, or None where the service is not offered."""
    return next((server for server in offered(config) if server.service == service), None)
