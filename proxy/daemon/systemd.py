"""What systemd is told where it has started the daemon: ready, reloading, stopping, a line of status, signs of life.

One datagram a message to NOTIFY_SOCKET (sd_notify(3)). Nothing here can fail the daemon: without systemd nothing is
said, and a message that cannot be sent now is sent a moment later. The variables are taken out of the environment:
workers are not asked.
"""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from collections.abc import Callable, MutableMapping
from typing import Any, Final

from twisted.internet.task import LoopingCall

STATUS_SECONDS: Final = 10.0
AGAIN_SECONDS: Final = 0.1  # systemd has not read its socket empty
TAKING_OVER: Final = 900  # seconds, as TimeoutStartSec in conf/systemd
UNTOLD: Final = 100  # messages that wait for that


class Systemd:
    """The service manager, as the daemon sees it."""

    def __init__(
        self, reactor: Any, log: Any, environment: MutableMapping[str, str] = os.environ, *, again: bool = False
    ) -> None:
        """`again`: an earlier daemon in this process has said that it is ready, and been `taken_over`."""
        self._again_ready = again
        self._reactor = reactor
        self._log = log
        names = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
        self.environment = {name: environment.pop(name) for name in names if name in environment}  # for the next daemon
        address, usec, pid = (self.environment.get(name, "") for name in names)
        self._address = _address(address)
        asked = self._address is not None and usec.isascii() and usec.isdigit() and pid in {"", str(os.getpid())}
        self.watchdog = int(usec) / 1_000_000 if asked else 0.0  # seconds without a sign of life; 0: it is not watched
        self._untold: deque[bytes] = deque(maxlen=UNTOLD)
        self._again: Any = None
        self._failed = False
        self._ready = self._stopping = False
        self._said = ""
        self._trouble = ""
        self._statuses: LoopingCall | None = None
        self._signs: LoopingCall | None = None

    def waiting(self, status: str, seconds: int) -> None:
        """It begins later, and not for so many seconds more: it is not to be taken for one that hangs."""
        self._tell(f"EXTEND_TIMEOUT_USEC={seconds * 1_000_000}", f"STATUS={status}")

    def ready(self, status: Callable[[], str], lives: Callable[[], bool]) -> None:
        """Clients are served. `status` is a line for people; while `lives` says no, there is no sign of life."""
        if self._address is None or self._stopping:
            return
        self._ready, self._said = True, status()
        self._tell("READY=1", f"STATUS={self._said}")
        self._statuses = self._repeat(STATUS_SECONDS, lambda: self._status(self._trouble + status()))
        if self.watchdog:
            if self._again_ready:
                self._tell(f"WATCHDOG_USEC={self.environment['WATCHDOG_USEC']}")
            self._signs = self._repeat(self.watchdog / 2, lambda: self._sign_of_life(lives()))

    def _repeat(self, seconds: float, call: Callable[[], None]) -> LoopingCall:
        loop = LoopingCall(call)
        loop.clock = self._reactor
        loop.start(seconds)
        return loop

    def _status(self, status: str) -> None:
        if status != self._said:
            self._said = status
            self._tell(f"STATUS={status}")

    def _sign_of_life(self, lives: bool) -> None:
        if lives:
            self._tell("WATCHDOG=1")

    def reloading(self) -> None:
        """What SIGHUP asked for has begun."""
        if self._ready:
            self._tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000}")

    def reloaded(self, trouble: str = "") -> None:
        """… and is done, or in vain: its trouble is then part of the status."""
        self._trouble = f"not reloaded, {trouble}; " if trouble else ""
        if self._ready:
            self._tell("READY=1", *([f"STATUS={self._trouble}{self._said}"] if trouble else []))

    def taken_over(self) -> None:
        """The next daemon is about to begin. It may have to carry databases forward before it gives signs of life."""
        _end(self._statuses)
        _end(self._signs)
        if self.watchdog:
            self._tell(f"WATCHDOG_USEC={TAKING_OVER * 1_000_000}", "WATCHDOG=1")

    def stopping(self) -> None:
        """The end has begun. The signs of life go on until it is there."""
        self._ready, self._stopping = False, True
        self._tell("STOPPING=1", "STATUS=stopping")
        _end(self._statuses)

    def stopped(self) -> None:
        """It is there."""
        _end(self._signs)

    def _tell(self, *assignments: str) -> None:
        if self._address is not None:
            self._untold.append("\n".join(assignments).encode())
            self._send()

    def _send(self) -> None:
        assert self._address is not None
        while self._untold:
            try:
                _say(self._untold[0], self._address)
            except BlockingIOError:
                if self._again is None or not self._again.active():
                    self._again = self._reactor.callLater(AGAIN_SECONDS, self._send)
                return
            except OSError as error:
                if not self._failed:
                    self._log.warning("systemd cannot be told", reason=error.strerror)
                self._failed = True
            self._untold.popleft()


def _say(message: bytes, address: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as notifying:
        notifying.sendto(message, address)


def _end(loop: LoopingCall | None) -> None:
    if loop is not None and loop.running:
        loop.stop()


def _address(name: str) -> str | None:
    """A path, or behind an @ a name that is in no directory (unix(7)); other kinds are for virtual machines."""
    if name.startswith("@"):
        return "\0" + name[1:]
    return name if name.startswith("/") else None
