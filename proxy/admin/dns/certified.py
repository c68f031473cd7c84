"""Is this server's certificate for the names that DNS leads here? A program that comes by TLS refuses it otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cryptography import x509
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import verify_certificate_hostname

from proxy.admin.dns.records import Remark, Wish
from proxy.config import Config


def certified(config: Config, wishes: Iterable[Wish]) -> Iterator[Remark]:
    """A remark where it is not. A certificate that cannot be read here is `mailferry check`'s to tell of."""
    names = [wish.key.name for wish in wishes if wish.key.type == "address" and wish.rule != "as it is"]
    if config.tls.certificate is None:
        return
    try:
        leaf = x509.load_pem_x509_certificates(config.tls.certificate.read_bytes())[0]
    except (OSError, ValueError, IndexError):
        return
    missing = [name for name in names if not _is_for(leaf, name)]
    if missing:
        text = f"the certificate in {config.tls.certificate} is not for {', '.join(missing)}"
        yield Remark(
            "advice", f"{text}: programs that come there by TLS refuse it, so have it made for these names too"
        )


def _is_for(leaf: x509.Certificate, name: str) -> bool:
    try:
        verify_certificate_hostname(leaf, name)
    except (VerificationError, CertificateError):
        return False
    return True
