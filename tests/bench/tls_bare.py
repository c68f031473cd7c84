"""What the TLS library can do under Twisted, and nothing else: tls_bare.py MIB [CERTIFICATE KEY]

Prints a port. To whoever connects there and says something it sends so many MiB, in pieces as large as mailferry's,
read from a file, over TLS where there is a certificate; then it prints the milliseconds of processor time that a MiB
took, and ends.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Factory, Protocol
from zope.interface import implementer

from proxy.daemon.tls import Pair, ServerTls
from proxy.daemon.tls_writing import WholeWritesFactory
from proxy.wire.outflow import PIECE

MIB = 1024 * 1024
reactor: Any = _reactor


@implementer(IPushProducer)
class Pouring(Protocol):
    """One connection."""

    transport: Any
    begun = 0.0
    blocked = False

    def __init__(self, mib: int) -> None:
        self._mib = self._left = mib
        self._at = 0
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - for as long as the process lasts
        self._file.write(b"0123456789abcdef" * (MIB // 16))
        self._file.flush()

    def connectionMade(self) -> None:
        self.transport.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        self.begun = time.process_time()
        self._pour()

    def pauseProducing(self) -> None:
        self.blocked = True

    def resumeProducing(self) -> None:
        self.blocked = False
        if self.begun:
            self._pour()

    def stopProducing(self) -> None:
        self._left = 0

    def _pour(self) -> None:
        while self._left and not self.blocked:
            self.transport.write(os.pread(self._file.fileno(), PIECE, self._at))
            self._at += PIECE
            if self._at >= MIB:
                self._at, self._left = 0, self._left - 1
        if not self._left and not self.blocked:
            print(1000 * (time.process_time() - self.begun) / self._mib, flush=True)
            self.transport.unregisterProducer()
            self.transport.loseConnection()
            self.begun = 0.0

    def connectionLost(self, reason: object = None) -> None:
        reactor.callLater(0, reactor.stop)


def main(mib: str, *files: str) -> None:
    class Once(Factory):
        noisy = False

        def buildProtocol(self, addr: object) -> Pouring:
            return Pouring(int(mib))

    factory: Any = Once()
    if files:
        certificate, key = map(Path, files)
        tls = ServerTls(Pair((certificate, key), certificate.read_bytes(), key.read_bytes(), ()))
        factory = WholeWritesFactory(tls, False, factory)
    print(reactor.listenTCP(0, factory, interface="127.0.0.1").getHost().port, flush=True)
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
