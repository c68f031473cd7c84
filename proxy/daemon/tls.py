"""What clients are shown over TLS: the configured certificate with its chain, TLS 1.2 and up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from zope.interface import implementer

from proxy.config.model import Tls

# Mozilla's intermediate list for TLS 1.2; TLS 1.3 has none but good ones.
_CIPHERS = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    b"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
    b"DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305"
)


def server_tls(tls: Tls) -> ServerTls | None:
    """What the configuration says of it, if anything. Raises ValueError with the file and the reason."""
    return ServerTls(tls.certificate, tls.key) if tls.certificate and tls.key else None


@implementer(IOpenSSLServerConnectionCreator)
class ServerTls:
    """Makes the server's side of TLS connections."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Read both files. Raises ValueError with the file and the reason."""
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE)
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # an idle session keeps no buffers
        context.set_cipher_list(_CIPHERS)
        for what, path, use in (
            ("certificate", certificate, context.use_certificate_chain_file),
            ("key", key, context.use_privatekey_file),
        ):
            try:
                path.read_bytes()
                use(str(path))
            except OSError as error:
                raise ValueError(f"the {what} {path} cannot be read: {error.strerror}") from error
            except SSL.Error as error:
                raise ValueError(f"the {what} {path} is not in PEM form, or not the other file's") from error
        try:
            context.check_privatekey()
        except SSL.Error as error:
            raise ValueError(f"the key {key} is not that of the certificate {certificate}") from error
        context.set_session_id(b"mailferry")
        self._context = context

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """One connection's TLS."""
        return SSL.Connection(self._context, None)
