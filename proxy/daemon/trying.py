"""A trial of the daemon that would be begun now, by itself: is its configuration right, can its program be imported?"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from proxy.daemon import succession
from proxy.daemon.succession import Nature, Unlike

TRIAL_SECONDS: Final = 60.0
_MOST: Final = 65_536  # octets of what it says
_NOTHING: Final = "it says nothing"


@dataclass(frozen=True, slots=True)
class Tried:
    """How it went."""

    status: int | None  # None: it was ended by a signal
    out: bytes
    said: list[str]  # lines of its standard error

    @property
    def mistakes(self) -> bool:
        """Are there any in the configuration? They are what it says."""
        return self.status == 2

    def nature(self) -> Nature:
        """What the daemon would be. Raises Unlike."""
        if self.status != 0:
            raise Unlike(f"what is installed now does not start: {self.said[-1] if self.said else _NOTHING}")
        return succession.nature_in(self.out)


def try_out(reactor: Any, handed: Mapping[str, Any]) -> Deferred[Tried]:
    """Fires when it has ended, or was ended because it did not."""
    memory = succession.in_memory(handed)
    nothing = os.open(os.devnull, os.O_RDWR)
    kept = {memory: memory, **{each["descriptor"]: each["descriptor"] for each in handed["sockets"]}}
    environment = {**os.environ, succession.VARIABLE: f"trial {memory}"}
    trial = _Trial()
    try:
        command = succession.command()
        reactor.spawnProcess(trial, command[0], command, environment, childFDs={0: nothing, 1: "r", 2: "r", **kept})
    finally:
        os.close(memory)
        os.close(nothing)
    late = reactor.callLater(TRIAL_SECONDS, trial.give_up)

    def over(tried: Tried) -> Tried:
        if late.active():
            late.cancel()
        return tried

    return trial.ended.addCallback(over)


class _Trial(ProcessProtocol):
    """The process."""

    def __init__(self) -> None:
        self.ended: Deferred[Tried] = Deferred()
        self._said = {1: b"", 2: b""}

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        self._said[childFD] = (self._said[childFD] + data)[:_MOST]

    def give_up(self) -> None:
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")  # type: ignore[union-attr]

    def processEnded(self, reason: Failure) -> None:
        status = getattr(reason.value, "exitCode", None)
        self.ended.callback(Tried(status, self._said[1], self._said[2].decode(errors="replace").splitlines()))
