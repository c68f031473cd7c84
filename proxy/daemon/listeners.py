"""The listeners: from the configuration's endpoint strings to ports that are open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from OpenSSL import SSL, crypto
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.internet.ssl import CertificateOptions, TLSVersion
from twisted.protocols.tls import TLSMemoryBIOFactory

PLAIN = ("imap", "pop3")
WITH_TLS = ("imaps", "pop3s")


class ServerFactory(Protocol):
    """What the POP3 and the IMAP factory have in common."""

    def drain(self) -> Deferred[Any]:
        """Let each session finish its command, then close it."""


class CannotListen(Exception):
    """A port or socket cannot be opened; the text names it and says why."""


def tls_context(certificate: Path, key: Path) -> CertificateOptions:
    """What listeners offer over TLS: 1.2 and up, the chain from the file. Raises ValueError with file and reason."""
    try:
        private = crypto.load_privatekey(crypto.FILETYPE_PEM, key.read_bytes())
    except (OSError, crypto.Error) as error:
        raise ValueError(f"the key {key} cannot be read: {_reason(error)}") from error
    try:
        blocks = certificate.read_bytes().split(b"-----BEGIN CERTIFICATE-----")[1:]
        chain = [
            crypto.load_certificate(crypto.FILETYPE_PEM, b"-----BEGIN CERTIFICATE-----" + block) for block in blocks
        ]
    except (OSError, crypto.Error) as error:
        raise ValueError(f"the certificate {certificate} cannot be read: {_reason(error)}") from error
    if not chain:
        raise ValueError(f"the certificate {certificate} holds no certificate in PEM form")
    options = CertificateOptions(
        privateKey=private,
        certificate=chain[0],
        extraCertChain=chain[1:],
        raiseMinimumTo=TLSVersion.TLSv1_2,
    )
    try:
        context = options.getContext()
        context.check_privatekey()
    except SSL.Error as error:
        raise ValueError(f"the key {key} is not that of the certificate {certificate}") from error
    return options


def _reason(error: Exception) -> str:
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else "it is not in PEM form"


class Listening:
    """The open ports of a daemon."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._ports: list[IListeningPort] = []

    async def open(self, endpoints: Mapping[str, Sequence[str]], factories: Mapping[str, Any], tls: Any) -> list[str]:
        """Open every endpoint of each service; gives back where it listens, for the log. Raises CannotListen."""
        opened = []
        for service, strings in endpoints.items():
            factory: IProtocolFactory = factories[service]
            if service in WITH_TLS:
                factory = TLSMemoryBIOFactory(tls, False, factory, self._reactor)
            for string in strings:
                try:
                    endpoint = serverFromString(self._reactor, string)  # type: ignore[no-untyped-call]
                    port = await endpoint.listen(factory)
                except Exception as error:
                    raise CannotListen(f"cannot listen on {service} {string}: {error}") from error
                self._ports.append(port)
                opened.append(f"{service} {_address(port)}")
        return opened

    def close(self) -> Deferred[Any]:
        """Take no new connections."""
        ports, self._ports = self._ports, []
        return gatherResults([closing for port in ports if isinstance(closing := port.stopListening(), Deferred)])


def _address(port: IListeningPort) -> str:
    address: Any = port.getHost()
    host = getattr(address, "host", None)
    if host is None:
        return str(getattr(address, "name", address))
    return f"[{host}]:{address.port}" if ":" in host else f"{host}:{address.port}"
