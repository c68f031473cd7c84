"""Reminders to those who have not logged in yet: what they would be sent, the question whether to, and how it goes.

What `mailferry notify --reminder` does, in a thread of the daemon: `proxy.admin.noticing.reminding`. The question has
in it what it was asked about: whoever answers it twice, or late, doubles nothing (`Order.mark`).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date as Day
from typing import Any, Final, NoReturn

from mailstore.accounts import Account
from mailstore.overview import Overview
from mailstore.queue import Queue
from proxy.admin.noticing.facts import Language, NothingToSay, plain
from proxy.admin.noticing.message import body
from proxy.admin.noticing.reminding import Busy, Order, Plan, Reminding, missing, plan, texts_for
from proxy.admin.noticing.texts import BadTemplate
from proxy.web.console.filters import Listing, listing_of, picked_of
from proxy.web.console.seeing import Seeing, show
from proxy.web.visit import Visit, Web

REMIND: Final = "/console/remind"
_DAY: Final = 86_400
# What was sent so long ago, or longer, does not count; "again": nothing does.
SINCE: Final = {"": None, "7": 7 * _DAY, "1": _DAY, "again": 0}
LANGUAGES: Final[dict[str, tuple[Language, ...]]] = {"both": ("zh", "en"), "zh": ("zh",), "en": ("en",)}


@dataclass(frozen=True, slots=True)
class Mail:
    """What the first user would get, as text."""

    to: str
    sender: str
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Wish:
    """What a form says: who is meant, and how they are reminded."""

    picked: Sequence[int]
    listing: Listing
    language: str
    date: str
    since: str

    def after(self, now: float) -> int:
        """From which second on what was sent counts."""
        seconds = SINCE[self.since]
        return int(now) - seconds if seconds else 0


class Reminders:
    """Of one daemon's console."""

    def __init__(self, web: Web, seeing: Seeing, reminding: Reminding) -> None:
        self._web = web
        self._seeing = seeing
        self._reminding = reminding
        self._overview = Overview(web.database)
        self._queue = Queue(web.database)

    # Who, and what they are told

    def _wish(self, visit: Visit) -> Wish | None:
        """None where nobody is chosen. Raises Refused."""
        form, picked = visit.form, picked_of(visit)
        language, date, since = form.get("language", "both"), form.get("date", "").strip(), form.get("since", "")
        if language not in LANGUAGES or since not in SINCE or len(date) > 16:
            visit.refuse(400, "error.malformed")
        if form.get("which") == "all":
            picked = []
        elif not picked:
            return None
        return Wish(picked, listing_of(form), language, date, since)

    def _plan(self, wish: Wish) -> Plan:
        chosen: Iterable[Account] = (
            self._queue.of(wish.picked) if wish.picked else self._overview.each(wish.listing.wanted)
        )
        since = wish.after(time.time())
        return plan(self._web.config, self._web.database, chosen, since=since, again=wish.since == "again")

    async def ask(self, visit: Visit) -> bytes:
        """Who would be reminded, of what; is it meant? Raises Refused."""
        wish = self._wish(visit)
        if wish is None:
            visit.tell("console.none_picked", "bad")
            return visit.go("/console/accounts" + listing_of(visit.form).query())
        return await self._question(visit, wish, await visit.web.in_thread(self._plan, wish))

    async def _question(self, visit: Visit, wish: Wish, found: Plan, problem: str = "", status: int = 200) -> bytes:
        problem = problem or self._date_problem(visit, wish)
        lacking = missing(self._web.config, sorted(found.domains) or self._domains(wish))
        mail = None
        if found.first and not lacking:
            try:
                mail = await visit.web.in_thread(self._mail, found.first[0], wish)
            except (NothingToSay, BadTemplate) as error:
                problem = problem or visit.say("console.remind.unsayable", why=str(error))
            except ValueError:
                problem = problem or visit.say("console.remind.date.wrong")
        visit.back = "/console/accounts" + wish.listing.query()
        notices = self._web.config.notices
        return show(
            visit,
            "console/remind_ask.html",
            status=400 if problem and status == 200 else status,
            wish=wish,
            problem=problem,
            missing=lacking,
            mail=mail,
            count=len(found.numbers),
            named=found.first,
            had=found.had,
            unknown=found.unknown_names,
            unknown_count=found.unknown,
            passed_over=found.passed_over,
            mark=found.mark,
            relay=notices.relay,
            rate=notices.rate,
            seconds=60 * len(found.numbers) / notices.rate,
            choices=list(SINCE),
            spoken=list(LANGUAGES),
            under_way=self._reminding.under_way,
        )

    def _domains(self, wish: Wish) -> list[str]:
        """Where nobody is to be reminded: whose settings might be missing."""
        domain = wish.listing.wanted.domain
        return [domain] if domain is not None and domain in self._web.config.domains else []

    def _date_problem(self, visit: Visit, wish: Wish) -> str:
        if not wish.date:
            return ""
        try:
            day = Day.fromisoformat(wish.date)
        except ValueError:
            return visit.say("console.remind.date.wrong")
        return visit.say("console.remind.date.over") if day < Day.today() else ""

    def _mail(self, account: Account, wish: Wish) -> Mail:
        date = "" if self._is_no_date(wish.date) else wish.date
        _, _, texts = texts_for(self._web.config, account, LANGUAGES[wish.language], date)
        name = plain(account.full_name)
        return Mail(
            to=f"{name} <{account.name}>" if name else account.name,
            sender=self._web.config.notices.sender or "",
            subject=" / ".join(text.subject for text in texts),
            text=body(texts),
        )

    @staticmethod
    def _is_no_date(text: str) -> bool:
        try:
            Day.fromisoformat(text)
        except ValueError:
            return True
        return False

    # Sending

    async def send(self, visit: Visit) -> bytes:
        """It is meant. Raises Refused."""
        wish = self._wish(visit)
        if wish is None:
            visit.refuse(400, "error.malformed")
        mark, count = self._number(visit, "mark"), self._number(visit, "count")
        found = await visit.web.in_thread(self._plan, wish)
        if mark > found.mark:
            visit.refuse(400, "error.malformed")
        if problem := self._date_problem(visit, wish):
            return await self._question(visit, wish, found, problem)
        if missing(self._web.config, sorted(found.domains)):
            return await self._question(visit, wish, found, status=409)
        if not found.numbers:
            visit.tell("console.remind.nobody", "bad")
            return visit.go(REMIND if self._reminding.progress else "/console/accounts" + wish.listing.query())
        if len(found.numbers) > count:  # more than was said yes to
            return await self._question(visit, wish, found, visit.say("console.remind.more"), 409)
        order = Order(
            by=visit.session.subject if visit.session is not None else "",
            accounts=found.numbers,
            languages=LANGUAGES[wish.language],
            date=wish.date,
            since=wish.after(time.time()),
            again=wish.since == "again",
            mark=mark,
        )
        return await self._begin(visit, wish, order)

    async def _begin(self, visit: Visit, wish: Wish, order: Order) -> bytes:
        try:
            await visit.web.in_thread(self._reminding.begin, order)
        except Busy:
            visit.tell("console.remind.busy", "bad")
            return visit.go(REMIND)
        except OSError as error:
            self._web.log.error("reminders not begun", reason=error.strerror)  # noqa: TRY400 - a line, no traceback
            visit.refuse(503, "error.failed")
        about: dict[str, Any] = {"accounts": wish.picked} if wish.picked else {"filter": wish.listing.fields()}
        self._note(visit, "remind", count=len(order.accounts), **about)
        return visit.go(REMIND)

    def _number(self, visit: Visit, name: str) -> int:
        text = visit.form.get(name, "")
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            self._malformed(visit)
        return int(text)

    def _malformed(self, visit: Visit) -> NoReturn:
        visit.refuse(400, "error.malformed")

    def _note(self, visit: Visit, did: str, **about: Any) -> None:
        self._seeing.forget()
        by = visit.session.subject if visit.session is not None else ""
        self._web.log.info("administrator", did=did, by=by, peer=visit.visitor.address, **about)

    # How it goes

    async def see(self, visit: Visit) -> bytes:
        """How far it is, or how it ended."""
        visit.back = REMIND
        return show(visit, "console/remind.html", progress=self._reminding.progress, rate=self._web.config.notices.rate)

    async def stop(self, visit: Visit) -> bytes:
        """The rest is not to be sent."""
        if self._reminding.under_way:
            self._reminding.stop()
            self._note(visit, "stop reminders")
            visit.tell("console.remind.stopping")
        return visit.go(REMIND)
