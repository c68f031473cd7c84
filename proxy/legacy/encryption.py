"""How a connection to a legacy server is encrypted, and which certificate it showed: for whoever wants to know."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from OpenSSL import SSL

from proxy.legacy.tls_faults import common_name, fingerprint, names_of
from proxy.legacy.words import readable


@dataclass(frozen=True, slots=True)
class Certificate:
    """A server's own."""

    names: tuple[str, ...]  # hosts that it is for, at most five; what counts (RFC 6125 6.4.4)
    common_name: str  # what does not
    issuer: str
    self_signed: bool
    until: datetime  # UTC
    key: str  # "RSA 2048"
    fingerprint: str  # as the configuration has it


@dataclass(frozen=True, slots=True)
class Encryption:
    """What TLS has settled on. `version` and `cipher` as OpenSSL calls them."""

    version: str
    cipher: str
    bits: int
    certificate: Certificate | None


def encryption_of(connection: SSL.Connection) -> Encryption:
    """Of a connection whose handshake is done."""
    shown = connection.get_peer_certificate()
    return Encryption(
        connection.get_protocol_version_name(),
        connection.get_cipher_name() or "",
        connection.get_cipher_bits() or 0,
        None if shown is None else _certificate(shown.to_cryptography()),
    )


def _certificate(leaf: x509.Certificate) -> Certificate:
    return Certificate(
        tuple(names_of(leaf)),
        common_name(leaf),
        readable(leaf.issuer.rfc4514_string().encode())[:100],
        leaf.issuer == leaf.subject,
        leaf.not_valid_after_utc,
        _key(leaf),
        fingerprint(leaf),
    )


def _key(leaf: x509.Certificate) -> str:
    key = leaf.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    return f"EC {key.curve.name}" if isinstance(key, ec.EllipticCurvePublicKey) else type(key).__name__.lstrip("_")
