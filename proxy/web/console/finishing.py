"""The end of a move: who would be left behind, making final, and the way back; of a domain and of single accounts.

What `mailferry finalize` and `unfinalize` do, by the same means: `proxy.admin.finishing`. It runs in the daemon as a
task; whoever comes back sees how far it is, or what came of it. Nobody becomes final who would leave something behind,
but those of whom the administrator was shown it, and said so.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.defer import Deferred

from mailstore.accounts import Account, State
from mailstore.finishing import Finishing as Store
from mailstore.overview import Overview, Wanted
from proxy.admin.chosen import Chosen
from proxy.admin.finishing.behind import Why
from proxy.admin.finishing.course import Course, Meant, Step
from proxy.admin.finishing.reopening import final_of
from proxy.admin.finishing.summary import Foreseen, Summary
from proxy.admin.tasks import Task, TaskFailed
from proxy.web.console.seeing import Seeing
from proxy.web.console.showing import place, served, show, step_page
from proxy.web.console.steps import Steps
from proxy.web.routes import Handler, Routes
from proxy.web.visit import Visit, Web

FINISH: Final = "finish"  # the step, and the kind of its tasks
# Which filter of the list of accounts finds those that leave something behind, by why.
FILTERS: Final = {
    Why.NEVER.value: "waiting",
    Why.REJECTED.value: "attention",
    Why.BLOCKED.value: "blocked",
    Why.PAUSED.value: "paused",
    Why.UNFINISHED.value: "attention",
    Why.QUARANTINED.value: "attention",
}
_LONGEST: Final = 500  # characters of a name that somebody types

Page = Callable[[Visit, "Subject"], Coroutine[Deferred[Any], Any, bytes]]
Find = Callable[..., Coroutine[Deferred[Any], Any, "Subject"]]


@dataclass(frozen=True, slots=True)
class Subject:
    """A domain, or an account of one; `path` is where its page is."""

    meant: Meant
    domain: str
    account: Account | None
    path: str

    @property
    def name(self) -> str:
        return self.meant.name


class Finishing:
    """Of one daemon's console."""

    def __init__(self, web: Web, seeing: Seeing, steps: Steps) -> None:
        self._web = web
        self._seeing = seeing
        self._steps = steps
        self._overview = Overview(web.database)
        self._store = Store(web.database)
        self._course = Course(
            web.config, web.database, web.sealer, web.door, in_thread=web.in_thread, reactor=web.reactor
        )

    def add(self, routes: Routes, guarded: Callable[[Handler], Handler]) -> None:
        """Its pages, of domains and of accounts."""
        for above, find in (("/console/domain/<domain>", self._domain), ("/console/account/<number>", self._account)):

            def handler(page: Page, find: Find = find) -> Handler:
                async def handle(visit: Visit, **parts: str) -> bytes:
                    return await page(visit, await find(visit, **parts))

                return guarded(handle)

            path = f"{above}/{FINISH}"
            routes.get(path, handler(self.see))
            routes.get(f"{path}/left.csv", handler(self.sheet))
            routes.post(f"{path}/look", handler(self.look))
            routes.post(f"{path}/ask", handler(self.ask))
            routes.post(f"{path}/do", handler(self.make_final))
            routes.post(f"{path}/stop", handler(self.stop))
            routes.post(f"{path}/back/ask", handler(self.ask_back))
            routes.post(f"{path}/back", handler(self.go_back))

    async def _domain(self, visit: Visit, domain: str) -> Subject:
        """Raises Refused."""
        served(visit, domain)
        return Subject(Meant(domain), domain, None, place(domain, FINISH))

    async def _account(self, visit: Visit, number: str) -> Subject:
        """Raises Refused."""
        account = await self._seeing.find(visit, number)
        served(visit, account.domain)
        path = f"/console/account/{account.id}/{FINISH}"
        return Subject(Meant(account.name, account.id), account.domain, account, path)

    def _task(self, subject: Subject) -> Task | None:
        return self._web.tasks.of(FINISH, subject.name)

    def _last(self, subject: Subject) -> Summary | None:
        """What the last look or run has found; None where none has come to its end since the daemon was started."""
        task = self._task(subject)
        return task.result if task is not None and isinstance(task.result, Summary) else None

    def _page(self, visit: Visit, template: str, subject: Subject, *, status: int = 200, **values: Any) -> bytes:
        values |= {"subject": subject, "account": subject.account}
        if subject.account is None:
            return step_page(visit, template, subject.domain, FINISH, status=status, **values)
        visit.back = subject.path
        return show(visit, template, status=status, domain=subject.domain, step=FINISH, steps=(), place=place, **values)

    # How it stands

    async def see(self, visit: Visit, subject: Subject) -> bytes:
        """What is under way, or what came of it, and what can be done."""
        if subject.account is None:
            figures = await visit.web.in_thread(self._overview.figures, Wanted(domain=subject.domain))
            count, final = figures.accounts, figures.final
        else:
            count, final = 1, int(subject.account.state is State.FINAL)
        task, last = self._task(subject), self._last(subject)
        if last is not None and not (last.rehearsed or last.refused) and final < last.final:
            last = None  # somebody has gone back since
        return self._page(
            visit,
            "console/finish.html",
            subject,
            task=task,
            stoppable=task is not None and task.step != Step.END,
            last=last,
            filters=FILTERS,
            count=count,
            final=final,
        )

    async def sheet(self, visit: Visit, subject: Subject) -> bytes:
        """All that leave something behind, as CSV."""
        last = self._last(subject)
        if last is None:
            visit.refuse(404, "error.notfound")
        request = visit.request
        request.setHeader("Content-Type", "text/csv; charset=utf-8")
        request.setHeader("Content-Disposition", 'attachment; filename="left-behind.csv"')
        request.setHeader("Content-Length", str(len(last.sheet)))
        return last.sheet

    async def look(self, visit: Visit, subject: Subject) -> bytes:
        """Begin a look: who would be left behind?"""
        self._steps.begin(visit, FINISH, subject.name, self._course.rehearsal(subject.meant), only="look")
        return visit.go(subject.path)

    async def stop(self, visit: Visit, subject: Subject) -> bytes:
        """As long as nobody becomes final."""
        task = self._task(subject)
        if task is not None and task.step == Step.END:
            visit.tell("console.finish.too_late", "bad")
        else:
            self._steps.stop(visit, FINISH, subject.name)
        return visit.go(subject.path)

    # Making final

    async def ask(self, visit: Visit, subject: Subject) -> bytes:
        """Is it meant?"""
        found = await self._foreseen(visit, subject)
        return self._nobody(visit, subject) if found is None else self._question(visit, subject, found)

    async def _foreseen(self, visit: Visit, subject: Subject) -> Foreseen | None:
        """None where there are no accounts."""
        last = self._last(subject)
        try:
            return await visit.web.in_thread(self._course.foreseen, subject.meant, last)
        except TaskFailed:
            return None

    def _nobody(self, visit: Visit, subject: Subject) -> bytes:
        visit.tell("console.finish.nobody", "bad", name=subject.name)
        return visit.go(subject.path)

    def _question(self, visit: Visit, subject: Subject, found: Foreseen, problem: str = "", status: int = 200) -> bytes:
        return self._page(
            visit, "console/finish_ask.html", subject, status=status, found=found, problem=problem, typed=_typed(visit)
        )

    async def make_final(self, visit: Visit, subject: Subject) -> bytes:
        """It is meant."""
        count = visit.form.get("count", "")
        if not (count.isascii() and count.isdigit() and len(count) <= 18):
            visit.refuse(400, "error.malformed")
        found = await self._foreseen(visit, subject)
        if found is None:
            return self._nobody(visit, subject)
        if len(found.left) > int(count):  # more than was said yes to
            return self._question(visit, subject, found, "console.finish.more", 409)
        agreed = None
        if found.left:
            if visit.form.get("leave") != "yes":
                return self._question(visit, subject, found, "console.finish.tick", 400)
            if _typed(visit).strip().lower() != subject.name:
                return self._question(visit, subject, found, "console.finish.type", 400)
            agreed = found.left
        work = self._course.ending(subject.meant, agreed)
        self._steps.begin(visit, FINISH, subject.name, work, left_behind=len(agreed or ()))
        return visit.go(subject.path)

    # The way back

    async def ask_back(self, visit: Visit, subject: Subject) -> bytes:
        """Is it meant?"""
        count = len(await visit.web.in_thread(self._final, subject))
        if not count:
            visit.tell("console.finish.back.none", "bad")
            return visit.go(subject.path)
        return self._page(visit, "console/finish_back.html", subject, count=count)

    def _final(self, subject: Subject) -> Sequence[int]:
        """The accounts that are final, as of now."""
        if subject.account is not None:
            return [subject.account.id] if subject.account.state is State.FINAL else []
        return final_of(Chosen(domains=[subject.domain]), self._web.accounts, self._store).numbers

    async def go_back(self, visit: Visit, subject: Subject) -> bytes:
        """Have the old server asked again."""
        count = await visit.web.in_thread(lambda: self._store.reopen(self._final(subject)))
        if count:
            self._seeing.note(visit, "unfinalize", subject=subject.name, count=count)
            visit.tell("console.finish.back.done", count=count)
        else:
            visit.tell("console.finish.back.none", "bad")
        return visit.go(subject.path if subject.account is None else f"/console/account/{subject.account.id}")


def _typed(visit: Visit) -> str:
    return visit.form.get("name", "")[:_LONGEST]
