"""The pages that show something: all domains, one domain, a list of accounts, one account."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mailstore.accounts import Account, State
from mailstore.entries import Quarantined
from mailstore.errors import MailstoreError
from mailstore.notices import Notices
from mailstore.overview import Overview, Page, Sort, most_counted
from mailstore.queue import Queue
from mailstore.refusals import storage_errors
from proxy.admin.advice import Advice, Kind
from proxy.admin.helping import Help, Helping, hindrance
from proxy.admin.noticing.dispatch import Dispatch
from proxy.admin.noticing.planning import is_newcomer, missing
from proxy.admin.overview import Department, DomainView, Watching
from proxy.admin.remedies import about_passwords, advices, kinds_of
from proxy.admin.spreadsheet.values import spelled_quota
from proxy.admin.way import Step, Way
from proxy.web.console.curve import HEIGHT, WIDTH, curve
from proxy.web.console.filters import STATES, WITHOUT, Listing, listing_of
from proxy.web.console.showing import show, step_page
from proxy.web.events import Events
from proxy.web.visit import Visit, Web

PER_PAGE: Final = 50
LOOK: Final = 2.0  # seconds between two looks whether there is news
KEEP_ALIVE: Final = 15  # looks after which a browser hears something, news or not
FRESH: Final = 1.0  # seconds for which what was added up of all accounts is taken as it is
SPANS: Final = {"hours": 6 * 3600, "day": 86_400, "week": 7 * 86_400, "all": 10 * 366 * 86_400}
# Kinds of trouble that are told apart by the reason's own words.
_TELLING: Final = {Kind.BLOCKED, Kind.NOT_POSSIBLE, Kind.TLS, Kind.UNREACHABLE, Kind.DISK, Kind.REFUSED, Kind.OTHER}
_QUARANTINED: Final = 200  # messages that a page names
_TOLD: Final = 20  # notices that an account's page has


@dataclass(frozen=True, slots=True)
class Row:
    """An account in a list; `advice` is what matters most about it, `said` the reason where that says more."""

    account: Account
    advice: Advice | None

    @property
    def said(self) -> str:
        return self.account.reason if self.advice is not None and self.advice.kind in _TELLING else ""


class Seeing:
    """Of one daemon's console."""

    def __init__(self, web: Web, events: Events, helping: Helping, dispatch: Dispatch) -> None:
        self._web = web
        self._helping = helping
        self._dispatch = dispatch
        self._events = events
        self._overview = Overview(web.database)
        self._watching = Watching(web.database)
        self._queue = Queue(web.database)
        self._notices = Notices(web.database)
        self._way = Way(web.database, web.config.state)
        self._seen: dict[tuple[object, ...], tuple[float, Any]] = {}

    def briefly(self, key: tuple[object, ...], find: Callable[[], Any]) -> Any:
        """What several browsers ask for at the same time is added up once. Called in a thread."""
        now = time.monotonic()
        kept = self._seen.get(key)
        if kept is not None and now - kept[0] < FRESH:
            return kept[1]
        found = find()
        self._seen = {k: v for k, v in self._seen.items() if now - v[0] < FRESH} | {key: (now, found)}
        return found

    def forget(self) -> None:
        """Something has been changed here, which the next page has to show."""
        self._seen = {}

    def note(self, visit: Visit, did: str, **about: Any) -> None:
        """An administrator has done something: for the log, with name and address; and the next page shows it."""
        self.forget()
        by = visit.session.subject if visit.session is not None else ""
        self._web.log.info("administrator", audit=True, peer=visit.visitor.address, by=by, did=did, **about)

    # Domains

    async def domains(self, visit: Visit) -> bytes:
        """All of them."""
        names = sorted(self._web.config.domains)
        views: list[DomainView] = await visit.web.in_thread(
            self.briefly, ("domains",), lambda: self._watching.domains(names)
        )
        return show(visit, "console/domains.html", views=views)

    async def domain(self, visit: Visit, domain: str) -> bytes:
        """One, with its curve and its departments. Raises Refused."""
        span = visit.query.get("span", "")
        span = span if span in SPANS else "day"
        since = int(self._web.database.time()) - SPANS[span]
        view, tops = await visit.web.in_thread(
            self.briefly, ("domain", domain, span), lambda: self._watching.domain(domain, since=since)
        )
        served = self._web.config.domains.get(domain)
        if served is None and not view.figures.accounts:
            visit.refuse(404, "error.notfound")
        way: Sequence[Step] = ()
        if served is not None:
            way = await visit.web.in_thread(self.briefly, ("way", domain), lambda: self._way.of(served, view.figures))
        return step_page(
            visit,
            "console/domain.html",
            domain,
            "",
            back=visit.back,
            view=view,
            way=way,
            departments=[node for top in tops for node in top.walk()],
            span=span,
            spans=SPANS,
            bytes_curve=curve(view.samples, lambda sample: sample.bytes),
            accounts_curve=curve(view.samples, lambda sample: sample.moved + sample.final),
            size=(WIDTH, HEIGHT),
            without=WITHOUT,
        )

    async def departments(self, visit: Visit, domain: str) -> list[Department]:
        """Of a domain, each before those below it."""
        tops: list[Department] = await visit.web.in_thread(
            self.briefly, ("departments", domain), lambda: self._watching.departments(domain)
        )
        return [node for top in tops for node in top.walk()]

    # Accounts

    async def accounts(self, visit: Visit) -> bytes:
        """A page of a list."""
        listing = listing_of(visit.query)
        page, count, paused = await visit.web.in_thread(self._page, listing)
        if not page.accounts and (listing.behind or listing.before):
            return visit.go("/console/accounts" + listing.first().query())
        domain = listing.wanted.domain
        departments = await self.departments(visit, domain) if domain else []
        rows = [Row(account, _foremost(account, paused=account.domain in paused)) for account in page.accounts]
        return show(
            visit,
            "console/accounts.html",
            listing=listing,
            rows=rows,
            count=count,
            most=most_counted(listing.wanted),
            domains=sorted({*self._web.config.domains, *([domain] if domain else [])}),
            departments=departments,
            without=WITHOUT,
            states=STATES,
            sorts=[sort.value for sort in Sort],
            helps=[what.value for what in Help],
            previous=listing.ahead_of(page.accounts[0]) if page.before else None,
            following=listing.after(page.accounts[-1]) if page.behind else None,
            reminding=self._dispatch.of("reminder") is not None,
        )

    def _page(self, listing: Listing) -> tuple[Page, int, frozenset[str]]:
        wanted = listing.wanted
        page, count = self._overview.page_and_count(
            wanted, PER_PAGE, sort=listing.sort, behind=listing.behind, before=listing.before
        )
        return page, count, frozenset(self._queue.paused_domains())

    async def account(self, visit: Visit, number: str) -> bytes:
        """One, and what can be done for it. Raises Refused."""
        return await self.account_page(visit, await self.find(visit, number))

    async def find(self, visit: Visit, number: str) -> Account:
        """By its number. Raises Refused."""
        if not number.isascii() or not number.isdigit() or len(number) > 18:
            visit.refuse(404, "error.notfound")
        found = await visit.web.in_thread(lambda: list(self._queue.of([int(number)])))
        if not found:
            visit.refuse(404, "error.notfound")
        return found[0]

    async def account_page(self, visit: Visit, account: Account, *, problem: str = "", status: int = 200) -> bytes:
        """`problem` is what was wrong with a password that was to be set."""
        visit.back = f"/console/account/{account.id}"
        paused = await visit.web.in_thread(self._queue.paused_domains)
        domain_paused = account.domain in paused
        notices = await visit.web.in_thread(self._notices.history, account.id, _TOLD)
        recently = visit.web.mover.recently
        return show(
            visit,
            "console/account.html",
            status=status,
            account=account,
            advices=advices(account, domain_paused=domain_paused),
            domain_paused=domain_paused,
            possible={what.value: not hindrance(what, account, domain_paused=domain_paused) for what in Help},
            may_be_given=self._helping.may_be_given(account),
            final=account.state is State.FINAL,
            may_be_ended=account.domain in visit.web.config.domains,
            quota=spelled_quota(account.quota),
            about_passwords=about_passwords(account),
            under_way=visit.web.mover.moves.of(account.id) is not None,
            quarantined=await self._quarantined(visit, account),
            moves=recently.moves(account.name),
            refusals=recently.refusals(account.name),
            problem=problem,
            notices=notices,
            may_be_reminded=is_newcomer(account) and account.domain in visit.web.config.domains,
            missing=missing(visit.web.config, {account.domain} & visit.web.config.domains.keys()),
        )

    async def _quarantined(self, visit: Visit, account: Account) -> Sequence[Quarantined] | None:
        """Its messages that could not be fetched; None where that cannot be seen. A mailbox is opened only where there
        may be some."""
        incomplete = account.messages_done < account.messages_total
        maildir = visit.web.config.maildir_for(account.local, account.domain)
        if not (incomplete or Kind.QUARANTINE in kinds_of(account.reason)):
            return ()
        try:
            with storage_errors():
                if not maildir.exists():
                    return ()
            home = await visit.web.homes.open(account.id, account.name, maildir)
            try:
                found: list[Quarantined] = await home.run(lambda mail: mail.ledger.quarantined())
            finally:
                home.close()
        except MailstoreError as error:  # the page is wanted all the more
            visit.web.log.warning("mailbox cannot be looked into", account=account.name, reason=str(error))
            return None
        return found[:_QUARANTINED]

    # What is new

    async def events(self, visit: Visit) -> bytes:
        """Tells a page to look again, when another process or a move has changed something. Ends with the session."""
        return await self._events.send(visit, self._news(visit))

    async def _news(self, visit: Visit) -> AsyncIterator[tuple[str, str]]:
        version, quiet = await self._version(), 0
        while visit.session is not None:
            await self._events.pause(LOOK)
            await visit.find_session()
            now, quiet = await self._version(), quiet + 1
            if now != version:
                version, quiet = now, 0
                yield "changed", ""
            elif quiet >= KEEP_ALIVE:
                quiet = 0
                yield "quiet", ""

    async def _version(self) -> int:
        return await self._web.ask(self._web.database, self._web.database.version)


def _foremost(account: Account, *, paused: bool) -> Advice | None:
    found = [advice for advice in advices(account, domain_paused=paused) if advice.kind is not Kind.DOMAIN_PAUSED]
    return found[0] if found and found[0].kind is not Kind.NEVER else None
