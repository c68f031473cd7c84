"""What asking about notices and about reminders have in common: who would be sent what, and its beginning.

The question has in it what it was asked about: whoever answers it twice, or late, doubles nothing (`Order.mark`), and
whoever says yes to some is asked again where there are more by then.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, Final, NoReturn

from twisted.internet.defer import Deferred

from mailstore.accounts import Account
from mailstore.overview import Overview, Wanted
from mailstore.queue import Queue
from proxy.admin.noticing.dispatch import Busy, Dispatch
from proxy.admin.noticing.facts import NothingToSay
from proxy.admin.noticing.letter import Letter, letter, material
from proxy.admin.noticing.orders import Order
from proxy.admin.noticing.planning import Lack, Plan, foresee, missing, plan
from proxy.admin.noticing.texts import BadTemplate, Kind
from proxy.web.console.seeing import Seeing
from proxy.web.console.wishes import Wish
from proxy.web.visit import Visit, Web

WORDS: Final[dict[Kind, str]] = {"notice": "notice", "reminder": "remind"}  # below `console.`, what is said of it
_DEEDS: Final[dict[Kind, str]] = {"notice": "notify", "reminder": "remind"}  # as the log has them

Question = Callable[[Wish, Plan, str, int], Coroutine[Deferred[Any], Any, bytes]]  # …, a problem, a status


class Sendings:
    """Of one daemon's console."""

    def __init__(self, web: Web, seeing: Seeing, dispatch: Dispatch) -> None:
        self._web = web
        self._seeing = seeing
        self.dispatch = dispatch
        self._overview = Overview(web.database)
        self._queue = Queue(web.database)

    # Who

    def chosen(self, wish: Wish) -> Iterator[Account]:
        """In a thread. Raises MailstoreError."""
        return self._queue.of(wish.picked) if wish.picked else self._overview.each(wish.listing.wanted)

    def plan(self, wish: Wish) -> Plan:
        """In a thread. Raises MailstoreError."""
        return plan(
            self._web.config,
            self._web.database,
            self.chosen(wish),
            kind=wish.kind,
            since=wish.after(self._web.database.time()),
            again=wish.again,
            domain=wish.domain,
        )

    def foresee(self, wish: Wish) -> Plan:
        """The same for a question, without the accounts' numbers where it can be told without them. In a thread. Raises
        MailstoreError."""
        wanted = wish.listing.wanted
        whole = wish.kind == "notice" and not wish.picked and wanted == Wanted(wanted.domain, wanted.department)
        if whole and not wish.after(self._web.database.time()):
            return foresee(self._web.database, wanted, again=wish.again)
        return self.plan(wish)

    def lacking(self, domains: Sequence[str]) -> list[Lack]:
        """What the configuration has to have before these domains' users can be told anything."""
        return missing(self._web.config, [name for name in domains if name in self._web.config.domains])

    # What

    async def letter(self, visit: Visit, account: Account, wish: Wish) -> tuple[Letter | None, str]:
        """What an account would be sent, or why that cannot be said. A date that is none is left out."""
        try:
            return await visit.web.in_thread(self._letter, account, wish), ""
        except (NothingToSay, BadTemplate) as error:
            return None, visit.say("console.remind.unsayable", why=str(error))

    def _letter(self, account: Account, wish: Wish) -> Letter:
        date = "" if wish.day_problem() == "console.remind.date.wrong" else wish.date
        said, texts = material(
            self._web.config, account.domain, wish.kind, wish.languages, date, same_names=wish.same_names
        )
        return letter(self._web.config, account, texts.render(said, account))

    def about(self, found: Plan) -> dict[str, Any]:
        """How it would be sent, and to whom: for templates."""
        notices = self._web.config.notices
        return {
            "count": found.count,
            "named": found.first,
            "had": found.had,
            "unknown": found.unknown_names,
            "unknown_count": found.unknown,
            "passed_over": found.passed_over,
            "mark": found.mark,
            "relay": notices.relay,
            "rate": notices.rate,
            "seconds": 60 * found.count / notices.rate,
            "busy": self.dispatch.progress if self.dispatch.under_way else None,
        }

    # Sending

    async def send(self, visit: Visit, wish: Wish, question: Question, seen: str, otherwise: str) -> bytes:
        """It is meant. `question` asks once more, where something is not as it was seen; `seen` is where the sending is
        looked at, `otherwise` where to go if there is none. Raises Refused."""
        mark, count = self._number(visit, "mark"), self._number(visit, "count")
        found = await visit.web.in_thread(self.plan, wish)
        if mark > found.mark:
            self._malformed(visit)
        if wish.day_problem():
            return await question(wish, found, "", 400)
        if self.lacking(sorted(found.domains)):
            return await question(wish, found, "", 409)
        if not found.numbers:
            visit.tell(f"console.{WORDS[wish.kind]}.nobody", "bad")
            return visit.go(seen if self.dispatch.of(wish.kind, wish.domain) else otherwise)
        if len(found.numbers) > count:  # more than was said yes to
            return await question(wish, found, visit.say("console.remind.more"), 409)
        await self._begin(visit, wish, found, mark)
        return visit.go(seen)

    def _number(self, visit: Visit, name: str) -> int:
        text = visit.form.get(name, "")
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            self._malformed(visit)
        return int(text)

    def _malformed(self, visit: Visit) -> NoReturn:
        visit.refuse(400, "error.malformed")

    async def _begin(self, visit: Visit, wish: Wish, found: Plan, mark: int) -> None:
        """Have it sent; where that is not possible just now, the next page says so. Raises Refused."""
        order = Order(
            by=visit.session.subject if visit.session is not None else "",
            accounts=found.numbers,
            languages=wish.languages,
            date=wish.date,
            since=wish.after(self._web.database.time()),
            again=wish.again,
            mark=mark,
            kind=wish.kind,
            domain=wish.domain,
            same_names=wish.same_names,
        )
        try:
            await visit.web.in_thread(self.dispatch.begin, order)
        except Busy:
            visit.tell("console.notice.not_begun", "bad")
            return
        except OSError as error:
            self._web.log.error(f"{wish.kind} not begun", reason=error.strerror)  # noqa: TRY400 - a line, no traceback
            visit.refuse(503, "error.failed")
        about: dict[str, Any] = {"accounts": wish.picked} if wish.picked else {"filter": wish.listing.fields()}
        self._seeing.note(visit, _DEEDS[wish.kind], count=len(order.accounts), **about)

    def stop(self, visit: Visit, kind: Kind, domain: str = "") -> None:
        """The rest of it is not to be sent."""
        progress = self.dispatch.progress
        if progress is None or not self.dispatch.under_way:
            return
        if (progress.order.kind, progress.order.domain) == (kind, domain):
            self.dispatch.stop()
            self._seeing.note(visit, f"stop {kind}s", **({"domain": domain} if domain else {}))
            visit.tell("console.remind.stopping")
