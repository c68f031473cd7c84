"""What Prometheus reads (`listen.metrics`): GET /metrics, over plain HTTP; and, for a load balancer, /healthz and
/readyz (`proxy.daemon.readiness`).

All figures are the daemon's: workers report every two seconds what they have counted (`proxy.daemon.worker`), so that
one that dies takes no more with it, and the kernel is asked about their processes. A page is made in a thread; those
who ask while one is being made, or within `PAGE_SECONDS`, get the same. The channel's limits are the web's.
"""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocolFactory
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from mailstore.database import AccountsDatabase
from proxy.config import Config
from proxy.daemon.crew import Crew
from proxy.daemon.exposition import Frozen, exposition
from proxy.daemon.moving import Moving
from proxy.daemon.readiness import PATHS, Answer, Readiness
from proxy.daemon.readiness import TYPE as JSON
from proxy.daemon.serving import Serving
from proxy.daemon.standing import Figures, Gauge, Standing, figures, of_processes
from proxy.daemon.tls import ServerTls
from proxy.lmtp.server import LmtpFactory
from proxy.login.legacy import ERRORS
from proxy.login.outcomes import OUTCOMES
from proxy.migration.shared import Shared
from proxy.web.channel import WebRequest, WebSite
from proxy.wire.arrivals import Arrivals
from proxy.wire.faults import kind, where
from proxy.wire.tally import LEGACY_ERRORS, MOVES, Tally

PAGE_SECONDS: Final = 1.0
CONNECTIONS: Final = 50
TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"
_Resource: Any = Resource


class Metrics:
    """One daemon's. Either it is `serving` itself, or it has a crew."""

    def __init__(
        self,
        config: Config,
        database: AccountsDatabase,
        tally: Tally,
        moving: Moving,
        *,
        serving: Serving | None,
        crew: Crew | None,
        tls: ServerTls | None,
        lmtp: LmtpFactory | None = None,
        readiness: Readiness,
        reactor: Any,
        log: Any,
    ) -> None:
        for domain in config.domains:  # what is there only from its first time on shows no increase
            for outcome in OUTCOMES:
                tally.count(MOVES, domain, outcome, by=0)
        for host in moving.door.hosts:
            for error in ERRORS:
                tally.count(LEGACY_ERRORS, host.label, error, by=0)
        self._tally = tally
        self._moving = moving
        self._serving = serving
        self._crew = crew
        self._lmtp = lmtp
        self.readiness = readiness
        self._wanted = config.worker_count
        self._reactor = reactor
        self._log = log
        self._standing = Standing(config, database, reactor.seconds, lambda: None if tls is None else tls.pair.until())
        self._version = version("mailferry")
        self._page: Shared[bytes] | None = None
        self._made = float("-inf")
        self._site = WebSite(
            _Page(self),
            reactor=reactor,
            dress=_dress,
            too_large=lambda _request: b"",
            arrivals=Arrivals(CONNECTIONS, CONNECTIONS),
        )

    def factory(self, _service: str) -> IProtocolFactory:
        """What makes the listener's connections."""
        return self._site

    async def end(self) -> None:
        """Close every connection, and wait for the page that is being made."""
        self._site.end()
        if self._page is not None:
            await self._page.wait().addErrback(lambda _failure: None)

    def page(self) -> Deferred[bytes]:
        """What there is to be read now."""
        now = self._reactor.seconds()
        page = self._page
        if page is None or (page.finished and not 0 <= now - self._made < PAGE_SECONDS):
            self._made = now
            page = self._page = Shared(
                self._moving.threads.run(self._make, Frozen(self._tally), self._gauges(), self._processes())
            )
        return page.wait()

    def _make(self, frozen: Frozen, gauges: list[Gauge], processes: list[tuple[str, Figures | None]]) -> bytes:
        return exposition(frozen, [*gauges, *of_processes(processes), *self._standing.gauges()])

    def failed(self, failure: Failure) -> None:
        self._log.error("unexpected", error=kind(failure), where=where(failure))

    # How things stand in this process

    def _gauges(self) -> list[Gauge]:
        schedules = [(host.label, host.schedule) for host in self._moving.door.hosts]
        workers = 1 if self._crew is None else sum(worker.serving for worker in self._crew.workers)
        running = len(self._moving.mover.moves.accounts())
        return [
            Gauge("info", "The version that runs.", ("version",), [((self._version,), 1)]),
            Gauge("workers", "Processes that serve clients.", (), [((), workers)]),
            Gauge("workers_wanted", "Processes that should serve clients.", (), [((), self._wanted)]),
            Gauge("sessions", "Connections of clients.", ("protocol",), [((p,), n) for p, n in self._open().items()]),
            Gauge("moves_running", "Moves that are under way.", (), [((), running)]),
            *(
                Gauge(name, text, ("host",), [((label,), getattr(schedule, of)) for label, schedule in schedules])
                for name, text, of in (
                    ("legacy_connections", "Connections to a legacy server.", "in_use"),
                    ("legacy_connections_allowed", "Connections that there may be at the moment.", "allowed"),
                    ("legacy_connections_awaited", "Connections that are waited for.", "waiting"),
                    ("legacy_failures_in_a_row", "Attempts in vain since it last answered.", "failures"),
                )
            ),
        ]

    def _open(self) -> dict[str, int]:
        mail = {} if self._lmtp is None else {"lmtp": len(self._lmtp.connections)}
        if self._crew is None:
            return mail if self._serving is None else self._serving.open | mail
        found = {"imap": 0, "pop3": 0}
        for worker in self._crew.workers:
            for protocol, count in worker.open.items():
                found[protocol] += count
        return found | mail

    def _processes(self) -> list[tuple[str, Figures | None]]:
        workers = () if self._crew is None else self._crew.workers
        scribe = self._moving.scribe.pid
        return [
            ("daemon", figures(os.getpid())),
            ("scribe", None if scribe is None else figures(scribe)),
            *((f"worker {each.number}", each.figures) for each in workers),
        ]


class _Page(_Resource):  # type: ignore[misc]
    """The pages, and refusals of everything else."""

    isLeaf = True

    def __init__(self, metrics: Metrics) -> None:
        super().__init__()
        self._metrics = metrics

    def render(self, request: Any) -> Any:
        if request.path not in {b"/metrics", *PATHS}:
            return _refused(request, 404, b"There is /metrics, /healthz and /readyz, and nothing else.\n")
        if request.method not in {b"GET", b"HEAD"}:
            request.setHeader(b"allow", b"GET, HEAD")
            return _refused(request, 405, b"Only GET.\n")
        gone: list[Failure] = []
        request.notifyFinish().addErrback(gone.append)

        def answer(page: bytes, kind: bytes = TYPE) -> None:
            if not gone:
                request.setHeader(b"content-type", kind)
                request.setHeader(b"content-length", b"%d" % len(page))
                request.write(page)
                request.finish()

        def failed(failure: Failure) -> None:
            self._metrics.failed(failure)
            if not gone:
                request.write(_refused(request, 500, b"It did not work; the log says why.\n"))
                request.finish()

        def answer_health(found: Answer) -> None:
            request.setResponseCode(found[0])
            answer(found[1], JSON)

        if request.path in PATHS:
            self._metrics.readiness.answer(request.path).addCallbacks(answer_health, failed)
        else:
            self._metrics.page().addCallbacks(answer, failed)
        return NOT_DONE_YET


def _refused(request: Any, status: int, text: bytes) -> bytes:
    request.setResponseCode(status)
    request.setHeader(b"content-type", b"text/plain; charset=utf-8")
    return text


def _dress(request: WebRequest) -> None:
    request.setHeader(b"x-content-type-options", b"nosniff")
    request.setHeader(b"cache-control", b"no-store")
