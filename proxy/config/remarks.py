"""What is allowed and yet probably not meant."""

from __future__ import annotations

from collections.abc import Iterator

from proxy.config.encryption import unknown_suites
from proxy.config.endpoints import parse_endpoint
from proxy.config.mistakes import Mistake, key_path
from proxy.config.model import Config, Domain
from proxy.config.names import is_loopback


def remarks(config: Config) -> tuple[Mistake, ...]:
    """All of them, each with what would be better."""
    found = [*_passwords(config), *_lmtp(config), *_auth(config), *_metrics(config)]
    for domain in config.domains.values():
        found += _legacy(domain)
    found += _shared_hosts(config)
    return tuple(found)


def _shared_hosts(config: Config) -> Iterator[Mistake]:
    """Domains that share an old server and disagree about what it is to be asked."""
    for key in ("connections", "logins_per_minute", "bandwidth"):
        first: dict[tuple[str, int], Domain] = {}
        for domain in config.domains.values():
            if key not in domain.legacy.model_fields_set:
                continue
            other = first.setdefault(domain.legacy.address, domain)
            if getattr(other.legacy, key) != getattr(domain.legacy, key):
                place = key_path(["domain", domain.name, "legacy", key])
                yield Mistake(place, f'"{other.name}" has the same old server and says otherwise: the lower counts')


def _passwords(config: Config) -> Iterator[Mistake]:
    tls, listen = config.tls, config.listen
    public = [text for text in (*listen.imap, *listen.pop3, *listen.web, *listen.console) if not _private(text)]
    if not public:
        return
    if tls.plaintext_login == "always":
        yield Mistake(
            "tls.plaintext_login",
            f'"always" lets passwords cross the network unencrypted ({", ".join(public)}): better "loopback"',
        )
    elif tls.certificate is None and (bare := [text for text in public if not parse_endpoint(text).proxied]):
        yield Mistake(
            "tls.certificate",
            f"without one, only clients on this machine can log in through {', '.join(bare)}: add certificate and key",
        )


def _lmtp(config: Config) -> Iterator[Mistake]:
    public = [text for text in config.listen.lmtp if not _private(text)]
    if public:
        yield Mistake(
            "listen.lmtp",
            f"{', '.join(public)} takes mail for every user from everybody who can reach it: "
            "better a Unix socket, or an address of a network that only your mail server is in",
        )


def _metrics(config: Config) -> Iterator[Mistake]:
    public = [text for text in config.listen.metrics if not _private(text)]
    if public:
        yield Mistake(
            "listen.metrics",
            f"{', '.join(public)} shows the figures to everybody who can reach it, without a password: "
            "better an address of this machine or of a network that only Prometheus is in",
        )


def _auth(config: Config) -> Iterator[Mistake]:
    public = [text for text in config.listen.auth if not _private(text)]
    if public:
        yield Mistake(
            "listen.auth",
            f"{', '.join(public)} takes passwords unencrypted: better a Unix socket, or an address of this machine",
        )


def _private(text: str) -> bool:
    endpoint = parse_endpoint(text)
    return endpoint.kind == "unix" or bool(endpoint.address and is_loopback(endpoint.address))


def _legacy(domain: Domain) -> Iterator[Mistake]:
    legacy, place = domain.legacy, key_path(["domain", domain.name, "legacy"])
    if legacy.ciphers is not None and (unknown := unknown_suites(legacy.ciphers)):
        yield Mistake(f"{place}.ciphers", f"the OpenSSL that is used here has no {', '.join(unknown)}")
    if is_loopback(legacy.host):
        return
    if legacy.tls == "none":
        yield Mistake(
            f"{place}.tls",
            f'"none" sends every password to {legacy.host} unencrypted: better "starttls" or "implicit"',
        )
    elif not legacy.verify:
        yield Mistake(
            f"{place}.verify",
            f"false means that whoever answers for {legacy.host} is sent every password: "
            'better ca = "…" with the certificate of its CA, or fingerprint = "sha256:…" with that of its own',
        )
    if legacy.port == 995 and legacy.tls != "implicit":
        yield Mistake(f"{place}.port", '995 is usually spoken to with tls = "implicit"')
    if legacy.port == 110 and legacy.tls == "implicit":
        yield Mistake(f"{place}.port", '110 is usually spoken to with tls = "starttls"; implicit TLS is on 995')
