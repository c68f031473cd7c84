"""TLS towards a legacy server: which versions and ciphers, and is it the one that is meant?

OpenSSL follows the certificate to a CA that is trusted. What it is for is compared once the handshake is done, before
anything else is said (`check_identity`): the name or address of the host, by service-identity; or, where the
configuration pins certificates, their fingerprints alone, and then nothing else counts. With `verify = false` the
connection is encrypted and nobody's identity is checked.

Old servers need more than an old version: below TLS 1.2 OpenSSL wants security level 0, and such a server often knows
nothing of secure renegotiation (RFC 5746), which OpenSSL insists on since 3.0. Both are given up with the version,
for the one domain that says so.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final

from cryptography import x509
from OpenSSL import SSL, crypto
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from proxy.config.names import is_address
from proxy.legacy.errors import TlsFailed
from proxy.legacy.settings import Legacy
from proxy.legacy.tls_faults import fingerprint, not_for_host, not_pinned

_VERSIONS: Final = {
    "1.0": SSL.TLS1_VERSION,
    "1.1": SSL.TLS1_1_VERSION,
    "1.2": SSL.TLS1_2_VERSION,
    "1.3": SSL.TLS1_3_VERSION,
}
_USUAL: Final = (  # no export, RC4, 3DES, anonymous or MD5 suites, whatever OpenSSL was built with
    "ECDH+AESGCM:ECDH+CHACHA20:DH+AESGCM:DH+CHACHA20:ECDH+AES256:DH+AES256:ECDH+AES128:DH+AES:RSA+AESGCM:RSA+AES:"
    "!aNULL:!MD5:!DSS"
)
_ALL: Final = "ALL:!aNULL"  # whatever OpenSSL has that proves who the server is
_WITHOUT_RFC_5746: Final = 0x4  # SSL_OP_LEGACY_SERVER_CONNECT


@implementer(IOpenSSLClientConnectionCreator)
class _Creator:
    """Makes connections to one host."""

    def __init__(self, host: str, context: SSL.Context) -> None:
        self._context = context
        self._name = None if is_address(host) else host.encode("idna")  # RFC 6066 3: no address in SNI

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        if self._name is not None:
            connection.set_tlsext_host_name(self._name)
        return connection


def client_options(legacy: Legacy) -> IOpenSSLClientConnectionCreator:
    """What `startTLS` needs for this server. Raises TlsFailed when the CA file cannot be used."""
    ca = legacy.ca if legacy.verify and not legacy.fingerprints else None
    changed = 0
    if ca is not None:
        try:
            changed = ca.stat().st_mtime_ns
        except OSError as error:
            raise _unusable(ca, error.strerror or "cannot be read") from None
    checked = legacy.verify and not legacy.fingerprints
    return _made(legacy.host, checked, ca, legacy.minimum, legacy.lowered, cipher_string(legacy), changed)


@lru_cache(maxsize=64)  # reading the system's certificates takes longer than a handshake
def _made(
    host: str, checked: bool, ca: Path | None, minimum: str, lowered: bool, ciphers: str, _changed: int
) -> IOpenSSLClientConnectionCreator:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(_VERSIONS[minimum])
    context.set_options(SSL.OP_NO_COMPRESSION | (_WITHOUT_RFC_5746 if lowered else 0))
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    if checked:
        context.set_verify(SSL.VERIFY_PEER)
        if ca is None:
            context.set_default_verify_paths()
        else:
            _trust(context, ca)
    context.set_cipher_list(ciphers.encode("ascii"))
    return _Creator(host, context)


def cipher_string(legacy: Legacy) -> str:
    """The suites up to TLS 1.2, and the security level. What the configuration says of the level is left as it is."""
    chosen = legacy.ciphers or (_ALL if legacy.ancient else _USUAL)
    return f"{chosen}:@SECLEVEL=0" if legacy.ancient and "@SECLEVEL" not in chosen else chosen


def _trust(context: SSL.Context, ca: Path) -> None:
    """Trust the certificates of a PEM file, and no others: CAs, or the server's own."""
    try:
        found = x509.load_pem_x509_certificates(ca.read_bytes())
        context.load_verify_locations(str(ca))
    except OSError as error:
        raise _unusable(ca, error.strerror or "cannot be read") from None
    except (SSL.Error, ValueError):
        found = []
    if not found:
        raise _unusable(ca, "holds no readable certificate in PEM form")
    store = context.get_cert_store()
    assert store is not None
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)  # the server's own may be there without its CA


def _unusable(ca: Path, why: str) -> TlsFailed:
    return TlsFailed(f"the CA file {ca} {why}", "set `ca` to a readable PEM file")


def check_identity(connection: SSL.Connection, legacy: Legacy) -> None:
    """Is the server that this handshake was done with the one that is meant? Raises TlsFailed.

    Must be called before anything is sent. That a trusted CA signed its certificate was seen to by OpenSSL.
    """
    shown = connection.get_peer_certificate()
    leaf = None if shown is None else shown.to_cryptography()
    if legacy.fingerprints:
        if leaf is None or fingerprint(leaf) not in legacy.fingerprints:
            raise not_pinned(leaf)
        return
    if not legacy.verify:
        return
    if leaf is None:
        raise not_for_host(leaf, legacy)
    try:
        if is_address(legacy.host):
            verify_certificate_ip_address(leaf, legacy.host)
        else:
            verify_certificate_hostname(leaf, legacy.host)
    except (VerificationError, CertificateError):
        raise not_for_host(leaf, legacy) from None
