"""The notice of the move, a domain's step: who is told what, the question whether to, files instead, and how it went.

What `mailferry notify` does. It is sent in a thread of the daemon (`proxy.admin.noticing.dispatch`); how it went is in
the database, user by user, and so outlives the daemon.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Final
from urllib.parse import urlencode

from mailstore.accounts import Account, Accounts
from mailstore.notices import Standing
from mailstore.overview import Overview, Sort, Wanted, key_of
from mailstore.queue import Queue
from mailstore.told import Tally, Told
from proxy.admin.chosen import NotServed, account_name
from proxy.admin.noticing.archive import archive
from proxy.admin.noticing.facts import NothingToSay
from proxy.admin.noticing.letter import material
from proxy.admin.noticing.message import compose
from proxy.admin.noticing.planning import Plan, is_meant, leading
from proxy.admin.noticing.texts import BadTemplate, Kind
from proxy.admin.noticing.written import file_name
from proxy.web.console.filters import WITHOUT, listing_of, picked_of
from proxy.web.console.seeing import PER_PAGE, Seeing
from proxy.web.console.sendings import Sendings
from proxy.web.console.showing import place, served, step_page
from proxy.web.console.wishes import LANGUAGES, NAMES, SINCE, Wish, wish_of
from proxy.web.streaming import stream
from proxy.web.visit import Visit, Web

STEP: Final = "notice"
OUTCOMES: Final = (Standing.REFUSED, Standing.UNKNOWN, Standing.SENT)
KINDS: Final[tuple[Kind, ...]] = ("notice", "reminder")
_LONGEST: Final = 400  # characters of a user's name in a form
_FEW: Final = 20  # accounts among which the first is looked for
_BATCH: Final = 500  # users whose texts are tried in one go
# In the archive, beside the mails.
_NOT_SENT: Final = "NOT-SENT.txt"
_NOT_SENT_TEXT: Final = """\
These mails were written to files. mailferry has not sent them, and does not count them as sent.
这些邮件只是写成了文件：mailferry 没有发送它们，也不会把它们算作已发送。
"""


@dataclass(frozen=True, slots=True)
class Look:
    """What a page is about: how many, and whose mail is shown, between whose."""

    tally: Tally
    account: Account | None
    previous: Account | None = None
    following: Account | None = None
    unknown: bool = False  # nobody is called as the form says


class NoticePages:
    """Of one daemon's console."""

    def __init__(self, web: Web, seeing: Seeing, sendings: Sendings) -> None:
        self._web = web
        self._seeing = seeing
        self._sendings = sendings
        self._overview = Overview(web.database)
        self._queue = Queue(web.database)
        self._told = Told(web.database)

    # What would be sent to whom

    async def see(self, visit: Visit, domain: str) -> bytes:
        """Raises Refused."""
        served(visit, domain)
        wish = wish_of(visit, "notice", domain, everybody=True)
        assert wish is not None
        asked = visit.request.method == b"POST" or bool(wish.date)
        return await self._page(visit, wish, say_all=asked)

    async def of_list(self, visit: Visit) -> bytes:
        """For those who are chosen in a list of accounts, which must be of one domain. Raises Refused."""
        listing, picked = listing_of(visit.form), picked_of(visit)
        domains = {listing.wanted.domain} if listing.wanted.domain else set(self._web.config.domains)
        if visit.form.get("which") != "all":
            domains = {account.domain for account in await visit.web.in_thread(lambda: list(self._queue.of(picked)))}
        if len(domains) == 1 and domains <= self._web.config.domains.keys():
            wish = wish_of(visit, "notice", domains.pop() or "")
            if wish is not None:
                return await self._page(visit, wish, say_all=False)
        visit.tell("console.notice.one_domain" if domains else "console.none_picked", "bad")
        return visit.go("/console/accounts" + listing.query())

    async def _page(self, visit: Visit, wish: Wish, *, say_all: bool, problem: str = "", status: int = 200) -> bytes:
        """`say_all`: also that there is no date yet."""
        form = visit.form or visit.query
        user = (form.get("look") or form.get("user", ""))[:_LONGEST].strip()
        look: Look = await visit.web.in_thread(self._look, wish, user)
        lacking, mail, key = self._sendings.lacking([wish.domain]), None, wish.day_problem()
        if key and (say_all or key != "console.notice.date.none"):
            problem = problem or visit.say(key)
        if look.unknown:
            problem = problem or visit.say("console.notice.user.unknown", name=user)
        if look.account is not None and not lacking and key != "console.notice.date.none":
            mail, wrong = await self._sendings.letter(visit, look.account, wish)
            problem = problem or wrong
        dispatch = self._sendings.dispatch
        return step_page(
            visit,
            "console/notice.html",
            wish.domain,
            STEP,
            status=400 if problem and status == 200 else status,
            back=_back(wish),
            wish=wish,
            user=user,
            look=look,
            problem=problem,
            missing=lacking,
            mail=mail,
            departments=await self._seeing.departments(visit, wish.domain),
            without=WITHOUT,
            choices=list(SINCE),
            spoken=list(LANGUAGES),
            names=list(NAMES),
            busy=dispatch.progress if dispatch.under_way else None,
        )

    def _look(self, wish: Wish, user: str) -> Look:
        """In a thread. Raises MailstoreError."""
        wanted = Wanted(domain=wish.domain) if wish.picked else wish.listing.wanted
        since = wish.after(self._web.database.time())
        key = ("told", wanted, wish.since, tuple(wish.picked))
        tally: Tally = self._seeing.briefly(key, lambda: self._told.tally(wanted, "notice", since, wish.picked))
        named = account = self._named(wish, user) if user else None
        if account is None and tally.accounts:
            account = next((each for each in self._leading(wish) if is_meant("notice", each)), None)
        previous, following = self._neighbours(wish, account) if account is not None else (None, None)
        return Look(tally, account, previous, following, unknown=bool(user) and named is None)

    def _leading(self, wish: Wish) -> Iterator[Account]:
        """The chosen, some at a time: the first one is wanted."""
        if wish.picked:
            return iter(sorted(self._chosen(wish), key=lambda each: each.local))
        return chain.from_iterable(leading(self._overview, wish.listing.wanted, _FEW))

    def _chosen(self, wish: Wish) -> Iterator[Account]:
        return (account for account in self._sendings.chosen(wish) if account.domain == wish.domain)

    def _named(self, wish: Wish, user: str) -> Account | None:
        """By an address, a local part or an alias."""
        try:
            name = account_name(self._web.config, user if "@" in user else f"{user}@{wish.domain}")
        except NotServed:
            return None
        found = Accounts(self._web.database).known_as(name.local, name.domain)
        return found if found is not None and found.domain == wish.domain else None

    def _neighbours(self, wish: Wish, account: Account) -> tuple[Account | None, Account | None]:
        if wish.picked:
            some = sorted(self._chosen(wish), key=lambda each: each.local)
            before = [each for each in some if each.local < account.local]
            behind = [each for each in some if each.local > account.local]
            return (before[-1] if before else None), (behind[0] if behind else None)
        key, wanted = key_of(account, Sort.NAME), wish.listing.wanted
        ahead = self._overview.page(wanted, 1, before=key).accounts
        after = self._overview.page(wanted, 1, behind=key).accounts
        return (ahead[0] if ahead else None), (after[0] if after else None)

    # Sending

    async def ask(self, visit: Visit, domain: str) -> bytes:
        """Is it meant? Raises Refused."""
        wish = self._wish(visit, domain)
        if wish.day_problem() or self._sendings.lacking([domain]):
            return await self._page(visit, wish, say_all=True, status=200 if wish.day_problem() else 409)
        return await self._question(visit, wish, await visit.web.in_thread(self._sendings.foresee, wish), "", 200)

    def _wish(self, visit: Visit, domain: str) -> Wish:
        """Raises Refused."""
        served(visit, domain)
        wish = wish_of(visit, "notice", domain)
        if wish is None:
            visit.refuse(400, "error.malformed")
        return wish

    async def _question(self, visit: Visit, wish: Wish, found: Plan, problem: str, status: int) -> bytes:
        if wish.day_problem():
            return await self._page(visit, wish, say_all=True)
        mail, lacking = None, self._sendings.lacking([wish.domain])
        if found.first and not lacking:
            mail, wrong = await self._sendings.letter(visit, found.first[0], wish)
            problem = problem or wrong
        return step_page(
            visit,
            "console/notice_ask.html",
            wish.domain,
            STEP,
            status=400 if problem and status == 200 else status,
            back=_back(wish),
            wish=wish,
            problem=problem,
            missing=lacking,
            mail=mail,
            **self._sendings.about(found),
        )

    async def send(self, visit: Visit, domain: str) -> bytes:
        """It is meant. Raises Refused."""
        wish = self._wish(visit, domain)

        async def question(wish: Wish, found: Plan, problem: str, status: int) -> bytes:
            return await self._question(visit, wish, found, problem, status)

        return await self._sendings.send(visit, wish, question, place(domain, "notice/sent"), place(domain, STEP))

    async def stop(self, visit: Visit, domain: str) -> bytes:
        """The rest is not to be sent. Raises Refused."""
        served(visit, domain)
        self._sendings.stop(visit, "notice", domain)
        return visit.go(place(domain, "notice/sent"))

    # Files

    async def files(self, visit: Visit, domain: str) -> bytes:
        """The same as an archive of mails, for whoever sends them by other means. Raises Refused."""
        wish = self._wish(visit, domain)
        if wish.day_problem() or self._sendings.lacking([domain]):
            return await self._page(visit, wish, say_all=True, status=200 if wish.day_problem() else 409)
        found: Plan = await visit.web.in_thread(self._sendings.plan, wish)
        if not found.numbers:
            return await self._page(visit, wish, say_all=True, problem=visit.say("console.notice.nobody"), status=409)
        try:
            said, texts = await visit.web.in_thread(
                lambda: material(
                    self._web.config, domain, "notice", wish.languages, wish.date, same_names=wish.same_names
                )
            )
            for at in range(0, len(found.numbers), _BATCH):  # what is wrong for one is written for nobody
                some = found.numbers[at : at + _BATCH]
                await visit.web.in_thread(lambda some=some: [texts.render(said, one) for one in self._queue.of(some)])
        except (NothingToSay, BadTemplate) as error:
            problem = visit.say("console.remind.unsayable", why=str(error))
            return await self._page(visit, wish, say_all=True, problem=problem)
        now = datetime.now().astimezone()
        mails = (
            (file_name(one.name), compose(self._web.config, one, texts.render(said, one), now).octets())
            for one in self._queue.of(found.numbers)
        )
        self._seeing.note(visit, "write notices", domain=domain, count=len(found.numbers))
        visit.request.setHeader("Content-Type", "application/zip")
        name = f"notices-{self._web.config.domains[domain].ascii_name}-{now:%Y%m%d-%H%M}.zip"
        visit.request.setHeader("Content-Disposition", f'attachment; filename="{name}"')
        note = (_NOT_SENT, _NOT_SENT_TEXT.replace("\n", "\r\n").encode())
        await stream(visit.request, visit.web.in_thread, archive(chain([note], mails), now))
        return b""

    # How it went

    async def sent(self, visit: Visit, domain: str) -> bytes:
        """How far it is, and what became of it for whom. Raises Refused."""
        served(visit, domain)
        kind: Kind = "reminder" if visit.query.get("kind") == "reminder" else "notice"
        what = visit.query.get("what", "")
        wanted, behind = Wanted(domain=domain), (domain, visit.query.get("behind", "")[:_LONGEST])
        tally: Tally = await visit.web.in_thread(self._told.tally, wanted, kind)
        chosen = [one for one in OUTCOMES if one.value == what]
        shown = chosen[0] if chosen else next((one for one in OUTCOMES[:2] if getattr(tally, one)), OUTCOMES[0])
        some = await visit.web.in_thread(lambda: self._told.page(wanted, kind, shown, PER_PAGE + 1, behind=behind))
        dispatch = self._sendings.dispatch
        return step_page(
            visit,
            "console/notice_sent.html",
            domain,
            STEP,
            back=visit.back,
            kind=kind,
            kinds=KINDS,
            outcomes=OUTCOMES,
            tally=tally,
            shown=shown,
            some=some[:PER_PAGE],
            following=some[PER_PAGE - 1].account.local if len(some) > PER_PAGE else "",
            first=bool(behind[1]),
            progress=dispatch.of("notice", domain) if kind == "notice" else None,
            rate=self._web.config.notices.rate,
        )


def _back(wish: Wish) -> str:
    """Where the page is seen so again, but for accounts that were ticked."""
    return f"{place(wish.domain, STEP)}?{urlencode(wish.listing.fields() | wish.fields())}"
