"""The process that writes messages (`mailstore.scribe`), as the daemon has it: started, used, and replaced if it dies.

Where there is none, because it died a moment ago or because there is but one core, landings write for themselves.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from mailstore.scribe import FOR_THE_DAEMON, Scribed, hand_over
from mailstore.writing import Writer, Writes

AGAIN_SECONDS: Final = 1.0  # after its death
_CONTROL: Final = 3  # descriptor


class Scribe(ProcessProtocol):
    """`reactor` is Twisted's. All but `writer` in its thread."""

    def __init__(self, reactor: Any, report: Callable[..., Any]) -> None:
        """`report` takes a warning for the log."""
        self._reactor = reactor
        self._report = report
        self._control: socket.socket | None = None
        self._ended: Deferred[None] | None = None  # fires when the process has, while there is one
        self._again: Any = None

    def start(self) -> None:
        """Start it, where there is a core for it."""
        self._again = None
        if len(os.sched_getaffinity(0)) < 2:
            return
        ours, theirs = socket.socketpair()
        nothing = os.open(os.devnull, os.O_RDWR)
        self._control, self._ended = ours, Deferred()
        # Until it has come to ignore them.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, FOR_THE_DAEMON)
        try:
            self._reactor.spawnProcess(
                self,
                sys.executable,
                [sys.executable, "-P", "-m", "mailstore.scribe", str(_CONTROL)],
                env=None,
                childFDs={0: nothing, 1: 1, 2: 2, _CONTROL: theirs.fileno()},
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()
            os.close(nothing)

    @property
    def pid(self) -> int | None:
        """Of its process, while there is one."""
        pid: int | None = None if self.transport is None else self.transport.pid
        return pid

    def writer(self, tmp: Path, token: str, seen: str) -> Writes:
        """For one landing. To be called in any thread. Raises OSError."""
        if self._control is None:
            return Writer(tmp, token, seen)
        return Scribed(self._give, tmp, token, seen)

    def _give(self, landing: socket.socket) -> None:
        control = self._control
        if control is None:
            raise ConnectionError
        hand_over(control, landing)

    def processEnded(self, reason: Failure) -> None:
        ended, self._ended = self._ended, None
        if self._control is not None:
            self._report("the process that writes messages died", reason=reason.getErrorMessage())
            self._control.close()
            self._control = None
            self._again = self._reactor.callLater(AGAIN_SECONDS, self.start)
        if ended is not None:
            ended.callback(None)

    async def stop(self) -> None:
        """When no landing is open any more. Returns when the process has ended."""
        if self._again is not None:
            self._again.cancel()
            self._again = None
        control, self._control = self._control, None
        if control is not None:
            control.close()
        if self._ended is not None:
            await self._ended
