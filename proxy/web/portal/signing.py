"""Signing what a device installs, with the key that the server has for TLS (PKCS #7, RFC 2315; CMS, RFC 5652)."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs7 import PKCS7Options, PKCS7SignatureBuilder
from cryptography.x509 import Certificate, load_pem_x509_certificates


class Signer:
    """Has read certificate and key once."""

    def __init__(self, certificates: list[Certificate], key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> None:
        """The server's own certificate is the first."""
        self._own, *self._chain = certificates
        self._key = key

    def sign(self, data: bytes) -> bytes:
        """The data with its signature around it, in DER form, with the certificates behind the server's own."""
        builder = PKCS7SignatureBuilder().set_data(data).add_signer(self._own, self._key, SHA256())
        for certificate in self._chain:
            builder = builder.add_certificate(certificate)
        return builder.sign(Encoding.DER, [PKCS7Options.Binary])


def signer(certificate: bytes, key: bytes) -> Signer | None:
    """Of both in PEM form; None for a key of another kind, which devices cannot verify."""
    loaded = load_pem_private_key(key, None)
    if not isinstance(loaded, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey)):
        return None
    return Signer(load_pem_x509_certificates(certificate), loaded)
