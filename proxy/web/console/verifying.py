"""Is everything here that the old server has? What `mailferry verify` does, for a domain or for one account, begun here
and not waited for: `proxy.admin.verify.background`. And what is proven by it: `proxy.admin.proving`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mailstore.accounts import Account, State
from mailstore.proofs import Proofs
from mailstore.queue import Queue
from proxy.admin.proving import example, standing
from proxy.admin.tasks import Task
from proxy.admin.verify.background import Verifying
from proxy.admin.verify.kinds import Weight
from proxy.admin.verify.sample import USUAL, How, how_for
from proxy.admin.verify.seen import ROWS
from proxy.admin.verify.text import where_of
from proxy.config import Domain
from proxy.web.console.seeing import Seeing
from proxy.web.console.showing import place, served, show, step_page
from proxy.web.console.steps import Steps
from proxy.web.visit import Visit, Web

VERIFY: Final = "verify"  # the step, and the kind of task
WAYS: Final = ("sample", "full", "none", "local")
MOST: Final = 10_000  # messages of a sample
_NAMED: Final = 5  # accounts under way that are named


@dataclass(frozen=True, slots=True)
class Wish:
    """What a form says: how contents are compared, and how many messages of each account."""

    way: str = "sample"
    count: str = str(USUAL)
    problem: str = ""  # with `count`; a key of words


class Comparisons:
    """Of one daemon's console."""

    def __init__(self, web: Web, seeing: Seeing, steps: Steps) -> None:
        self._web = web
        self._seeing = seeing
        self._steps = steps
        self._proofs = Proofs(web.database)
        self._queue = Queue(web.database)
        self._verifying = Verifying(
            *(web.config, web.database, web.accounts, web.sealer, web.door),
            in_thread=web.in_thread,
            reactor=web.reactor,
        )

    # A domain

    async def domain(self, visit: Visit, domain: str) -> bytes:
        """Is it proven, and what was found? Raises Refused."""
        return await self._domain_page(visit, domain, Wish())

    async def _domain_page(self, visit: Visit, domain: str, wish: Wish) -> bytes:
        task = self._web.tasks.of(VERIFY, domain)
        under_way = task is not None and task.under_way
        about = await visit.web.in_thread(self._about, served(visit, domain), under_way)
        return step_page(
            visit,
            "console/verify.html",
            domain,
            VERIFY,
            status=400 if wish.problem else 200,
            moved=State.MOVED,
            **about,
            **self._of_task(domain, wish),  # as it is by now: what comes behind this does not wait
        )

    def _about(self, domain: Domain, under_way: bool) -> dict[str, Any]:
        """Is it proven, by which account, and if not, with which could it be; since when is it paused. Whoever watches
        a comparison asks each second: an account to try is not looked for then."""
        proof, accounts = self._proofs.all().get(domain.name), self._web.accounts
        stands = standing(domain, proof)
        return {
            "stands": stands,
            "proof_account": proof and accounts.find(proof.account.rpartition("@")[0], domain.name),
            "tried": None if stands.proven or under_way else example(accounts, domain.name),
            "paused": self._queue.paused_domains().get(domain.name),
        }

    async def begin(self, visit: Visit, domain: str) -> bytes:
        """Raises Refused."""
        served(visit, domain)
        wish = _wish(visit.form)
        if wish.problem:
            return await self._domain_page(visit, domain, wish)
        self._begin(visit, domain, wish, lambda task, how: self._verifying.domain(task, domain, how))
        return visit.go(place(domain, VERIFY))

    def _begin(self, visit: Visit, subject: str, wish: Wish, verify: Callable[[Task, How], Any]) -> None:
        """Raises Refused."""
        how = _how(visit, wish)
        self._steps.begin(visit, VERIFY, subject, lambda task: verify(task, how), content=wish.way, sample=how.sample)

    async def stop(self, visit: Visit, domain: str) -> bytes:
        """Raises Refused."""
        served(visit, domain)
        self._steps.stop(visit, VERIFY, domain)
        return visit.go(place(domain, VERIFY))

    # One account

    async def _found(self, visit: Visit, number: str) -> Account:
        account = await self._seeing.find(visit, number)
        served(visit, account.domain)
        return account

    async def account(self, visit: Visit, number: str) -> bytes:
        """What was found of it. Raises Refused."""
        return await self._account_page(visit, await self._found(visit, number), Wish())

    async def _account_page(self, visit: Visit, account: Account, wish: Wish) -> bytes:
        visit.back = _page_of(account)
        return show(
            visit,
            "console/verify_account.html",
            status=400 if wish.problem else 200,
            account=account,
            place=place,
            **self._of_task(account.name, wish),
        )

    async def begin_one(self, visit: Visit, number: str) -> bytes:
        """Raises Refused."""
        account = await self._found(visit, number)
        wish = _wish(visit.form)
        if wish.problem:
            return await self._account_page(visit, account, wish)
        self._begin(visit, account.name, wish, lambda task, how: self._verifying.account(task, account, how))
        return visit.go(_page_of(account))

    async def stop_one(self, visit: Visit, number: str) -> bytes:
        """Raises Refused."""
        account = await self._found(visit, number)
        self._steps.stop(visit, VERIFY, account.name)
        return visit.go(_page_of(account))

    # How it goes

    def _of_task(self, subject: str, wish: Wish) -> dict[str, Any]:
        """What the templates show of a task, and of the form that begins one."""
        task = self._web.tasks.of(VERIFY, subject)
        watched = self._verifying.watched(task) if task is not None else None
        at = list(watched.under_way.items()) if watched is not None else []
        return {
            "task": task,
            "totals": watched.totals if watched is not None else None,
            "at": at[:_NAMED],
            "at_count": len(at),
            "seen": task.result if task is not None and not task.under_way and not task.trouble else None,
            "wish": wish,
            "ways": WAYS,
            "most": MOST,
            "rows": ROWS,
            "where_of": where_of,
            "fault": Weight.FAULT,
        }


def _page_of(account: Account) -> str:
    return f"/console/account/{account.id}/verify"


def _wish(form: Mapping[str, str]) -> Wish:
    """What is not said is as usual."""
    way, count = form.get("way", "sample"), form.get("count", str(USUAL)).strip()
    if way == "sample" and not (count.isascii() and count.isdigit() and len(count) < 9 and 0 < int(count) <= MOST):
        return Wish(way, count[:20], "console.verify.count.wrong")
    return Wish(way, count)


def _how(visit: Visit, wish: Wish) -> How:
    """Raises Refused."""
    if wish.way not in WAYS:
        visit.refuse(400, "error.malformed")
    sample = {"sample": int(wish.count) if wish.way == "sample" else None, "none": 0}.get(wish.way)
    return how_for(full=wish.way == "full", sample=sample, local=wish.way == "local")
