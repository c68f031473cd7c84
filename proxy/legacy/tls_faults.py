"""Why there is no TLS with a legacy server, in words: what is wrong, and which line of the configuration mends it.

Where a certificate is the reason, the remedy names the line that pins it, ready to be copied. Whoever copies it
believes what the network has just shown, so it says first what must be made sure of.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from OpenSSL import SSL
from twisted.internet.error import ConnectionClosed

from proxy.legacy.errors import TlsFailed
from proxy.legacy.settings import Legacy
from proxy.legacy.words import readable

_OLD: Final = ("unsupported protocol", "protocol version", "no protocols available", "version too low")
_NOT_TLS: Final = ("wrong version number", "packet length too long", "record layer failure", "http request")
_WEAK: Final = (
    "key too small",  # of the certificate or of Diffie-Hellman: "ee key too small", "dh key too small"
    "md too weak",
    "handshake failure",  # the server's alert when it finds no suite
    "no cipher",
    "unsafe legacy renegotiation",
    "bad signature",
    "no suitable signature algorithm",
)
LOWERED: Final = '`ciphers = "ALL:!aNULL:@SECLEVEL=0"`'


def fingerprint(certificate: x509.Certificate) -> str:
    """The certificate's SHA-256 as the configuration has it: sha256:AB:CD:…"""
    return f"sha256:{certificate.fingerprint(SHA256()).hex(':').upper()}"


def explain(error: BaseException, connection: SSL.Connection | None, legacy: Legacy) -> TlsFailed:
    """Why a handshake failed, and what can be done about it."""
    if isinstance(error, SSL.Error):
        return _from_openssl(error, connection, legacy)
    if isinstance(error, ConnectionClosed):
        return TlsFailed(
            "the server closed the connection during the TLS handshake",
            "check whether `port` and `tls` belong together; "
            f'a server that is too old closes it too: try `tls_minimum = "1.0"` or {LOWERED}',
        )
    return TlsFailed(f"the TLS handshake failed ({type(error).__name__})", "check `port` and `tls`")


def not_pinned(leaf: x509.Certificate | None) -> TlsFailed:
    """The configuration pins another certificate."""
    if leaf is None:
        return TlsFailed("the server showed no certificate", "check `port` and `tls`")
    return TlsFailed(
        f"the server's certificate is not one that `fingerprint` names but {fingerprint(leaf)} ({described(leaf)})",
        f"if the old server was given a new one, set {_pin(leaf)}; if not, somebody else answers in its place",
    )


def not_for_host(leaf: x509.Certificate | None, legacy: Legacy) -> TlsFailed:
    """A certificate of somebody else, or one that names nobody as certificates have had to since 2017."""
    names = ", ".join(names_of(leaf)) if leaf is not None else ""
    reason = f"the certificate is not for {legacy.host}"
    if names:
        return TlsFailed(
            f"{reason} but for {names}", f"set `host` to a name that the certificate is for, or {_sure(leaf)}"
        )
    called = f" (its common name, which does not count, is {common_name(leaf)})" if leaf and common_name(leaf) else ""
    return TlsFailed(f"{reason}: it names no host{called}", _sure(leaf))


def _from_openssl(error: SSL.Error, connection: SSL.Connection | None, legacy: Legacy) -> TlsFailed:
    reasons = error.args[0] if error.args and isinstance(error.args[0], list) else []
    words = "; ".join(str(reason[2]) for reason in reasons) or "no reason given"
    if "certificate verify failed" in words:
        return _untrusted(_leaf(connection))
    if any(sign in words for sign in _OLD):
        return _too_old(words, legacy)
    if any(sign in words for sign in _NOT_TLS):
        other = "starttls" if legacy.tls == "implicit" else "implicit"
        return TlsFailed(f"what the server sends is not TLS ({words})", f'check `port`, or try `tls = "{other}"`')
    if any(sign in words for sign in _WEAK):
        remedy = f"let the server be updated, or accept its weak encryption for this domain alone: {LOWERED}"
        if legacy.lowered:
            remedy = "let the server be updated: this OpenSSL has nothing weaker (no RC4, often no 3DES)"
        return TlsFailed(f"no encryption that both sides accept ({words})", remedy)
    return TlsFailed(f"the TLS handshake failed ({words})", "check `port` and `tls`")


def _too_old(words: str, legacy: Legacy) -> TlsFailed:
    reason = f"the server speaks no TLS of version {legacy.minimum} or later ({words})"
    if legacy.minimum == "1.0":
        return TlsFailed(reason, "let it be updated: SSL 3.0 and what was before it are not spoken here")
    return TlsFailed(reason, 'let it be updated, or accept an old version for this domain alone: `tls_minimum = "1.0"`')


def _untrusted(leaf: x509.Certificate | None) -> TlsFailed:
    """What about the certificate was not to OpenSSL's liking: it does not tell pyOpenSSL, so it is looked for."""
    if leaf is None:
        return TlsFailed("the server's certificate is not trusted", "set `ca` to the file of the CA that signed it")
    now = datetime.now(UTC)
    if leaf.not_valid_after_utc < now:
        day = leaf.not_valid_after_utc.date().isoformat()
        return TlsFailed(f"the server's certificate expired on {day}", f"let it be renewed, or {_sure(leaf)}")
    if leaf.not_valid_before_utc > now:
        day = leaf.not_valid_before_utc.date().isoformat()
        return TlsFailed(
            f"the server's certificate is valid only from {day}", f"check this machine's clock, or {_sure(leaf)}"
        )
    if weakness := _weakness(leaf):
        return TlsFailed(
            f"the server's certificate is too weak or not trusted ({weakness})",
            f"let it be renewed, or accept weak encryption for this domain alone ({LOWERED}), or {_sure(leaf)}",
        )
    if leaf.issuer == leaf.subject:
        return TlsFailed("the server's certificate is signed by itself", _sure(leaf))
    issuer = leaf.issuer.rfc4514_string()[:100]
    return TlsFailed(
        f"the server's certificate is signed by one not trusted here ({issuer})",
        f"set `ca` to the file of the CA that signed it, or {_sure(leaf)}",
    )


def _weakness(leaf: x509.Certificate) -> str:
    """What OpenSSL's security level 2 does not take of it, if anything."""
    key = leaf.public_key()
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < 2048:
        return f"RSA of {key.key_size} bits"
    signed = leaf.signature_hash_algorithm
    return f"signed with {signed.name.upper()}" if signed is not None and signed.name in {"md5", "sha1"} else ""


def _pin(leaf: x509.Certificate) -> str:
    """The line of the configuration that takes this certificate, and no other."""
    return f'`fingerprint = "{fingerprint(leaf)}"`'


def _sure(leaf: x509.Certificate | None) -> str:
    pinning = f": {_pin(leaf)}" if leaf is not None else " with `fingerprint`"
    return f"pin it, once you are sure that it is the old server's own{pinning}"


def _leaf(connection: SSL.Connection | None) -> x509.Certificate | None:
    """The certificate that the server showed, also after a handshake that failed because of it."""
    chain = connection.get_peer_cert_chain() if connection is not None else None
    return chain[0].to_cryptography() if chain else None


def described(leaf: x509.Certificate) -> str:
    """Whose it is and until when, for a person who compares."""
    whose = ", ".join(names_of(leaf)) or common_name(leaf) or "nobody"
    return f"for {whose}, until {leaf.not_valid_after_utc.date().isoformat()}"


def common_name(leaf: x509.Certificate) -> str:
    """What a certificate calls its owner; no host is known by it any more. "" where it says nothing."""
    found = leaf.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return readable(str(found[0].value).encode())[:80] if found else ""


def names_of(leaf: x509.Certificate) -> list[str]:
    """Whom a certificate is for, at most five of them."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    listed = [*names.get_values_for_type(x509.DNSName)]
    listed += [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    return [readable(name.encode())[:80] for name in listed[:5]]
