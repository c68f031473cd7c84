"""Importing a list of accounts: sent, looked at, said yes to. What the command line does (`mailferry accounts import`),
and by the same means: `proxy.admin.importing`.

The list is read and held against the accounts in a thread, one list at a time: a large one takes seconds.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NoReturn
from urllib.parse import quote

from mailstore.people import People
from mailstore.roster import Difference
from proxy.admin import importing, roster
from proxy.admin.importing import Manner, Preview, Unexpected
from proxy.admin.spreadsheet.chinese import in_chinese
from proxy.admin.spreadsheet.values import spelled_quota
from proxy.admin.spreadsheet.writing import as_csv
from proxy.web.console.filters import listing_of
from proxy.web.console.seeing import Seeing, show
from proxy.web.console.uploaded import NotKept, Upload, Uploads, called, discard
from proxy.web.streaming import stream
from proxy.web.uploads import read_upload
from proxy.web.visit import Uploaded, Visit, Web
from proxy.web.words import HTML

IMPORT: Final = "/console/import"
_MISTAKES: Final = 200  # that a page names
_LONGEST: Final = 100  # characters of a field
_MOST_EXPECTED: Final = 10_000_000
_OPTION = re.compile(r"--(charset|sheet|domain)\b")
# What is suggested; any charset that Python knows may be written.
CHARSETS: Final = ("utf-8", "gb18030", "big5", "utf-16")


@dataclass(frozen=True, slots=True)
class Wrong:
    """One mistake, in the visitor's language where it has a translation. `language` is the text's."""

    place: str
    account: str
    text: str
    language: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a list is not taken: `said` in a sentence, and each mistake."""

    said: str
    mistakes: Sequence[Wrong] = ()
    count: int = 0
    understood: Sequence[tuple[str, str]] = ()  # with its language


class Importing:
    """Of one daemon's console."""

    def __init__(self, web: Web, seeing: Seeing, uploads: Uploads) -> None:
        self._web = web
        self._seeing = seeing
        self._uploads = uploads
        self._reading = False

    async def read_body(self, visit: Visit) -> None:
        """Of those who are logged in; nobody else's form is looked at. Raises Refused."""
        if visit.session is None:
            visit.refuse(403, "error.expired")
        await read_upload(visit)

    @asynccontextmanager
    async def _alone(self, visit: Visit) -> AsyncIterator[None]:
        if self._reading:
            visit.refuse(503, "error.busy")
        self._reading = True
        try:
            yield
        finally:
            self._reading = False

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
            fields={name: fields.get(name, "")[:_LONGEST] for name in ("expect", "charset", "sheet", "domain")},
            domains=sorted(self._web.config.domains),
            charsets=CHARSETS,
        )

    async def send(self, visit: Visit) -> bytes:
        """A list has come: what it would do, or what is wrong with it. Raises Refused."""
        assert visit.session is not None
        file = visit.files.get("file")
        if file is None or not (file.name or file.stream.read(1)):
            return self._form(visit, visit.form, problem=Problem(visit.say("console.import.none")))
        manner = self._manner(visit)
        if isinstance(manner, Problem):
            return self._form(visit, visit.form, problem=manner)
        async with self._alone(visit):
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

        found: Preview | Problem = await self._done_or_told(visit, lambda: web.in_thread(look))
        return found

    async def _done_or_told(self, visit: Visit, work: Callable[[], Awaitable[Any]]) -> Any:
        """What the work comes to, or what is wrong with the list."""
        try:
            return await work()
        except roster.BadList as error:
            return _problem(visit, error)
        except Unexpected as error:
            said = visit.say("console.import.unexpected", found=error.found, expected=error.expected)
            return Problem(said, understood=_said(visit, error.understood))

    def _manner(self, visit: Visit) -> Manner | Problem:
        """As the form has it."""
        fields = {name: visit.form.get(name, "").strip() for name in ("expect", "charset", "sheet", "domain")}
        if any(len(value) > _LONGEST for value in fields.values()):
            visit.refuse(400, "error.malformed")
        expect = fields["expect"].replace(",", "")
        if expect and not (expect.isascii() and expect.isdigit() and int(expect) <= _MOST_EXPECTED):
            return Problem(visit.say("console.import.expect.wrong"))
        domain = fields["domain"].lower()
        if domain and domain not in self._web.config.domains:
            visit.refuse(400, "error.malformed")
        return Manner(
            charset=fields["charset"] or None,
            sheet=fields["sheet"] or None,
            domain=domain or None,
            expect=int(expect) if expect else None,
        )

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
            understood=_said(visit, seen.understood),
            changes=[(c.entry, [_difference(visit, d) for d in c.differences]) for c in seen.changed],
            quota=lambda octets: _quota(visit, octets),
            spelled=_spelled,
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
        async with self._alone(visit):
            return await self._apply(visit, upload, upload.seen)

    async def _apply(self, visit: Visit, upload: Upload, seen: Preview) -> bytes:
        web = self._web

        def apply() -> tuple[bool, Preview]:
            return importing.apply(web.config, web.database, web.sealer, upload.path, upload.manner, seen)

        result = await self._done_or_told(visit, lambda: web.in_thread(apply))
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


def _problem(visit: Visit, error: roster.BadList) -> Problem:
    """In the visitor's language."""
    some = [
        Wrong(_in_words(visit, one.place)[0], one.account, *_in_words(visit, one.text))
        for one in error.mistakes[:_MISTAKES]
    ]
    said = visit.say("console.import.mistakes", count=len(error.mistakes))
    return Problem(said, some, len(error.mistakes), _said(visit, error.understood))


def _said(visit: Visit, lines: Sequence[str]) -> list[tuple[str, str]]:
    return [_in_words(visit, line) for line in lines]


def _in_words(visit: Visit, text: str) -> tuple[str, str]:
    """The text and its language: English where there is no translation. Options of the command line are fields here."""
    found = in_chinese(text) if visit.language == "zh" else None
    if found is not None:
        return found, HTML["zh"]
    return _OPTION.sub(lambda option: f"“{visit.say(f'console.import.{option[1]}')}”", text), HTML["en"]


def _difference(visit: Visit, difference: Difference) -> tuple[str, str, str]:
    """Field, before and now; of a password nothing but that there is another."""
    word = visit.say(f"console.import.field.{difference.field}")
    if difference.field == "password":
        return word, "", ""
    return word, _value(visit, difference.field, difference.before), _value(visit, difference.field, difference.now)


def _value(visit: Visit, field: str, value: Any) -> str:
    if field == "quota":
        return _quota(visit, value)
    return (_spelled(value) if field == "aliases" else str(value)) or visit.say("console.import.nothing")


def _quota(visit: Visit, octets: int | None) -> str:
    if octets is None:
        return visit.say("console.import.quota.domain")
    return spelled_quota(octets) if octets else visit.say("console.import.quota.unlimited")


def _spelled(addresses: Sequence[tuple[str, str]]) -> str:
    return ", ".join(sorted(f"{local}@{domain}" for local, domain in addresses))
