"""What clients are shown over TLS: the configured certificate with its chain, TLS 1.2 and up.

The files are read once, as a pair: all workers show the same, whatever becomes of the files meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from zope.interface import implementer

from proxy.config.model import Tls

# Mozilla's intermediate list (5.7) for TLS 1.2; TLS 1.3 has none but good ones. Clients choose among them, as it asks:
# a phone knows best what it is quick at.
_CIPHERS = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    b"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
    b"DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305"
)
_GROUP: Final = Path(__file__).with_name("ffdhe2048.pem")  # for the last three (RFC 7919 A.1)
PARTIAL_WRITE: Final = 0x1  # SSL_MODE_ENABLE_PARTIAL_WRITE of OpenSSL's ssl.h, which pyOpenSSL sets and does not name
_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"

Stamp = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate with its chain, and its key, in PEM."""

    names: tuple[Path, Path]  # for what is said of them
    certificate: bytes
    key: bytes = field(repr=False)
    stamp: Stamp = ()  # of the files before they were read

    def until(self) -> datetime:
        """When the certificate ends. Raises ValueError."""
        return self._chain()[0].not_valid_after_utc

    def check_time(self, now: datetime) -> None:
        """Raises ValueError where the certificate is not valid now."""
        leaf = self._chain()[0]
        if now >= leaf.not_valid_after_utc:
            raise ValueError(f"the certificate {self.names[0]} has ended on {leaf.not_valid_after_utc:%Y-%m-%d}")
        if now < leaf.not_valid_before_utc:
            raise ValueError(f"the certificate {self.names[0]} begins at {leaf.not_valid_before_utc:%Y-%m-%dT%H:%MZ}")

    def context(self) -> SSL.Context:
        """What makes connections with it. Raises ValueError with the file and the reason."""
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # an idle session keeps no buffers
        context.clear_mode(PARTIAL_WRITE)  # see `proxy.daemon.tls_writing`
        context.set_cipher_list(_CIPHERS)
        context.load_tmp_dh(str(_GROUP))
        leaf, *others = self._chain()
        key = self._private_key()
        try:
            context.use_certificate(leaf)
            for each in others:
                context.add_extra_chain_cert(each)
        except SSL.Error as error:
            raise ValueError(f"the certificate {self.names[0]} cannot be used: {_words(error)}") from error
        try:
            context.use_privatekey(key)
            context.check_privatekey()
        except SSL.Error as error:
            raise ValueError(f"the key {self.names[1]} is not that of the certificate {self.names[0]}") from error
        context.set_session_id(b"mailferry")
        return context

    def _private_key(self) -> Any:
        """By `cryptography`: pyOpenSSL makes machine code for it, which systemd's MemoryDenyWriteExecute forbids."""
        try:
            return load_pem_private_key(self.key, None)
        except TypeError as error:
            raise ValueError(f"the key {self.names[1]} has a passphrase") from error
        except (ValueError, UnsupportedAlgorithm) as error:
            raise ValueError(f"the key {self.names[1]} is not in PEM form") from error

    def _chain(self) -> list[x509.Certificate]:
        try:
            chain = x509.load_pem_x509_certificates(self.certificate)
        except ValueError as error:
            raise ValueError(f"the certificate {self.names[0]} is not in PEM form") from error
        if len(chain) < self.certificate.count(_BEGIN):
            raise ValueError(f"the certificate {self.names[0]} breaks off")
        return chain


def _words(error: SSL.Error) -> str:
    reasons = error.args[0] if error.args else ()
    return reasons[0][2] if reasons else "no reason given"


def read_pair(tls: Tls) -> Pair | None:
    """What the configuration says of it, if anything; not yet checked. Raises ValueError."""
    if tls.certificate is None or tls.key is None:
        return None
    stamp = stamp_of(tls)
    read = []
    for what, path in (("certificate", tls.certificate), ("key", tls.key)):
        try:
            read.append(path.read_bytes())
        except OSError as error:
            raise ValueError(f"the {what} {path} cannot be read: {error.strerror}") from error
    return Pair((tls.certificate, tls.key), read[0], read[1], stamp)


def stamp_of(tls: Tls) -> Stamp:
    """What changes when one of the files is written or replaced; of one that is not there, nothing."""
    return tuple(_stamp(path) for path in (tls.certificate, tls.key) if path is not None)


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def server_tls(tls: Tls) -> ServerTls | None:
    """What the configuration says of it, if anything. Raises ValueError with the file and the reason."""
    pair = read_pair(tls)
    return None if pair is None else ServerTls(pair)


@implementer(IOpenSSLServerConnectionCreator)
class ServerTls:
    """Makes the server's side of TLS connections."""

    def __init__(self, pair: Pair) -> None:
        """Raises ValueError with the file and the reason."""
        self.renew(pair)

    def renew(self, pair: Pair) -> None:
        """Show this one from now on; connections that are there keep theirs. Raises ValueError, and changes nothing."""
        self._context, self.pair = pair.context(), pair

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """One connection's TLS."""
        return SSL.Connection(self._context, None)
