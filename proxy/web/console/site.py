"""From paths to the console's pages."""

from __future__ import annotations

from proxy.admin.helping import Helping
from proxy.web.console.changing import Changing
from proxy.web.console.entering import Entering
from proxy.web.console.runbook import show_runbook
from proxy.web.console.seeing import Seeing
from proxy.web.console.sheets import accounts_sheet
from proxy.web.events import Events
from proxy.web.routes import Routes
from proxy.web.visit import Web


def add_console(web: Web, routes: Routes, events: Events) -> None:
    """The pages below `/console`."""
    entering = Entering(web)
    helping = Helping(web.database, web.accounts, web.sealer)
    seeing = Seeing(web, events, helping)
    changing = Changing(web, seeing, helping)
    guarded = entering.guarded

    routes.get("/console/login", entering.ask)
    routes.post("/console/login", entering.log_in)
    routes.post("/console/logout", guarded(entering.log_out))

    routes.get("/console", guarded(seeing.domains))
    routes.get("/console/domain/<domain>", guarded(seeing.domain))
    routes.get("/console/accounts", guarded(seeing.accounts))
    routes.get("/console/accounts.csv", guarded(accounts_sheet))
    routes.get("/console/account/<number>", guarded(seeing.account))
    routes.get("/console/events", guarded(seeing.events))
    routes.get("/console/runbook", guarded(show_runbook))
    routes.get("/console/runbook/<language>", guarded(show_runbook))

    routes.post("/console/account/<number>", guarded(changing.help_one))
    routes.post("/console/account/<number>/password", guarded(changing.set_password))
    routes.post("/console/domain/<domain>/ask", guarded(changing.ask_domain))
    routes.post("/console/domain/<domain>/pause", guarded(changing.pause_domain))
    routes.post("/console/accounts/ask", guarded(changing.ask_many))
    routes.post("/console/accounts/do", guarded(changing.help_many))
