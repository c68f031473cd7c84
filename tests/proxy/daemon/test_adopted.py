"""A worker whose end is told to a daemon that has not started it."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.python.failure import Failure

from proxy.daemon.adopted import Adopted


class Readers:
    """A reactor that is asked for nothing else."""

    def __init__(self) -> None:
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        self.readers.remove(reader)


class Heard:
    """A crew."""

    def __init__(self) -> None:
        self.reasons: list[Failure] = []

    def told(self, worker: Any, said: str, message: Any) -> None:
        raise AssertionError(said)

    def lost(self, worker: Any, reason: Failure) -> None:
        self.reasons.append(reason)


def ends(code: str, *, give_up: bool = False) -> Any:
    pid = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-S", "-c", code])
    about = {"number": 1, "pid": pid, "channel": -1, "connections": 0, "open": {}, "sessions": [[7, 2]], "sharing": [7]}
    heard, reactor = Heard(), Readers()
    worker = Adopted(heard, about | {"until": 0.0})
    assert (worker.sessions[7], worker.sharing, worker.retiring, worker.serving) == (2, {7}, True, False)
    worker.start(reactor)
    (reader,) = reactor.readers
    if give_up:
        worker.give_up()
    os.waitid(os.P_PIDFD, reader.fileno(), os.WEXITED | os.WNOWAIT)
    reader.doRead()
    assert reactor.readers == []
    (reason,) = heard.reasons
    return reason.value


def test_in_good_order_or_not() -> None:
    assert isinstance(ends("pass"), ProcessDone)
    died = ends("raise SystemExit(3)")
    assert isinstance(died, ProcessTerminated)
    assert (died.exitCode, died.signal) == (3, None)
    killed = ends("import time; time.sleep(60)", give_up=True)
    assert (killed.exitCode, killed.signal) == (None, signal.SIGKILL)
