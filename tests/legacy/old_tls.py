"""Real servers as they were set up twenty years ago: TLS 1.0 and nothing else, with a certificate that they made
themselves. Cyrus with OpenSSL, Courier with GnuTLS."""

from __future__ import annotations

from pathlib import Path

from tests.legacy.certificates import Identity
from tests.legacy.courier import Courier
from tests.legacy.cyrus import Cyrus


class OldCyrus(Cyrus):
    """STLS with TLS 1.0 by OpenSSL."""

    def __init__(self, root: Path, identity: Identity) -> None:
        self._identity = identity
        super().__init__(root)

    def encryption(self) -> str:
        certificate, key = self._identity.write(self.root / "etc", "server")
        self.own(certificate, key)
        return (
            "tls_server_cert: /etc/server.pem\ntls_server_key: /etc/server.key\ntls_versions: tls1_0\n"
            "tls_ciphers: ALL:@SECLEVEL=0\n"
        )


class OldCourier(Courier):
    """STLS with TLS 1.0 by GnuTLS."""

    def __init__(self, root: Path, identity: Identity) -> None:
        self._identity = identity
        super().__init__(root)

    def encryption(self) -> dict[str, str]:
        pair = self.root / "etc/server.pem"
        pair.write_bytes(self._identity.key + self._identity.certificate)
        self.own(pair)
        return {
            "POP3_STARTTLS": "YES",
            "COURIERTLS": "/usr/bin/couriertls",
            "TLS_CERTFILE": "/etc/server.pem",
            "TLS_PRIORITY": "NORMAL:-VERS-ALL:+VERS-TLS1.0",
            "TLS_VERIFYPEER": "NONE",
        }
