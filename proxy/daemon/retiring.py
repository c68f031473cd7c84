"""Workers that outlive the daemon that has started them, since another takes over in its process
(`proxy.daemon.succession`): what the one does before, and the other behind it.

They fall silent first, so that nothing is half said while nobody listens. Then they retire: they get no new
connections, go on with the sessions that they have, and end with the last of these, or when they have retired for long.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, Final

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.error import ProcessDone
from twisted.python.failure import Failure

from proxy.daemon.adopted import Adopted, Kept
from proxy.daemon.employed import Employed, Employer
from proxy.wire.tally import DEATHS, Tally

PAUSE_SECONDS: Final = 10.0  # how long a worker may take to fall silent
RETIRING_SECONDS: Final = 24 * 3600.0  # after which the sessions of a retiring worker are told good-bye


class Retiring:
    """What a crew knows of it."""

    def __init__(self, crew: Employer, tally: Tally, reactor: Any, log: Any) -> None:
        self._crew = crew
        self._tally = tally
        self._reactor = reactor
        self._log = log

    # The daemon that was

    async def silence(self, workers: Iterable[Employed]) -> None:
        """Returns when they say nothing more. Who does not fall silent is ended."""
        await gatherResults([Deferred.fromCoroutine(self._silence(worker)) for worker in workers])

    async def _silence(self, worker: Employed) -> None:
        if not worker.channel.connected or not (worker.serving or worker.retiring):  # it has just begun, or ends
            worker.give_up()
            await worker.ended
            return
        worker.paused = Deferred()
        worker.channel.tell("pause")
        try:
            await worker.paused.addTimeout(PAUSE_SECONDS, self._reactor)
        except DeferredTimeout:
            self._log.error("worker does not answer", worker=worker.number)
            worker.give_up()
            await worker.ended

    # The next

    def adopt(self, about: Kept) -> Employed:
        """Have one go on, and retire."""
        worker = Adopted(self._crew, about)
        worker.start(self._reactor)
        now = self._reactor.seconds()
        worker.until = worker.until or now + RETIRING_SECONDS
        worker.late = self._reactor.callLater(max(0.0, worker.until - now), partial(worker.channel.tell, "stop"))
        worker.channel.tell("resume")
        return worker

    def look_at(self, worker: Employed) -> None:
        """End it, if it has no sessions any more."""
        if worker.retiring and worker.connections == 0:
            worker.channel.tell("stop")

    def ended(self, worker: Employed, reason: Failure) -> None:
        """It is gone, and nobody takes its place."""
        if worker.late.active():
            worker.late.cancel()
        if isinstance(reason.value, ProcessDone):
            self._log.info("worker retired", worker=worker.number)
        else:
            self._tally.count(DEATHS)
            self._log.error("worker died", worker=worker.number, reason=reason.getErrorMessage())
