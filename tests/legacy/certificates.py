"""Certificates for tests: a CA, and what it signs."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from zope.interface import implementer


@dataclass(frozen=True)
class Identity:
    """A key and its certificate, in PEM."""

    key: bytes
    certificate: bytes

    def options(self, newest: int | None = None) -> Any:
        """What a Twisted server needs to be this one, with no version of TLS after `newest`."""
        return _Server(self, newest)

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """The files of certificate and key."""
        certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
        certificate.write_bytes(self.certificate)
        key.write_bytes(self.key)
        return certificate, key


@implementer(IOpenSSLServerConnectionCreator)
class _Server:
    """Makes server connections. Twisted's own CertificateOptions hands pyOpenSSL objects that it warns of."""

    def __init__(self, identity: Identity, newest: int | None) -> None:
        key = serialization.load_pem_private_key(identity.key, None)
        self._context = SSL.Context(SSL.TLS_METHOD)
        if newest is not None:
            self._context.set_max_proto_version(newest)
        self._context.use_certificate(x509.load_pem_x509_certificate(identity.certificate))
        self._context.use_privatekey(cast(ec.EllipticCurvePrivateKey, key))

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        return SSL.Connection(self._context, None)


class Authority:
    """A CA with a key of its own."""

    def __init__(self, name: str = "Test CA") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        self.certificate = _pem(self._sign(self._name, self._key, [], 0, authority=True))

    def issue(self, *names: str, days: int = 10) -> Identity:
        """A server's identity for these names and addresses; negative `days`: expired so long ago."""
        key = ec.generate_private_key(ec.SECP256R1())
        form = serialization.PrivateFormat.PKCS8
        pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        return Identity(pem, _pem(self._sign(_named(names[0]), key, list(names), days)))

    def write(self, folder: Path) -> Path:
        """The file of the CA's own certificate."""
        path = folder / "ca.pem"
        path.write_bytes(self.certificate)
        return path

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        names: list[str],
        days: int,
        *,
        authority: bool = False,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        until = now + timedelta(days=10 if authority else days)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(min(now, until) - timedelta(days=2))
            .not_valid_after(until)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([_entry(n) for n in names]), False)
        return builder.sign(self._key, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _entry(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
