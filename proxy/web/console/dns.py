"""A domain's records in DNS: what they should be, whether they are, and a look that goes on until all is right.

What `mailferry dns` does, as a task of the daemon: `proxy.admin.dns.keeping`. Nothing is changed in DNS.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from proxy.admin.dns.asked import FIELDS, Field, Given, NotMeant, remembered, understood
from proxy.admin.dns.judging import Judgement
from proxy.admin.dns.keeping import EVERY, Looks
from proxy.admin.dns.looking import Look
from proxy.admin.dns.telling import Group, Standing, caches, groups, kind, standing, wished
from proxy.admin.dns.wanted import in_order
from proxy.admin.dns.zone import snippet
from proxy.config import Domain
from proxy.web.console.showing import place, served, step_page
from proxy.web.console.steps import Steps
from proxy.web.visit import Visit, Web

Form = Mapping[Field, str]
KIND: Final = "dns"  # of the task
MOST: Final = 16  # values of one field
LONGEST: Final = 2_000  # characters of it
_APART: Final = re.compile(r"[\s,;，；、]+")
_SPACES: Final = re.compile(r"\s+")  # a comma may be part of an SPF mechanism (RFC 7208 7.1)
# How each state looks, beside its word.
LOOKS: Final[Mapping[Standing, str]] = {
    "right": "moved",
    "stays": "",
    "changed in part": "attention",
    "not changed": "attention",
    "cached": "moving",
    "wrong": "blocked",
    "missing": "attention",
    "not reachable": "blocked",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A record in the table. `now` is what is there, where it is to stay as it is."""

    judgement: Judgement
    kind: str
    standing: Standing
    wished: str
    now: str
    groups: list[Group]

    @property
    def looks(self) -> str:
        return LOOKS[self.standing]


class Records:
    """Of one daemon's console."""

    def __init__(self, web: Web, steps: Steps) -> None:
        self._web = web
        self._steps = steps
        self._looks = Looks(web.config, web.reactor)

    async def see(self, visit: Visit, domain: str) -> bytes:
        """How it is. Raises Refused."""
        return await self._page(visit, served(visit, domain))

    async def _page(self, visit: Visit, domain: Domain, form: Form | None = None, wrong: Form | None = None) -> bytes:
        """`form` is what was sent, where that was `wrong`."""
        if form is None:
            given = await visit.web.in_thread(self._remembered, domain)
            form = {field: " ".join(given.of(field)) for field in FIELDS}
        last = self._looks.last(domain)
        task = visit.web.tasks.of(KIND, domain.name)
        return step_page(
            visit,
            "console/dns.html",
            domain.name,
            "dns",
            status=400 if wrong else 200,
            fields=FIELDS,
            form=form,
            wrong=wrong or {},
            task=task,
            last=last,
            every=EVERY,
            known=self._is_known(visit, last.look),
            **({"look": None} if last.look is None else self._shown(last.look)),
        )

    @staticmethod
    def _is_known(visit: Visit, look: Look | None) -> bool:
        """Has the page that asks how it goes this look already?"""
        return bool(visit.header("HX-Request")) and visit.query.get("at") == (str(look.at) if look is not None else "")

    def _remembered(self, domain: Domain) -> Given:
        try:
            return remembered(self._web.config.state, domain)
        except OSError as error:
            self._web.log.warning("what was asked of DNS cannot be read", reason=error.strerror)
            return Given()

    def _shown(self, look: Look) -> dict[str, Any]:
        return {
            "look": look,
            "rows": [_row(judgement) for judgement in look.judgements],
            "count": len(look.judgements),
            "right": look.count_right,
            "caches": caches(look),
            "mistakes": [remark.text for remark in look.remarks if remark.weight == "mistake"],
            "advices": [remark.text for remark in look.remarks if remark.weight == "advice"],
            "snippet": snippet(look, self._web.config.hostname),
            "in_order": in_order,
        }

    async def look(self, visit: Visit, domain: str) -> bytes:
        """Begin to look, as the form says. Raises Refused."""
        found = served(visit, domain)
        form = {field: visit.form.get(field, "") for field in FIELDS}
        if any(len(text) > LONGEST for text in form.values()):
            visit.refuse(400, "error.malformed")
        given, wrong = _given(visit, form)
        if wrong:
            return await self._page(visit, found, form=form, wrong=wrong)
        keep = visit.form.get("keep") == "1"
        about = {field: given.of(field) for field in FIELDS if given.of(field)}
        self._steps.begin(visit, KIND, domain, self._looks.work(found, given, keep=keep), keep=keep, **about)
        return visit.go(place(domain, "dns"))

    async def stop(self, visit: Visit, domain: str) -> bytes:
        """Look no more. Raises Refused."""
        served(visit, domain)
        self._steps.stop(visit, KIND, domain)
        return visit.go(place(domain, "dns"))

    async def zone(self, visit: Visit, domain: str) -> bytes:
        """What should be, as a file to paste. Raises Refused."""
        look = self._looks.last(served(visit, domain)).look
        if look is None:
            visit.refuse(404, "error.notfound")
        visit.request.setHeader("Content-Type", "text/plain; charset=utf-8")
        visit.request.setHeader("Content-Disposition", f'attachment; filename="{look.domain}-dns.txt"')
        return snippet(look, self._web.config.hostname).encode()


def _given(visit: Visit, form: Form) -> tuple[Given, Form]:
    """What the form says, and what is wrong with which of its fields."""
    found: dict[Field, tuple[str, ...]] = {}
    wrong: dict[Field, str] = {}
    for field in FIELDS:
        texts = [text for text in (_SPACES if field == "spf" else _APART).split(form[field]) if text]
        try:
            if len(texts) > MOST:
                wrong[field] = visit.say("console.dns.wrong.many", most=MOST)
            found[field] = understood(field, texts)
        except NotMeant as error:
            wrong[field] = visit.say(f"console.dns.wrong.{error.wrong}", value=error.value)
    return Given(**found), wrong


def _row(judgement: Judgement) -> Row:
    now = ""
    if judgement.wish.rule == "as it is":
        now = next((", ".join(in_order(s.answer.content)) for s in judgement.seen if not s.answer.trouble), "")
    said = [] if judgement.right else groups(judgement)
    return Row(judgement, kind(judgement), standing(judgement), wished(judgement), now, said)
