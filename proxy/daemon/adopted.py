"""A worker that an earlier daemon in this process has started, and left behind with its sessions when it was reloaded.

The process is the same, so its workers are its children still. Twisted, which was begun anew, knows nothing of them:
their end is told by a descriptor (pidfd_open(2)).
"""

from __future__ import annotations

import os
import signal
import socket
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure
from zope.interface import implementer

from proxy.daemon.employed import Employed, Employer

Kept = Mapping[str, Any]  # what is handed on of a worker: JSON


def kept(worker: Employed) -> Kept:
    """What a later daemon in this process has to know of a worker. Its channel stays open over `execve`."""
    descriptor = -1
    if worker.channel.connected:
        transport: Any = worker.channel.transport
        transport.stopReading()
        descriptor = transport.fileno()
        os.set_inheritable(descriptor, True)
    return {
        "number": worker.number,
        "pid": worker.pid,
        "channel": descriptor,  # -1: it has ended, or is about to
        "connections": worker.connections,
        "open": worker.open,
        "sessions": list(worker.sessions.items()),
        "sharing": sorted(worker.sharing),
        "until": worker.until,
    }


class Adopted(Employed):
    """One of them."""

    def __init__(self, crew: Employer, about: Kept) -> None:
        super().__init__(crew, about["number"])
        self._pid: int = about["pid"]
        self._channel_descriptor: int = about["channel"]
        self.connections = about["connections"]
        self.open = about["open"]
        self.sessions = Counter(dict(about["sessions"]))
        self.sharing = set(about["sharing"])
        self.until = about["until"]
        self.retiring = True
        self.ready.callback(None)

    @property
    def pid(self) -> int:
        return self._pid

    def start(self, reactor: Any) -> None:
        """It has been for long: hear of it again."""
        ended = _Ended(reactor, os.pidfd_open(self._pid), self._has_ended)
        reactor.addReader(ended)
        if self._channel_descriptor == -1:
            return
        factory = Factory.forProtocol(lambda: self.channel)
        reactor.adoptStreamConnection(self._channel_descriptor, socket.AF_UNIX, factory)
        os.close(self._channel_descriptor)  # the reactor has its own

    def give_up(self) -> None:
        os.kill(self._pid, signal.SIGKILL)  # nobody else can have the number: it was not waited for

    def _has_ended(self) -> None:
        _, status = os.waitpid(self._pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if code == 0:
            reason = Failure(ProcessDone(status))  # type: ignore[no-untyped-call]
        else:
            died = ProcessTerminated(max(code, 0) or None, max(-code, 0) or None, status)  # type: ignore[no-untyped-call]
            reason = Failure(died)  # type: ignore[no-untyped-call]
        self.processEnded(reason)


@implementer(IReadDescriptor)
class _Ended:
    """Tells of a process's end."""

    def __init__(self, reactor: Any, descriptor: int, tell: Callable[[], None]) -> None:
        self._reactor = reactor
        self._descriptor = descriptor
        self._tell = tell

    def fileno(self) -> int:
        return self._descriptor

    def logPrefix(self) -> str:
        return type(self).__name__

    def doRead(self) -> None:
        self._reactor.removeReader(self)
        os.close(self._descriptor)
        self._tell()

    def connectionLost(self, reason: Any) -> None:
        """The reactor gives it up."""
