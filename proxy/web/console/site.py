"""From paths to the console's pages."""

from __future__ import annotations

from proxy.admin.helping import Helping
from proxy.admin.noticing.reminding import Reminding
from proxy.web.console.changing import Changing
from proxy.web.console.entering import Entering
from proxy.web.console.importing import IMPORT, Importing
from proxy.web.console.reminders import REMIND, Reminders
from proxy.web.console.runbook import show_runbook
from proxy.web.console.seeing import Seeing
from proxy.web.console.sheets import accounts_sheet
from proxy.web.console.uploaded import Uploads
from proxy.web.events import Events
from proxy.web.routes import Routes
from proxy.web.visit import Web


def add_console(web: Web, routes: Routes, events: Events, reminding: Reminding) -> None:
    """The pages below `/console`."""
    uploads = Uploads(web.config.state / "uploads", web.reactor)
    entering = Entering(web, lambda session: uploads.left(session.digest))
    helping = Helping(web.config, web.database, web.accounts, web.sealer)
    seeing = Seeing(web, events, helping, reminding)
    reminders = Reminders(web, seeing, reminding)
    changing = Changing(web, seeing, helping, reminders.ask)
    importing = Importing(web, seeing, uploads)
    guarded = entering.guarded

    routes.get("/console/login", entering.ask)
    routes.post("/console/login", entering.log_in)
    routes.post("/console/logout", guarded(entering.log_out))

    routes.get("/console", guarded(seeing.domains))
    routes.get("/console/domain/<domain>", guarded(seeing.domain))
    routes.get("/console/accounts", guarded(seeing.accounts))
    routes.get("/console/accounts.csv", guarded(accounts_sheet))
    routes.get("/console/account/<number>", guarded(seeing.account))
    routes.get("/console/list.csv", guarded(importing.export))
    routes.get("/console/events", guarded(seeing.events))
    routes.get("/console/runbook", guarded(show_runbook))
    routes.get("/console/runbook/<language>", guarded(show_runbook))

    routes.post("/console/account/<number>", guarded(changing.help_one))
    routes.post("/console/account/<number>/password", guarded(changing.set_password))
    routes.post("/console/domain/<domain>/ask", guarded(changing.ask_domain))
    routes.post("/console/domain/<domain>/pause", guarded(changing.pause_domain))
    routes.post("/console/accounts/ask", guarded(changing.ask_many))
    routes.post("/console/accounts/do", guarded(changing.help_many))

    routes.get(IMPORT, guarded(importing.ask))
    routes.post(IMPORT, guarded(importing.send), body=importing.read_body)
    routes.get(f"{IMPORT}/<token>", guarded(importing.look))
    routes.post(f"{IMPORT}/<token>", guarded(importing.answer))

    routes.get(REMIND, guarded(reminders.see))
    routes.post(f"{REMIND}/ask", guarded(reminders.ask))
    routes.post(f"{REMIND}/send", guarded(reminders.send))
    routes.post(f"{REMIND}/stop", guarded(reminders.stop))
