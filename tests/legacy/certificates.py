"""Certificates for tests: a CA, and what it signs."""

from __future__ import annotations

import ipaddress
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from zope.interface import implementer

_MAY_SIGN = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
_Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Identity:
    """A key and its certificate, in PEM."""

    key: bytes
    certificate: bytes

    @property
    def fingerprint(self) -> str:
        """As `openssl x509 -fingerprint -sha256` prints it, behind "sha256:"."""
        return _fingerprint(self.certificate)

    def options(self, newest: int | None = None, ciphers: str = "", dh: bytes = b"") -> Any:
        """What a Twisted server needs to be this one, with no version of TLS after `newest`, only these `ciphers`, and
        Diffie-Hellman in the group of the PEM text `dh`."""
        return _Server(self, newest, ciphers, dh)

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """The files of certificate and key."""
        certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
        certificate.write_bytes(self.certificate)
        key.write_bytes(self.key)
        return certificate, key


@implementer(IOpenSSLServerConnectionCreator)
class _Server:
    """Makes server connections. Twisted's own CertificateOptions hands pyOpenSSL objects that it warns of."""

    def __init__(self, identity: Identity, newest: int | None, ciphers: str, dh: bytes) -> None:
        self.connections: list[SSL.Connection] = []  # all that were ever made
        key = serialization.load_pem_private_key(identity.key, None)
        self._context = SSL.Context(SSL.TLS_METHOD)
        if newest is not None:
            self._context.set_min_proto_version(min(newest, SSL.TLS1_2_VERSION))
            self._context.set_max_proto_version(newest)
        if ciphers:
            self._context.set_cipher_list(ciphers.encode())
        if dh:
            with tempfile.NamedTemporaryFile() as file:
                file.write(dh)
                file.flush()
                self._context.load_tmp_dh(file.name)
        self._context.use_certificate(x509.load_pem_x509_certificate(identity.certificate))
        self._context.use_privatekey(cast(_Key, key))

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        self.connections.append(connection)
        return connection


class Authority:
    """A CA with a key of its own."""

    def __init__(self, name: str = "Test CA") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        self.certificate = _pem(self._sign(self._name, self._key, [], 0, authority=True))

    def issue(self, *names: str, days: int = 10, bits: int = 0, common_name_alone: bool = False) -> Identity:
        """A server's identity for these names and addresses.

        Negative `days`: expired so long ago. `bits`: with an RSA key of that length. `common_name_alone`: as it was
        done once, with a name in the subject and none that counts.
        """
        key = rsa.generate_private_key(65_537, bits) if bits else ec.generate_private_key(ec.SECP256R1())
        counted = [] if common_name_alone else list(names)
        return Identity(_pem_key(key), _pem(self._sign(_named(names[0]), key, counted, days)))

    @classmethod
    def of_its_own(cls, *names: str, days: int = 10) -> Identity:
        """An identity that signed itself."""
        authority = cls(names[0])
        return Identity(
            _pem_key(authority._key), _pem(authority._sign(_named(names[0]), authority._key, list(names), days))
        )

    def write(self, folder: Path) -> Path:
        """The file of the CA's own certificate."""
        path = folder / "ca.pem"
        path.write_bytes(self.certificate)
        return path

    def _sign(
        self,
        subject: x509.Name,
        key: _Key,
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
            # None without these to a strict client (RFC 5280 4.2.1.1 to 4.2.1.3), as Python is since 3.13.
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if authority:
            builder = builder.add_extension(_MAY_SIGN, critical=True)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([_entry(n) for n in names]), False)
        return builder.sign(self._key, hashes.SHA256())


def fingerprint_of(file: Path) -> str:
    """Of a certificate's PEM file, in the same form."""
    return _fingerprint(file.read_bytes())


def _fingerprint(certificate: bytes) -> str:
    found = x509.load_pem_x509_certificate(certificate)
    return "sha256:" + found.fingerprint(hashes.SHA256()).hex(":").upper()


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _entry(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem_key(key: _Key) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
