"""The reports of a domain that are kept, and their files: `proxy.admin.reports`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from mailstore.queue import Queue
from proxy.admin.reports import Reports
from proxy.web.console.seeing import Seeing
from proxy.web.console.showing import served, step_page
from proxy.web.streaming import stream
from proxy.web.visit import Visit, Web

TYPES: Final = {
    ".txt": "text/plain; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json",
}
_PIECE: Final = 64 * 1024  # characters that are sent together


class KeptReports:
    """Of one daemon's console."""

    def __init__(self, web: Web, seeing: Seeing) -> None:
        self._seeing = seeing
        self._reports = Reports(web.config.state)
        self._queue = Queue(web.database)

    async def list(self, visit: Visit, domain: str) -> bytes:
        """The newest first. Raises Refused."""
        served(visit, domain)
        try:
            found = await visit.web.in_thread(self._reports.of, domain)
        except OSError as error:
            visit.web.log.error("reports cannot be read", reason=error.strerror)  # noqa: TRY400 - a line, no traceback
            visit.refuse(503, "error.failed")
        numbers = {report.account for report in found if report.account is not None}
        names = await visit.web.in_thread(lambda: {account.id: account.name for account in self._queue.of(numbers)})
        return step_page(visit, "console/reports.html", domain, "reports", found=found, names=names)

    async def file(self, visit: Visit, domain: str, file: str) -> bytes:
        """One, to be kept elsewhere. Raises Refused."""
        served(visit, domain)
        path = self._reports.path(domain, file)
        opened = await visit.web.in_thread(_opened, path) if path is not None else None
        if path is None or opened is None:
            visit.refuse(404, "error.notfound")
        request = visit.request
        request.setHeader("Content-Type", TYPES[path.suffix])
        request.setHeader("Content-Disposition", f'attachment; filename="{domain}-{path.name}"')
        self._seeing.note(visit, "report", domain=domain, file=path.name)
        await stream(request, visit.web.in_thread, _pieces(opened))
        return b""


def _opened(path: Path) -> IO[str] | None:
    """None where it has gone meanwhile."""
    try:
        return path.open(encoding="utf-8", newline="")
    except OSError:
        return None


def _pieces(file: IO[str]) -> Iterator[str]:
    with file:
        while piece := file.read(_PIECE):
            yield piece
