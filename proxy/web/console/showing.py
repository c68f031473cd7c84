"""How the console's pages are shown, and where those of a domain's steps are."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from proxy.config import Domain
from proxy.web.visit import Visit

# In their order, as parts of paths below /console/domain/NAME; "" is the domain's own page.
STEPS: Final = ("", "notice", "dns", "legacy", "verify", "finish")


def when(seconds: int | None) -> str:
    """By the clock of this machine, which is the administrator's."""
    return "" if seconds is None else f"{datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d %H:%M}"


def zone() -> str:
    """Which clock that is."""
    offset = f"{datetime.now().astimezone():%z}"
    return f"UTC{offset[:3]}:{offset[3:]}"


def show(visit: Visit, template: str, *, status: int = 200, **values: Any) -> bytes:
    """A page of the console."""
    return visit.page(template, status=status, when=when, zone=zone(), **values)


def served(visit: Visit, domain: str) -> Domain:
    """Of the configuration. Raises Refused."""
    found = visit.web.config.domains.get(domain)
    if found is None:
        visit.refuse(404, "error.notfound")
    return found


def place(domain: str, step: str = "") -> str:
    """The path of a step's page."""
    return f"/console/domain/{quote(domain)}" + (f"/{step}" if step else "")


def step_page(
    visit: Visit, template: str, domain: str, step: str, *, status: int = 200, back: str = "", **values: Any
) -> bytes:
    """A step's page: a template that extends `console/step.html`. `back` is where it is, if that is not its place."""
    visit.back = back or place(domain, step)
    steps = STEPS if domain in visit.web.config.domains else ()
    return show(visit, template, status=status, domain=domain, step=step, steps=steps, place=place, **values)
