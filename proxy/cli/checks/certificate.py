"""Is the certificate one that clients will take, and are the CA files for legacy servers readable?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from proxy.cli.checks.finding import Finding, unseen
from proxy.config import Config
from proxy.config.places import is_unseen

SOON: Final = 14  # days before its end that a certificate is worth a warning


def certificate_findings(config: Config, now: datetime | None = None) -> Iterator[Finding]:
    """The server's own certificate and key, then the CA files."""
    tls = config.tls
    if tls.certificate is not None and tls.key is not None:
        yield from _own(tls.certificate, tls.key, config.hostname, now or datetime.now(UTC))
    for domain in config.domains.values():
        if domain.legacy.ca is not None:
            yield _authority(domain.legacy.ca)


def _read(path: Path) -> tuple[list[x509.Certificate], str]:
    """The certificates of a PEM file, or none and why."""
    try:
        return x509.load_pem_x509_certificates(path.read_bytes()), ""
    except OSError as error:
        return [], f"cannot be read: {error.strerror}"
    except ValueError:
        return [], "holds no readable certificate in PEM form"


def _own(certificate: Path, key: Path, hostname: str, now: datetime) -> Iterator[Finding]:
    chain, problem = _read(certificate)
    if is_unseen(certificate):
        yield unseen("certificate", certificate)
    elif not chain:
        yield Finding("certificate", "fail", str(certificate), problem, "tls.certificate: the chain as a PEM file")
    else:
        yield _validity(certificate, chain[0], now)
        yield _name(certificate, chain[0], hostname)
        if len(chain) == 1 and chain[0].issuer != chain[0].subject:
            yield Finding(
                "certificate",
                "warn",
                str(certificate),
                "holds one certificate and not those between it and its CA",
                "put the CA's intermediate certificates behind it, or some clients will not trust it",
            )
    yield _key(key, chain[0] if chain else None)


def _validity(path: Path, leaf: x509.Certificate, now: datetime) -> Finding:
    start, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if end < now:
        return Finding("certificate", "fail", str(path), f"expired on {end:%Y-%m-%d}", "renew it")
    if start > now:
        return Finding(
            "certificate", "fail", str(path), f"is valid only from {start:%Y-%m-%d}", "check this machine's clock"
        )
    left = (end - now).days
    if left < SOON:
        return Finding("certificate", "warn", str(path), f"expires on {end:%Y-%m-%d}, in {left} days", "renew it")
    return Finding("certificate", "ok", str(path), f"valid until {end:%Y-%m-%d}")


def _name(path: Path, leaf: x509.Certificate, hostname: str) -> Finding:
    try:
        extension = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        listed = extension.value.get_values_for_type(x509.DNSName)
    except (x509.ExtensionNotFound, ValueError):
        listed = []
    if any(_covers(pattern.lower(), hostname) for pattern in listed):
        return Finding("certificate", "ok", str(path), f"is for {hostname}")
    others = ", ".join(listed[:5]) or "no name at all"
    return Finding(
        "certificate",
        "warn",
        str(path),
        f"is not for {hostname} but for {others}",
        "users must connect to a name that it is for; set hostname to that, or get another certificate",
    )


def _covers(pattern: str, hostname: str) -> bool:
    """RFC 9525 6.3: a wildcard stands for one whole label, the first."""
    if pattern.startswith("*."):
        return hostname.partition(".")[2] == pattern[2:]
    return pattern == hostname


def _key(path: Path, leaf: x509.Certificate | None) -> Finding:
    try:
        mode = path.stat().st_mode
        private = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        if is_unseen(path):
            return unseen("certificate", path)
        return Finding("certificate", "fail", str(path), f"cannot be read: {error.strerror}", "give it to this user")
    except TypeError:
        return Finding("certificate", "fail", str(path), "is encrypted", "store it without a passphrase, mode 0600")
    except ValueError:
        return Finding("certificate", "fail", str(path), "is no private key in PEM form", "set tls.key to the key file")
    if leaf is not None:
        form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if private.public_key().public_bytes(*form) != leaf.public_key().public_bytes(*form):
            return Finding(
                "certificate", "fail", str(path), "is not the key of the certificate", "name a pair that matches"
            )
    if mode & 0o007:
        return Finding("certificate", "warn", str(path), "may be read by everybody on this machine", f"chmod o= {path}")
    return Finding("certificate", "ok", str(path), "the certificate's key")


def _authority(path: Path) -> Finding:
    chain, problem = _read(path)
    if not chain:
        return Finding("certificate", "fail", str(path), problem, "set ca to a readable PEM file")
    return Finding("certificate", "ok", str(path), f"{len(chain)} CA certificates for the legacy server")
