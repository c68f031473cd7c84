"""From paths to the console's pages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from proxy.admin.helping import Helping
from proxy.admin.noticing.dispatch import Dispatch
from proxy.web.console.changing import Changing
from proxy.web.console.comparing import COMPARE, Comparing
from proxy.web.console.dns import Records
from proxy.web.console.entering import Entering
from proxy.web.console.finishing import Finishing
from proxy.web.console.importing import IMPORT, Importing
from proxy.web.console.legacy import OldServer
from proxy.web.console.notice import NoticePages
from proxy.web.console.reading import Reading
from proxy.web.console.reminders import REMIND, Reminders
from proxy.web.console.reports import KeptReports
from proxy.web.console.runbook import show_runbook
from proxy.web.console.seeing import Seeing
from proxy.web.console.sendings import Sendings
from proxy.web.console.settled import Settled
from proxy.web.console.sheets import accounts_sheet
from proxy.web.console.steps import Steps
from proxy.web.console.uploaded import Uploads
from proxy.web.console.verifying import Comparisons
from proxy.web.events import Events
from proxy.web.routes import Handler, Routes
from proxy.web.visit import Web

DOMAIN = "/console/domain/<domain>"
ACCOUNT = "/console/account/<number>"


@dataclass(frozen=True, slots=True)
class _Door:
    """Adds pages for those who are logged in."""

    web: Web
    routes: Routes
    guarded: Callable[[Handler], Handler]

    def get(self, path: str, handler: Handler) -> None:
        self.routes.get(path, self.guarded(handler))

    def post(self, path: str, handler: Handler) -> None:
        self.routes.post(path, self.guarded(handler))


def add_console(web: Web, routes: Routes, events: Events, dispatch: Dispatch) -> None:
    """The pages below `/console`."""
    uploads = Uploads(web.config.state / "uploads", web.reactor)
    entering = Entering(web, lambda session: uploads.left(session.digest))
    helping = Helping(web.config, web.database, web.accounts, web.sealer)
    seeing = Seeing(web, events, helping, dispatch)
    door = _Door(web, routes, entering.guarded)

    routes.get("/console/login", entering.ask)
    routes.post("/console/login", entering.log_in)
    door.post("/console/logout", entering.log_out)

    door.get("/console", seeing.domains)
    door.get(DOMAIN, seeing.domain)
    door.get("/console/accounts", seeing.accounts)
    door.get("/console/accounts.csv", accounts_sheet)
    door.get(ACCOUNT, seeing.account)
    door.get("/console/events", seeing.events)
    door.get("/console/runbook", show_runbook)
    door.get("/console/runbook/<language>", show_runbook)

    _add_sendings_and_changes(door, seeing, helping, dispatch)
    _add_lists(door, seeing, uploads)
    _add_steps(door, seeing)


def _add_sendings_and_changes(door: _Door, seeing: Seeing, helping: Helping, dispatch: Dispatch) -> None:
    sendings = Sendings(door.web, seeing, dispatch)
    reminders, notice = Reminders(sendings), NoticePages(door.web, seeing, sendings)
    changing = Changing(door.web, seeing, helping, {"remind": reminders.ask, "notice": notice.of_list})
    door.post(ACCOUNT, changing.help_one)
    door.post(f"{ACCOUNT}/password", changing.set_password)
    door.post(f"{DOMAIN}/ask", changing.ask_domain)
    door.post(f"{DOMAIN}/pause", changing.pause_domain)
    door.post("/console/accounts/ask", changing.ask_many)
    door.post("/console/accounts/do", changing.help_many)

    door.get(REMIND, reminders.see)
    door.post(f"{REMIND}/ask", reminders.ask)
    door.post(f"{REMIND}/send", reminders.send)
    door.post(f"{REMIND}/stop", reminders.stop)

    door.get(f"{DOMAIN}/notice", notice.see)
    door.post(f"{DOMAIN}/notice", notice.see)
    door.post(f"{DOMAIN}/notice/ask", notice.ask)
    door.post(f"{DOMAIN}/notice/send", notice.send)
    door.post(f"{DOMAIN}/notice/stop", notice.stop)
    door.post(f"{DOMAIN}/notice/files", notice.files)
    door.get(f"{DOMAIN}/notice/sent", notice.sent)


def _add_lists(door: _Door, seeing: Seeing, uploads: Uploads) -> None:
    reading = Reading()
    importing, comparing = Importing(door.web, seeing, uploads, reading), Comparing(door.web, uploads, reading)
    door.get(IMPORT, importing.ask)
    door.routes.post(IMPORT, door.guarded(importing.send), body=reading.read_body)
    door.get(f"{IMPORT}/<token>", importing.look)
    door.post(f"{IMPORT}/<token>", importing.answer)
    door.get("/console/list.csv", importing.export)
    door.get(COMPARE, comparing.ask)
    door.routes.post(COMPARE, door.guarded(comparing.send), body=reading.read_body)


def _add_steps(door: _Door, seeing: Seeing) -> None:
    steps = Steps(seeing)
    records = Records(door.web, steps)
    door.get(f"{DOMAIN}/dns", records.see)
    door.get(f"{DOMAIN}/dns/zone", records.zone)
    door.post(f"{DOMAIN}/dns", records.look)
    door.post(f"{DOMAIN}/dns/stop", records.stop)

    legacy = OldServer(door.web, seeing, steps)
    settled = Settled(door.web, seeing, legacy)
    door.get(f"{DOMAIN}/legacy", legacy.see)
    door.post(f"{DOMAIN}/legacy/discover", legacy.discover)
    door.post(f"{DOMAIN}/legacy/probe", legacy.probe)
    door.post(f"{DOMAIN}/legacy/stop/<what>", legacy.stop)
    door.post(f"{DOMAIN}/legacy/ask", settled.ask)
    door.post(f"{DOMAIN}/legacy/write", settled.write)

    verifying, kept = Comparisons(door.web, seeing, steps), KeptReports(door.web, seeing)
    door.get(f"{DOMAIN}/verify", verifying.domain)
    door.post(f"{DOMAIN}/verify", verifying.begin)
    door.post(f"{DOMAIN}/verify/stop", verifying.stop)
    door.get(f"{ACCOUNT}/verify", verifying.account)
    door.post(f"{ACCOUNT}/verify", verifying.begin_one)
    door.post(f"{ACCOUNT}/verify/stop", verifying.stop_one)
    door.get(f"{DOMAIN}/reports", kept.list)
    door.get(f"{DOMAIN}/reports/<file>", kept.file)

    Finishing(door.web, seeing, steps).add(door.routes, door.guarded)
