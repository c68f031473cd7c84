"""TLS as Twisted has it, but for how much goes through OpenSSL at a time.

Twisted encrypts a record of 16 KiB, takes it out of OpenSSL, hands it to the socket, and goes on with the next. Each
of these is a call that lets other threads run; a large body was mostly that. Here all that there is to write goes in
by one call, and comes out by another.
"""

from __future__ import annotations

from typing import Any, Final

from OpenSSL import SSL
from twisted.internet.interfaces import IAddress
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from twisted.python.failure import Failure

_RECORD: Final = 16 * 1024  # octets (RFC 8446 5.1)
_AROUND: Final = 64  # … that one has around it at most


class WholeWrites(BufferingTLSTransport):
    """One connection, by a context that writes no parts (`proxy.daemon.tls.PARTIAL_WRITE`)."""

    transport: Any
    _handshakeDone: bool
    _lostTLSConnection: bool
    _tlsConnection: Any

    def _write(self, bytes: bytes) -> None:  # noqa: A002 - Twisted's name
        untyped: Any = super()
        if not self._handshakeDone or self._lostTLSConnection:
            untyped._write(bytes)
            return
        try:
            self._tlsConnection.send(bytes)
        except SSL.WantReadError:
            untyped._bufferedWrite(bytes)
        except SSL.Error:
            untyped._tlsShutdownFinished(Failure())  # type: ignore[no-untyped-call]
        else:
            whole = len(bytes) + (len(bytes) // _RECORD + 1) * _AROUND
            self.transport.write(self._tlsConnection.bio_read(whole))


class WholeWritesFactory(TLSMemoryBIOFactory):
    """For a listener that speaks TLS from the first byte."""

    protocol = WholeWrites

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """None, where the service takes no more: Twisted's has a connection of TLS before nobody then."""
        inner: Any = self.wrappedFactory.buildProtocol(addr)
        return None if inner is None else self.protocol(self, inner)
