"""Reminders to those who have not logged in yet: what they would be sent, the question whether to, and how it goes.

What `mailferry notify --reminder` does, in a thread of the daemon: `proxy.admin.noticing.dispatch`.
"""

from __future__ import annotations

from typing import Final

from proxy.admin.noticing.planning import Plan
from proxy.web.console.filters import listing_of
from proxy.web.console.sendings import Sendings
from proxy.web.console.showing import show
from proxy.web.console.wishes import LANGUAGES, SINCE, Wish, wish_of
from proxy.web.visit import Visit

REMIND: Final = "/console/remind"


class Reminders:
    """Of one daemon's console."""

    def __init__(self, sendings: Sendings) -> None:
        self._sendings = sendings

    async def ask(self, visit: Visit) -> bytes:
        """Who would be reminded, of what; is it meant? Raises Refused."""
        wish = wish_of(visit, "reminder")
        if wish is None:
            visit.tell("console.none_picked", "bad")
            return visit.go("/console/accounts" + listing_of(visit.form).query())
        return await self._question(visit, wish, await visit.web.in_thread(self._sendings.plan, wish))

    async def _question(self, visit: Visit, wish: Wish, found: Plan, problem: str = "", status: int = 200) -> bytes:
        key = wish.day_problem()
        problem = problem or (visit.say(key) if key else "")
        lacking = self._sendings.lacking(sorted(found.domains) or self._domains(wish))
        mail = None
        if found.first and not lacking:
            mail, wrong = await self._sendings.letter(visit, found.first[0], wish)
            problem = problem or wrong
        visit.back = "/console/accounts" + wish.listing.query()
        return show(
            visit,
            "console/remind_ask.html",
            status=400 if problem and status == 200 else status,
            wish=wish,
            problem=problem,
            missing=lacking,
            mail=mail,
            choices=list(SINCE),
            spoken=list(LANGUAGES),
            **self._sendings.about(found),
        )

    def _domains(self, wish: Wish) -> list[str]:
        """Where nobody is to be reminded: whose settings might be missing."""
        domain = wish.listing.wanted.domain
        return [domain] if domain is not None else []

    async def send(self, visit: Visit) -> bytes:
        """It is meant. Raises Refused."""
        wish = wish_of(visit, "reminder")
        if wish is None:
            visit.refuse(400, "error.malformed")

        async def question(wish: Wish, found: Plan, problem: str, status: int) -> bytes:
            return await self._question(visit, wish, found, problem, status)

        return await self._sendings.send(visit, wish, question, REMIND, "/console/accounts" + wish.listing.query())

    async def see(self, visit: Visit) -> bytes:
        """How far it is, or how it ended."""
        visit.back = REMIND
        dispatch = self._sendings.dispatch
        return show(
            visit,
            "console/remind.html",
            progress=dispatch.of("reminder"),
            busy=dispatch.progress if dispatch.under_way else None,
            rate=visit.web.config.notices.rate,
        )

    async def stop(self, visit: Visit) -> bytes:
        """The rest is not to be sent."""
        self._sendings.stop(visit, "reminder")
        return visit.go(REMIND)
