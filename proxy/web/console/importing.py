"""Importing a list of accounts: sent, looked at, said yes to. What the command line does (`mailferry accounts import`),
and by the same means: `proxy.admin.importing`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NoReturn
from urllib.parse import quote

from mailstore.people import People
from proxy.admin import importing, roster
from proxy.admin.importing import Manner, Preview
from proxy.admin.spreadsheet.writing import as_csv
from proxy.web.console.filters import listing_of
from proxy.web.console.reading import (
    CHARSETS,
    Problem,
    Reading,
    changes_of,
    done_or_told,
    fields_of,
    manner_of,
    quota,
    said,
    spelled,
)
from proxy.web.console.seeing import Seeing
from proxy.web.console.showing import show
from proxy.web.console.uploaded import NotKept, Upload, Uploads, called, discard
from proxy.web.streaming import stream
from proxy.web.visit import Uploaded, Visit, Web

IMPORT: Final = "/console/import"


class Importing:
    """Of one daemon's console."""

    def __init__(self, web: Web, seeing: Seeing, uploads: Uploads, reading: Reading) -> None:
        self._web = web
        self._seeing = seeing
        self._uploads = uploads
        self._reading = reading

    # Sending a list

    async def ask(self, visit: Visit) -> bytes:
        """The form."""
        return self._form(visit, {"domain": visit.query.get("domain", "")})

    def _form(self, visit: Visit, fields: Mapping[str, str], *, problem: Problem | None = None) -> bytes:
        visit.back = IMPORT
        return show(
            visit,
            "console/import.html",
            status=200 if problem is None else 400,
            problem=problem,
            fields=fields_of(fields),
            domains=sorted(self._web.config.domains),
            charsets=CHARSETS,
        )

    async def send(self, visit: Visit) -> bytes:
        """A list has come: what it would do, or what is wrong with it. Raises Refused."""
        assert visit.session is not None
        file = visit.files.get("file")
        if file is None or not (file.name or file.stream.read(1)):
            return self._form(visit, visit.form, problem=Problem(visit.say("console.import.none")))
        manner = manner_of(visit)
        if isinstance(manner, Problem):
            return self._form(visit, visit.form, problem=manner)
        async with self._reading.alone(visit):
            return await self._take(visit, file, manner)

    async def _take(self, visit: Visit, file: Uploaded, manner: Manner) -> bytes:
        assert visit.session is not None
        try:
            path = await visit.web.in_thread(self._uploads.write, file.stream)
        except NotKept as error:
            self._web.log.error("list not kept", reason=str(error))  # noqa: TRY400 - a line, no traceback
            return self._form(visit, visit.form, problem=Problem(visit.say("console.import.disk")))
        kept = False
        try:
            seen = await self._look(visit, path, manner)
            if isinstance(seen, Problem):
                return self._form(visit, visit.form, problem=seen)
            upload = self._uploads.keep(path, called(file.name), visit.session.digest, manner, seen)
            kept = True
        finally:
            if not kept:
                discard(path)
        return visit.go(f"{IMPORT}/{upload.token}")

    async def _look(self, visit: Visit, path: Any, manner: Manner) -> Preview | Problem:
        web = self._web

        def look() -> Preview:
            return importing.preview(web.config, web.database, web.sealer, path, manner)

        found: Preview | Problem = await done_or_told(visit, lambda: web.in_thread(look))
        return found

    # Looking at it, and saying yes

    def _mine(self, visit: Visit, token: str) -> Upload:
        """Raises Refused for what is not there, and for what is somebody else's."""
        assert visit.session is not None
        upload = self._uploads.find(token, visit.session.digest)
        if upload is None:
            self._gone(visit)
        return upload

    def _gone(self, visit: Visit) -> NoReturn:
        visit.refuse(404, "console.import.gone")

    async def look(self, visit: Visit, token: str) -> bytes:
        """What the list would do. Raises Refused."""
        upload = self._mine(visit, token)
        assert upload.seen is not None
        seen = upload.seen
        return show(
            visit,
            "console/import_preview.html",
            upload=upload,
            seen=seen,
            understood=said(visit, seen.understood),
            changes=changes_of(visit, seen),
            quota=lambda octets: quota(visit, octets),
            spelled=spelled,
        )

    async def answer(self, visit: Visit, token: str) -> bytes:
        """Yes, or no. Raises Refused."""
        upload = self._mine(visit, token)
        if visit.form.get("answer") == "no":
            self._uploads.forget(upload)
            visit.tell("console.import.given_up", name=upload.name)
            return visit.go(IMPORT)
        if visit.form.get("answer") != "yes" or upload.seen is None:
            visit.refuse(400, "error.malformed")
        if visit.form.get("mark") != upload.seen.mark:  # the page of another preview
            visit.tell("console.import.changed", "bad")
            return visit.go(f"{IMPORT}/{upload.token}")
        async with self._reading.alone(visit):
            return await self._apply(visit, upload, upload.seen)

    async def _apply(self, visit: Visit, upload: Upload, seen: Preview) -> bytes:
        web = self._web

        def apply() -> tuple[bool, Preview]:
            return importing.apply(web.config, web.database, web.sealer, upload.path, upload.manner, seen)

        result = await done_or_told(visit, lambda: web.in_thread(apply))
        if isinstance(result, Problem):  # others have taken names meanwhile
            self._uploads.forget(upload)
            return self._form(visit, {}, problem=result)
        done, now = result
        if not done:
            upload.seen = now
            visit.tell("console.import.changed", "bad")
            return visit.go(f"{IMPORT}/{upload.token}")
        self._uploads.forget(upload)
        self._seeing.forget()
        web.log.info(
            "administrator",
            did="import",
            by=visit.session.subject if visit.session is not None else "",
            peer=visit.visitor.address,
            file=upload.name,
            added=now.new_count,
            changed=now.changed_count,
            unchanged=now.same_count,
        )
        visit.tell("console.import.done", added=now.new_count, changed=now.changed_count, same=now.same_count)
        domain = upload.manner.domain
        return visit.go("/console/accounts" + (f"?domain={quote(domain)}" if domain else ""))

    # The way back

    async def export(self, visit: Visit) -> bytes:
        """The accounts as `accounts export` writes them and an import reads them."""
        rows = roster.rows(People(self._web.database), listing_of(visit.query).wanted)
        request = visit.request
        request.setHeader("Content-Type", "text/csv; charset=utf-8")
        name = f"list-{datetime.now():%Y%m%d-%H%M}.csv"
        request.setHeader("Content-Disposition", f'attachment; filename="{name}"')
        by = visit.session.subject if visit.session is not None else ""
        self._web.log.info("list exported", by=by, peer=visit.visitor.address)
        await stream(request, self._web.in_thread, as_csv(rows, mark=True))
        return b""
