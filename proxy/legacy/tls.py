"""TLS towards a legacy server: who is trusted, and what went wrong in words.

Certificate and host name are checked by Twisted's `optionsForClientTLS`, which asks service-identity; an
address as host is checked against the certificate's IP entries. With `verify = false` the connection is
encrypted and nobody's identity is checked.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptography import x509
from OpenSSL import SSL, crypto
from service_identity import VerificationError
from twisted.internet import ssl
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.error import ConnectionClosed
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from proxy.legacy.errors import TlsFailed
from proxy.legacy.settings import Legacy

_VERSIONS = {
    "1.0": ssl.TLSVersion.TLSv1_0,
    "1.1": ssl.TLSVersion.TLSv1_1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}
_PEM_END = b"-----END CERTIFICATE-----"


@implementer(IOpenSSLClientConnectionCreator)
class _Unverified:
    """Makes client connections that take whatever certificate they are shown."""

    def __init__(self, host: str, extra: dict[str, Any]) -> None:
        self._context = ssl.CertificateOptions(verify=False, **extra).getContext()
        self._name = None if isIPAddress(host) or isIPv6Address(host) else host.encode("idna")

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        if self._name is not None:
            connection.set_tlsext_host_name(self._name)
        return connection


def client_options(legacy: Legacy) -> IOpenSSLClientConnectionCreator:
    """What `startTLS` needs for this server. Raises TlsFailed when the CA file cannot be used."""
    changed = 0
    if legacy.verify and legacy.ca is not None:
        try:
            changed = legacy.ca.stat().st_mtime_ns
        except OSError as error:
            raise _unusable(legacy.ca, error.strerror or "cannot be read") from None
    return _made(legacy.host, legacy.verify, legacy.ca, legacy.minimum, changed)


@lru_cache(maxsize=64)  # reading the system's certificates takes longer than a handshake
def _made(host: str, verify: bool, ca: Path | None, minimum: str, _changed: int) -> IOpenSSLClientConnectionCreator:
    # "insecurely" is Twisted's word for a minimum below its default; above the default it is as good as raising.
    extra = {"insecurelyLowerMinimumTo": _VERSIONS[minimum]}
    if not verify:
        return _Unverified(host, extra)
    root = None
    if ca is not None:
        root = ssl.trustRootFromCertificates(_certificates(ca))  # type: ignore[no-untyped-call]
    return ssl.optionsForClientTLS(host, trustRoot=root, extraCertificateOptions=extra)


def _certificates(ca: Path) -> list[ssl.Certificate]:
    """All certificates of a PEM file."""
    try:
        blocks = [block + _PEM_END for block in ca.read_bytes().split(_PEM_END)[:-1]]
        found = [ssl.Certificate.loadPEM(block) for block in blocks]
    except OSError as error:
        raise _unusable(ca, error.strerror or "cannot be read") from None
    except (crypto.Error, ValueError):
        found = []
    if not found:
        raise _unusable(ca, "holds no readable certificate in PEM form")
    return found


def _unusable(ca: Path, why: str) -> TlsFailed:
    return TlsFailed(f"the CA file {ca} {why}", "set `ca` to a readable PEM file")


def explain(error: BaseException, connection: SSL.Connection | None, legacy: Legacy) -> TlsFailed:
    """Why a handshake failed, and what can be done about it."""
    leaf = _leaf(connection)
    if isinstance(error, VerificationError):
        named = ", ".join(_names(leaf)) if leaf is not None else ""
        return TlsFailed(
            f"the certificate is not for {legacy.host}" + (f" but for {named}" if named else ""),
            "set `host` to a name that the certificate is for",
        )
    if isinstance(error, SSL.Error):
        return _from_openssl(error, leaf, legacy)
    if isinstance(error, ConnectionClosed):
        return TlsFailed(
            "the server closed the connection during the TLS handshake",
            "check whether `port` and `tls` belong together",
        )
    return TlsFailed(f"the TLS handshake failed ({type(error).__name__})", "check `port` and `tls`")


_OLD = ("unsupported protocol", "protocol version", "no protocols available", "version too low")
_NOT_TLS = ("wrong version number", "packet length too long", "record layer failure", "http request")
_WEAK = ("key too small", "md too weak", "handshake failure", "no cipher", "unsafe legacy renegotiation")


def _from_openssl(error: SSL.Error, leaf: x509.Certificate | None, legacy: Legacy) -> TlsFailed:
    reasons = error.args[0] if error.args and isinstance(error.args[0], list) else []
    words = "; ".join(str(reason[2]) for reason in reasons) or "no reason given"
    if "certificate verify failed" in words:
        return _untrusted(leaf)
    if any(sign in words for sign in _OLD):
        return TlsFailed(
            f"the server speaks no TLS of version {legacy.minimum} or later ({words})",
            "let it be updated, or allow an older version",
        )
    if any(sign in words for sign in _NOT_TLS):
        other = "starttls" if legacy.tls == "implicit" else "implicit"
        return TlsFailed(f"what the server sends is not TLS ({words})", f'check `port`, or try `tls = "{other}"`')
    if any(sign in words for sign in _WEAK):
        return TlsFailed(f"no encryption that both sides accept ({words})", "let the server be updated")
    return TlsFailed(f"the TLS handshake failed ({words})", "check `port` and `tls`")


def _untrusted(leaf: x509.Certificate | None) -> TlsFailed:
    """What about the certificate was not to OpenSSL's liking."""
    remedy = "set `ca` to the file of the CA that signed it, or `verify = false`"
    if leaf is None:
        return TlsFailed("the server's certificate is not trusted", remedy)
    now = datetime.now(UTC)
    if leaf.not_valid_after_utc < now:
        day = leaf.not_valid_after_utc.date().isoformat()
        return TlsFailed(f"the server's certificate expired on {day}", "let it be renewed, or `verify = false`")
    if leaf.not_valid_before_utc > now:
        day = leaf.not_valid_before_utc.date().isoformat()
        return TlsFailed(f"the server's certificate is valid only from {day}", "check this machine's clock")
    if leaf.issuer == leaf.subject:
        return TlsFailed("the server's certificate is signed by itself", "set `ca` to it, or `verify = false`")
    issuer = leaf.issuer.rfc4514_string()[:100]
    return TlsFailed(f"the server's certificate is signed by one not trusted here ({issuer})", remedy)


def _leaf(connection: SSL.Connection | None) -> x509.Certificate | None:
    """The certificate that the server showed, also after a handshake that failed because of it."""
    chain = connection.get_peer_cert_chain() if connection is not None else None
    return chain[0].to_cryptography() if chain else None


def _names(leaf: x509.Certificate) -> list[str]:
    """Whom a certificate is for, at most five of them."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    listed = [*names.get_values_for_type(x509.DNSName)]
    listed += [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    return listed[:5]
