"""The old server's list of accounts as it is now, held against those that are here: for the end of a move.

What `mailferry accounts compare` does, of one domain. Nothing is changed by it, and the list is not kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from proxy.admin import importing
from proxy.admin.importing import Manner, NobodyOf, Preview
from proxy.web.console.reading import (
    CHARSETS,
    Problem,
    Reading,
    changes_of,
    done_or_told,
    fields_of,
    manner_of,
    said,
)
from proxy.web.console.showing import served, step_page
from proxy.web.console.uploaded import NotKept, Uploads, called, discard
from proxy.web.visit import Uploaded, Visit, Web

COMPARE: Final = "/console/domain/<domain>/compare"


class Comparing:
    """Of one daemon's console."""

    def __init__(self, web: Web, uploads: Uploads, reading: Reading) -> None:
        self._web = web
        self._uploads = uploads
        self._reading = reading

    async def ask(self, visit: Visit, domain: str) -> bytes:
        """The form. Raises Refused."""
        served(visit, domain)
        return self._form(visit, domain, {})

    def _form(self, visit: Visit, domain: str, fields: Mapping[str, str], problem: Problem | None = None) -> bytes:
        return step_page(
            visit,
            "console/compare.html",
            domain,
            "compare",
            status=200 if problem is None else 400,
            problem=problem,
            fields=fields_of(fields),
            charsets=CHARSETS,
        )

    async def send(self, visit: Visit, domain: str) -> bytes:
        """A list has come. Raises Refused."""
        served(visit, domain)
        file = visit.files.get("file")
        if file is None or not (file.name or file.stream.read(1)):
            return self._form(visit, domain, visit.form, Problem(visit.say("console.import.none")))
        manner = manner_of(visit)
        if isinstance(manner, Problem):
            return self._form(visit, domain, visit.form, manner)
        async with self._reading.alone(visit):
            seen = await self._compared(visit, file, replace(manner, domain=domain))
        if isinstance(seen, Problem):
            return self._form(visit, domain, visit.form, seen)
        return step_page(
            visit,
            "console/compared.html",
            domain,
            "compare",
            name=called(file.name),
            seen=seen,
            understood=said(visit, seen.understood),
            changes=changes_of(visit, seen),
        )

    async def _compared(self, visit: Visit, file: Uploaded, manner: Manner) -> Preview | Problem:
        web = self._web
        try:
            path = await web.in_thread(self._uploads.write, file.stream)
        except NotKept as error:
            web.log.error("list not kept", reason=str(error))  # noqa: TRY400 - a line, no traceback
            return Problem(visit.say("console.import.disk"))

        def compare() -> Preview:
            return importing.against(web.config, web.database, web.sealer, path, manner)

        try:
            seen: Preview | Problem = await done_or_told(visit, lambda: web.in_thread(compare))
        except NobodyOf:
            return Problem(visit.say("console.compare.nobody", domain=manner.domain))
        finally:
            discard(path)
        return seen
