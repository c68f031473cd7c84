"""What was found of an old server, written into the configuration file: the question, and the answer.

The question shows the lines that go and those that come. Its form has the digest of just that change: where the file,
or what was found, has become another meanwhile, nothing is written, and the question is asked anew.
"""

from __future__ import annotations

from pathlib import Path

from proxy.admin.settings_file import Edit
from proxy.admin.settling import Settling
from proxy.config import ConfigErrors
from proxy.web.console.legacy import DISCOVER, PROBE, STEP, Found, OldServer, Tried
from proxy.web.console.seeing import Seeing
from proxy.web.console.showing import place, served, step_page
from proxy.web.visit import Visit, Web


class Settled:
    """Of one daemon's console."""

    def __init__(self, web: Web, seeing: Seeing, server: OldServer) -> None:
        self._seeing = seeing
        self._server = server
        self._file = Path(web.config.origin.source)

    async def ask(self, visit: Visit, domain: str) -> bytes:
        """Is it meant? Raises Refused."""
        what, settling = await self._meant(visit, domain)
        return _nothing(visit, domain) if settling is None else await self._question(visit, domain, what, settling)

    async def write(self, visit: Visit, domain: str) -> bytes:
        """It is. Raises Refused."""
        what, settling = await self._meant(visit, domain)
        if settling is None:
            return _nothing(visit, domain)
        digest = visit.form.get("digest", "")
        try:
            edit = await visit.web.in_thread(self._written, settling, digest)
        except ConfigErrors:
            return await self._question(visit, domain, what, settling, status=409)
        except OSError as error:
            why = error.strerror or type(error).__name__
            return await self._question(visit, domain, what, settling, visit.say("console.settle.failed", why=why), 409)
        if edit.digest != digest and edit.after != edit.before:
            return await self._question(visit, domain, what, settling, visit.say("console.settle.changed"), 409)
        if edit.after == edit.before:
            visit.tell("console.settle.already", file=str(self._file))
        else:
            self._seeing.note(visit, "write configuration", domain=domain, file=str(self._file), lines=edit.lines)
            visit.tell("console.settle.written", file=str(self._file))
        return visit.go(place(domain, STEP))

    def _written(self, settling: Settling, digest: str) -> Edit:
        """The change, made if it is the one that is meant. Raises ConfigErrors, OSError."""
        edit = settling.edit(self._file)
        if edit.digest == digest:
            edit.write()
        return edit

    async def _meant(self, visit: Visit, domain: str) -> tuple[str, Settling | None]:
        """Which task's findings, and what of them may be written: a probe's only where nobody has changed the settings
        with which it was made. Raises Refused."""
        served(visit, domain)
        what = visit.form.get("what", "")
        if what not in {DISCOVER, PROBE}:
            visit.refuse(400, "error.malformed")
        task = self._server.task(what, domain)
        result = task.result if task is not None and not task.under_way else None
        if not isinstance(result, Found | Tried):
            return what, None
        if isinstance(result, Tried):
            ground = await visit.web.in_thread(self._server.ground, domain)
            if ground.filed.trouble or ground.filed.changed(result.config, domain):
                return what, None
        return what, result.settling()

    async def _question(
        self, visit: Visit, domain: str, what: str, settling: Settling, problem: str = "", status: int = 200
    ) -> bytes:
        edit, wrong = None, ""
        try:
            edit = await visit.web.in_thread(settling.edit, self._file)
        except ConfigErrors as error:
            wrong = str(error)
        except OSError as error:
            wrong = f"{self._file}: {error.strerror}"
        if edit is not None and edit.after == edit.before:
            visit.tell("console.settle.already", file=str(self._file))
            return visit.go(place(domain, STEP))
        return step_page(
            visit,
            "console/settle.html",
            domain,
            STEP,
            status=status,
            file=self._file,
            what=what,
            edit=edit,
            wrong=wrong,
            problem=problem,
        )


def _nothing(visit: Visit, domain: str) -> bytes:
    visit.tell("console.settle.nothing", "bad")
    return visit.go(place(domain, STEP))
