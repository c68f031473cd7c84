"""Connections on their way from the daemon, which accepts them, to the worker that serves them.

The descriptor of a connection travels over a socket pair of its own, with the name of the service that the client
came for; the kernel keeps both together. Nothing is read from the connection before.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.main import CONNECTION_DONE
from zope.interface import implementer

AT_ONCE: Final = 64  # connections taken before others in the reactor get their turn
PAUSE: Final = 0.1  # seconds without accepting when there are no descriptors left
QUIET: Final = 60.0  # … and without a word about it, behind the first
_EXHAUSTED: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_LONGEST: Final = 64  # octets of a service's name


class _Reader:
    """What the two ends have in common."""

    def __init__(self, reactor: Any, source: socket.socket) -> None:
        self._reactor = reactor
        self._socket = source

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return type(self).__name__

    def start(self) -> None:
        self._reactor.addReader(self)

    def stop(self) -> None:
        self._reactor.removeReader(self)

    def connectionLost(self, reason: Any) -> None:
        """The reactor gives it up."""


@implementer(IReadDescriptor)
class Acceptor(_Reader):
    """Accepts the connections of one listening socket, in the daemon."""

    def __init__(
        self,
        reactor: Any,
        listening: socket.socket,
        hand_over: Callable[[socket.socket], None],
        report: Callable[..., None],
    ) -> None:
        super().__init__(reactor, listening)
        self._hand_over = hand_over
        self._report = report
        self._resting: Any = None
        self._quiet_until = float("-inf")

    def stop(self) -> None:
        super().stop()
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None

    def doRead(self) -> None:
        for _ in range(AT_ONCE):
            try:
                connection, _ = self._socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._rest(error)
                    return
                continue  # the client was gone before it was taken
            self._hand_over(connection)

    def _rest(self, error: OSError) -> None:
        """The connection stays where it is, and would be offered again at once, and in vain."""
        if (now := self._reactor.seconds()) >= self._quiet_until:
            self._quiet_until = now + QUIET
            self._report("cannot accept connections", reason=error.strerror)
        super().stop()
        self._resting = self._reactor.callLater(PAUSE, self._again)

    def _again(self) -> None:
        self._resting = None
        self.start()


def send(channel: socket.socket, connection: socket.socket, service: str) -> bool:
    """Hand a connection over; False when the other end takes no more. The caller's descriptor is its own to close."""
    try:
        socket.send_fds(channel, [service.encode()], [connection.fileno()])
    except OSError:
        return False
    return True


@implementer(IReadDescriptor)
class Receiver(_Reader):
    """Takes connections in, in a worker."""

    def __init__(
        self, reactor: Any, channel: socket.socket, factories: Callable[[str], Any], lost: Callable[[], None]
    ) -> None:
        """`factories(service)` makes the protocols of a service; `lost` is called for each connection that got no
        further than here."""
        super().__init__(reactor, channel)
        self._factories = factories
        self._lost = lost

    def doRead(self) -> Any:
        for _ in range(AT_ONCE):
            try:
                name, descriptors, _, _ = socket.recv_fds(self._socket, _LONGEST, 1)
            except BlockingIOError:
                return None
            except OSError:
                return CONNECTION_DONE
            if not name:
                return CONNECTION_DONE
            if not descriptors:  # this process has none left: the kernel has closed it (unix(7), MSG_CTRUNC)
                self._lost()
            for descriptor in descriptors:
                self._take(descriptor, name.decode())
        return None

    def _take(self, descriptor: int, service: str) -> None:
        try:
            with socket.socket(fileno=os.dup(descriptor)) as connection:
                connection.setblocking(False)
                family = connection.family
            self._reactor.adoptStreamConnection(descriptor, family, self._factories(service))
        except OSError:  # the client was gone on the way, or there are no descriptors left
            self._lost()
        finally:
            os.close(descriptor)  # the reactor has its own
