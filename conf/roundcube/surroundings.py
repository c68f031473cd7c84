"""What Roundcube and its web server need to know of mailferry, from mailferry's own configuration.

Used by `installing`. Nothing here reads or writes a file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from proxy.config import Config
from proxy.config.endpoints import Endpoint, parse_endpoint

_EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - what is listened at, not a wish


class NotPossible(Exception):
    """Roundcube cannot be put in front of this mailferry; the text says why, and what would help."""


@dataclass(frozen=True)
class Imap:
    """Where Roundcube finds mailferry: `uri` as its `imap_host`, `tls` as its `imap_conn_options`, or None."""

    uri: str
    tls: dict[str, object] | None


def imap(config: Config) -> Imap:
    """The way to mailferry that takes passwords from this machine. Raises NotPossible."""
    for endpoint in _tcp(config.listen.imap):
        host = _EVERYWHERE.get(endpoint.address, endpoint.address)
        local = host.startswith("127.") or host in {"::1", "[::1]"}
        if config.tls.plaintext_login == "always" or (config.tls.plaintext_login == "loopback" and local):
            return Imap(f"{host}:{endpoint.port}", None)
    for endpoint in _tcp(config.listen.imaps):
        host = _EVERYWHERE.get(endpoint.address, endpoint.address)
        options = {"verify_peer": True, "verify_peer_name": True, "peer_name": config.hostname}
        return Imap(f"ssl://{host}:{endpoint.port}", {"ssl": options})
    raise NotPossible(
        "mailferry takes no passwords over IMAP from this machine: add to its configuration, under [listen],\n"
        '  imap = ["tcp:143:interface=127.0.0.1"]\n'
        'and, under [tls], plaintext_login = "loopback"'
    )


def web_ports(config: Config) -> set[int]:
    """The ports that mailferry's own pages take."""
    return {endpoint.port for endpoint in _tcp((*config.listen.web, *config.listen.console))}


def smtp(config: Config) -> str | None:
    """Roundcube's `smtp_host`."""
    if config.submission is None:
        return None
    return f"{'ssl' if config.submission.endswith(':465') else 'tls'}://{config.submission}"


def single_domain(config: Config) -> str:
    """The domain of a name without one; "" where several are served."""
    domains = [domain.ascii_name for domain in config.domains.values()]
    return domains[0] if len(domains) == 1 else ""


def settings(config: Config, *, product: str, database: Path, key: str) -> str:
    """mailferry.inc.php: what config.inc.php starts from."""
    found = imap(config)
    values = {
        "imap": found.uri,
        "tls": found.tls,
        "domain": single_domain(config),
        "submission": smtp(config),
        "product": product,
        "database": str(database),
        "key": key,
        "https": config.tls.certificate is not None,
    }
    lines = "".join(f"    '{name}' => {_php(value)},\n" for name, value in values.items())
    return (
        "<?php\n\n"
        "// From mailferry's configuration, by conf/roundcube/install, which writes it anew each time.\n"
        "// The key is kept: Roundcube encrypts with it what it keeps of those who are logged in.\n"
        f"return [\n{lines}];\n"
    )


def certificate(config: Config) -> str:
    """nginx's lines for TLS; "" where mailferry has no certificate."""
    if config.tls.certificate is None:
        return ""
    return (
        f'    ssl_certificate "{config.tls.certificate}";\n'
        f'    ssl_certificate_key "{config.tls.key}";\n'
        "    ssl_protocols TLSv1.2 TLSv1.3;\n"
        "    add_header Strict-Transport-Security max-age=31536000;\n"
    )


def _tcp(endpoints: Iterable[str]) -> list[Endpoint]:
    return [found for text in endpoints if (found := parse_endpoint(text)).kind.startswith("tcp")]


def _php(value: object) -> str:
    """A value as PHP writes it."""
    if isinstance(value, dict):
        return "[" + ", ".join(f"{_php(name)} => {_php(each)}" for name, each in value.items()) + "]"
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return json.dumps(value)  # null, true, false and numbers are the same in both
