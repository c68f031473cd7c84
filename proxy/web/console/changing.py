"""What an administrator does in the console. Each thing is logged with the administrator's name and address.

What is for one account is done at once and can be undone; what is for many, or for a domain, is asked about first, on
a page of its own. The list of those that were chosen travels in that page's form: as numbers, or as the filter that
finds them, which then counts as it is when the answer comes.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from twisted.internet.defer import Deferred

from mailstore.accounts import Account
from mailstore.overview import Overview
from mailstore.queue import Queue
from proxy.admin.helping import Done, Help, Helping
from proxy.admin.passwords import CannotSet
from proxy.web.console.filters import Listing, listing_of, picked_of
from proxy.web.console.seeing import Seeing
from proxy.web.console.showing import served, show
from proxy.web.visit import Visit, Web
from proxy.wire import trace
from proxy.wire.door import Secret

_NAMED: Final = 10  # accounts that a confirmation names


class Changing:
    """Of one daemon's console."""

    def __init__(
        self,
        web: Web,
        seeing: Seeing,
        helping: Helping,
        others: Mapping[str, Callable[[Visit], Coroutine[Deferred[Any], Any, bytes]]],
    ) -> None:
        """`others` ask about what else can be done for those who are chosen, by its name."""
        self._others = others
        self._web = web
        self._seeing = seeing
        self._overview = Overview(web.database)
        self._queue = Queue(web.database)
        self._helping = helping

    # One account

    async def help_one(self, visit: Visit, number: str) -> bytes:
        """The buttons of an account's page. Raises Refused."""
        account = await self._seeing.find(visit, number)
        what = _help(visit)
        done = await visit.web.in_thread(partial(self._helping.help, what, [account], trace=trace.current()))
        if done.accounts:
            self._seeing.note(visit, what.value, account=account.name)
            visit.tell(f"console.did.{what.value}", name=account.name)
        else:
            visit.tell("console.not_done", "bad", why=_why(visit, done))
        return visit.go(f"/console/account/{account.id}")

    async def set_password(self, visit: Visit, number: str) -> bytes:
        """Raises Refused."""
        account = await self._seeing.find(visit, number)
        password = Secret(visit.form.get("password", "").encode(errors="replace"))
        if visit.form.get("again", "") != visit.form.get("password", ""):
            return await self._seeing.account_page(visit, account, problem="console.password.differ", status=400)
        try:
            await visit.web.in_thread(self._helping.set_password, account, password, trace.current())
        except CannotSet as error:
            problem = f"console.password.{error.why.value}"
            return await self._seeing.account_page(visit, account, problem=problem, status=400)
        await visit.web.in_thread(visit.web.sessions.end_all, "portal", account.name)
        self._seeing.note(visit, "password", account=account.name)
        visit.tell("console.password.set", name=account.name)
        return visit.go(f"/console/account/{account.id}")

    # A domain

    async def ask_domain(self, visit: Visit, domain: str) -> bytes:
        """Is it meant? Raises Refused."""
        served(visit, domain)
        what = _help(visit, Help.PAUSE, Help.RESUME)
        visit.back = f"/console/domain/{quote(domain)}"
        return show(visit, "console/confirm_domain.html", domain=domain, what=what.value)

    async def pause_domain(self, visit: Visit, domain: str) -> bytes:
        """Raises Refused."""
        served(visit, domain)
        what = _help(visit, Help.PAUSE, Help.RESUME)
        await visit.web.in_thread(lambda: self._helping.pause_domain(domain, paused=what is Help.PAUSE))
        self._seeing.note(visit, what.value, domain=domain)
        visit.tell(f"console.did.{what.value}", name=domain)
        return visit.go(f"/console/domain/{quote(domain)}")

    # Many accounts

    async def ask_many(self, visit: Visit) -> bytes:
        """How many are meant, and who? Raises Refused."""
        other = self._others.get(visit.form.get("what", ""))
        if other is not None:
            return await other(visit)
        what, listing = _help(visit), listing_of(visit.form)
        picked = picked_of(visit)
        visit.back = "/console/accounts" + listing.query()
        if visit.form.get("which") == "all":
            some, count = await visit.web.in_thread(self._first, listing)
            picked = []
        elif picked:
            some = await visit.web.in_thread(lambda: list(self._queue.of(picked)))
            count = len(some)
        else:
            visit.tell("console.none_picked", "bad")
            return visit.go("/console/accounts" + listing.query())
        return show(
            visit,
            "console/confirm_many.html",
            what=what.value,
            listing=listing,
            picked=picked,
            count=count,
            named=some[:_NAMED],
        )

    def _first(self, listing: Listing) -> tuple[list[Account], int]:
        page = self._overview.page(listing.wanted, _NAMED, sort=listing.sort)
        return list(page.accounts), self._overview.exactly(listing.wanted)

    async def help_many(self, visit: Visit) -> bytes:
        """Raises Refused."""
        what, listing = _help(visit), listing_of(visit.form)
        picked = picked_of(visit)
        if not picked and visit.form.get("which") != "all":
            visit.refuse(400, "error.malformed")

        def chosen() -> Iterator[Account]:
            return self._queue.of(picked) if picked else self._overview.each(listing.wanted)

        act = trace.current()
        done: Done = await visit.web.in_thread(
            lambda: self._helping.help(what, chosen(), filtered=not picked, trace=act)
        )
        about = {"accounts": picked} if picked else {"filter": listing.fields()}
        self._seeing.note(visit, what.value, count=done.accounts, left_out=done.left_out, **about)
        if done.left_out and done.accounts:
            visit.tell(
                f"console.did_many_but.{what.value}", count=done.accounts, left_out=done.left_out, why=_why(visit, done)
            )
        elif done.accounts:
            visit.tell(f"console.did_many.{what.value}", count=done.accounts)
        else:
            visit.tell("console.did_none", "bad", why=_why(visit, done))
        return visit.go("/console/accounts" + listing.query())


def _why(visit: Visit, done: Done) -> str:
    """Why the first that was left out was."""
    return "" if done.why is None else visit.say(f"console.why.{done.why.value}")


def _help(visit: Visit, *among: Help) -> Help:
    """What is to be done. Raises Refused."""
    what = visit.form.get("what", "")
    if what not in set(among or Help):
        visit.refuse(400, "error.malformed")
    return Help(what)
