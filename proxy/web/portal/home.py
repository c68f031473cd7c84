"""The page of who is logged in: how far the move is, live, and when all is here, what to do with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

from mailstore.accounts import Account
from proxy.web.events import Events
from proxy.web.portal.arriving import login_page
from proxy.web.portal.setting import settings_of
from proxy.web.portal.standing import Standing, Standings
from proxy.web.visit import Visit, Web

LOOK: Final = 1.0  # seconds between two looks
ALIVE: Final = 10  # looks after which something is sent although nothing is new, so that no proxy hangs up
WATCHED: Final = 3  # looks after which it is looked whether the visitor is still logged in
SPOKEN: Final = 10  # per cent after which a screen reader is told


class Home:
    """Where everybody begins, and comes back to."""

    def __init__(self, web: Web, events: Events) -> None:
        self._web = web
        self._events = events
        self._standings = Standings(web)

    async def page(self, visit: Visit) -> bytes:
        """`/`: the form to log in, or one's own page."""
        account = await account_of(visit)
        if account is None:
            return login_page(visit)
        standing = await self._standings.of(account)
        return visit.page("portal/home.html", **self._values(account, standing))

    async def log_out(self, visit: Visit) -> bytes:
        """What was begun goes on."""
        if visit.session is not None:
            await visit.log_out()
            visit.tell("portal.logged_out")
        return visit.go("/")

    async def events(self, visit: Visit) -> bytes:
        """The same page's middle, again and again, until nothing changes any more."""
        if await account_of(visit) is None:
            visit.refuse(403, "error.forbidden")
        return await self._events.send(visit, self._news(visit))

    async def _news(self, visit: Visit) -> AsyncIterator[tuple[str, str]]:
        shown: Standing | None = None
        said, looks = "", 0
        while True:
            if looks % WATCHED == 0:
                await visit.find_session()  # who has logged out elsewhere is not told any more
            account = await account_of(visit)
            if account is None:
                break
            standing = await self._standings.of(account)
            if standing != shown or looks % ALIVE == 0:
                shown = standing
                yield "standing", visit.part("portal/standing.html", **self._values(account, standing))
            if (words := in_words(visit, standing)) != said:
                said = words
                yield "said", words
            if standing.over:
                break
            looks += 1
            await self._events.pause(LOOK)
        yield "end", ""

    def _values(self, account: Account, standing: Standing) -> dict[str, Any]:
        return {
            "account": account,
            "standing": standing,
            "settings": settings_of(self._web.config, account.name),
            "contact": self._web.config.domains[account.domain].contact,
        }


def in_words(visit: Visit, standing: Standing) -> str:
    """One sentence for a screen reader, the same until there is something to say."""
    if standing.stage == "moving":
        return visit.say("portal.said.moving", percent=standing.percent // SPOKEN * SPOKEN)
    if standing.stage == "here":
        return visit.say("portal.said.here", count=standing.done)
    return visit.say(f"portal.{standing.stage}")


async def account_of(visit: Visit) -> Account | None:
    """Whose page it is. Who has no account or no domain here any more is logged out."""
    if visit.session is None:
        return None
    local, _, domain = visit.session.subject.rpartition("@")
    web, account = visit.web, None
    if domain in web.config.domains:
        account = await web.ask(web.accounts, web.accounts.find, local, domain)
    if account is None:
        await visit.log_out()
        return None
    return account
