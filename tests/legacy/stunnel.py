"""TLS in front of a server that has none, as stunnel was put before popa3d: by the standard library's OpenSSL, which is
another one than mailferry's."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

from tests.legacy.certificates import Identity
from tests.legacy.threaded import Relay


class Stunnel(Relay):
    """Implicit TLS, passed on to the plain port `target`. `context` is to be changed before it is used."""

    def __init__(self, target: int, identity: Identity, folder: Path) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*identity.write(folder, "stunnel"))
        super().__init__(target)

    def serve(self, client: socket.socket) -> None:
        with self._held(self.context.wrap_socket(client, server_side=True)) as secure:  # ssl.SSLError is an OSError
            super().serve(secure)
