"""One worker's process, as the daemon has it: how it is started and ended, and what is known of it. `proxy.daemon.crew`
has all of them.
"""

from __future__ import annotations

import os
import socket
import sys
from collections import Counter
from contextlib import ExitStack, suppress
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import Factory, ProcessProtocol
from twisted.python.failure import Failure

from proxy.daemon.channel import Channel, Message
from proxy.daemon.standing import Figures
from proxy.daemon.worker import CHANNEL, CONNECTIONS
from proxy.wire.door import Hold


class Employer(Protocol):
    """Who has it."""

    def told(self, worker: Employed, said: str, message: Message) -> None:
        """It says something."""

    def lost(self, worker: Employed, reason: Failure) -> None:
        """Its process has ended."""


class Employed(ProcessProtocol):
    """One worker process. `crew` hears what it says, and of its end."""

    def __init__(self, crew: Employer, number: int) -> None:
        self.number = number
        self.ready: Deferred[None] = Deferred()
        self.ended: Deferred[None] = Deferred()
        self.serving = False
        self.connections = 0
        self.owing = 0  # looks since it answered
        self.open: dict[str, int] = {}  # the same by protocol, as it said last
        self.figures: Figures | None = None  # … and of its process
        self.sessions: Counter[int] = Counter()  # by account
        self.sharing: set[int] = set()  # accounts of whose changes it tells
        self.logins: dict[int, tuple[Deferred[None], Hold]] = {}
        self.told: dict[int, tuple[bool, int, int]] = {}  # of a login, how far it is said to be
        self.acknowledging: dict[int, list[Deferred[None]]] = {}
        self.retiring = False  # it gets no new connections
        self.until = 0.0  # … and ends by then, whoever is connected
        self.late: Any = None  # the delayed call that says so
        self.paused: Deferred[None] | None = None  # fires when it says no more
        self._crew = crew
        self.channel = Channel(self._told, self._deaf)
        self.handing_over: socket.socket | None = None

    @property
    def pid(self) -> int | None:
        """Of its process, while there is one."""
        pid: int | None = None if self.transport is None else self.transport.pid
        return pid

    def start(self, reactor: Any) -> None:
        """Begin the process. Raises OSError, where the system has no descriptors or no memory for it now."""
        with ExitStack() as passing:
            ours, theirs = (passing.enter_context(end) for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM))
            sending, receiving = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            passing.enter_context(receiving)
            failed = passing.enter_context(ExitStack())
            failed.enter_context(sending)
            nothing = os.open(os.devnull, os.O_RDWR)
            passing.callback(os.close, nothing)
            sending.setblocking(False)
            ours.setblocking(False)
            reactor.spawnProcess(
                self,
                sys.executable,
                [sys.executable, "-P", "-m", "proxy.daemon.worker", str(self.number)],
                env=None,
                childFDs={0: nothing, 1: 1, 2: 2, CHANNEL: theirs.fileno(), CONNECTIONS: receiving.fileno()},
            )
            failed.pop_all()
            self.handing_over = sending
            if self.ended.called:  # dead before it was even started
                self._let_go()
                return
            try:
                reactor.adoptStreamConnection(ours.fileno(), socket.AF_UNIX, Factory.forProtocol(lambda: self.channel))
            except OSError:  # no descriptor for its channel: it is of no use
                self.give_up()

    def _let_go(self) -> None:
        if self.handing_over is not None:
            self.handing_over.close()
            self.handing_over = None

    def _told(self, said: str, message: Message) -> None:
        self._crew.told(self, said, message)

    def give_up(self) -> None:
        """It does not answer: end it, whatever it is at."""
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")  # type: ignore[union-attr]

    def _deaf(self) -> None:
        """It says no more: it has ended, or is about to."""
        self.serving = False

    def processEnded(self, reason: Failure) -> None:
        self.serving = False
        self._let_go()
        self._crew.lost(self, reason)
