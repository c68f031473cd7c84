"""The certificate that clients are shown, as anybody who connects sees it; never its key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography import x509


def certificate(file: Path | None) -> list[dict[str, Any]]:
    """The chain, the server's own first. Raises OSError, ValueError."""
    if file is None:
        return []
    return [_one(each) for each in x509.load_pem_x509_certificates(file.read_bytes())]


def _one(found: x509.Certificate) -> dict[str, Any]:
    try:
        extension = found.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = extension.value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        names = []
    return {
        "subject": found.subject.rfc4514_string(),
        "issuer": found.issuer.rfc4514_string(),
        "from": f"{found.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}",
        "until": f"{found.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
        "names": names,
        "key": type(found.public_key()).__name__.lstrip("_"),
    }
