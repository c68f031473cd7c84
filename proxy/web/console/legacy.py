"""A domain's old server: how it is spoken to, what is found of it, and what it does when somebody logs in.

What `mailferry discover` and `mailferry probe` do, as two tasks of the domain. Both go by the configuration file as it
is now (`proxy.admin.settling`). A password is in the form that brings it and in the login that it is for, and nowhere
else; an account that was refused just now is tried again only by one who says that the password is sure to be right.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from twisted.internet.defer import CancelledError

from mailstore.proofs import Proofs
from proxy.admin import proving
from proxy.admin.chosen import NotServed, account_name
from proxy.admin.discovering.found import Discovery, discover
from proxy.admin.discovering.places import World
from proxy.admin.discovering.text import as_toml, found_by
from proxy.admin.dns.asking import NoAnswer
from proxy.admin.dns.looking import resolvers
from proxy.admin.probing.attempts import MOST, forms
from proxy.admin.probing.finding import Answer, Probed, Step
from proxy.admin.probing.known import Known, Paused, known
from proxy.admin.probing.outcome import Outcome, outcome
from proxy.admin.probing.refused import Refused
from proxy.admin.probing.run import Probe, can_be_sent
from proxy.admin.proving import Standing, standing
from proxy.admin.settings_file import may_write
from proxy.admin.settling import Filed, Settling, filed, of_candidate, of_probe
from proxy.admin.tasks import Task, TaskFailed, apart
from proxy.config import Config
from proxy.login.names import Name
from proxy.web.console.seeing import Seeing
from proxy.web.console.showing import place, served, step_page
from proxy.web.console.steps import Steps
from proxy.web.visit import Visit, Web
from proxy.wire.door import Secret

STEP: Final = "legacy"
DISCOVER: Final = "discover"
PROBE: Final = "probe"
SILENT: Final = 12  # places where nothing answers that a page names
FOLDERS: Final = 20  # … and folders


@dataclass(frozen=True, slots=True)
class Found:
    """What a look has found, of a configuration."""

    discovery: Discovery
    config: Config

    def settling(self) -> Settling | None:
        """What of it can be written down."""
        best, domain = self.discovery.best, self.discovery.domain
        return None if best is None else of_candidate(best, domain)


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of a probe with a configuration."""

    outcome: Outcome
    config: Config

    def settling(self) -> Settling | None:
        return of_probe(self.config, self.outcome) if self.outcome.new else None


@dataclass(frozen=True, slots=True)
class Ground:
    """What a page stands on: the file, what it has otherwise than the daemon, and how far the domain's proof is."""

    filed: Filed
    changed: tuple[str, ...]
    standing: Standing
    may_write: bool


@dataclass(frozen=True, slots=True)
class Wish:
    """What the form of a probe says; `problems` by field, in words."""

    account: str = ""
    lock: bool = False
    problems: tuple[tuple[str, str], ...] = ()
    must_be_sure: bool = False


class OldServer:
    """Of one daemon's console."""

    def __init__(self, web: Web, seeing: Seeing, steps: Steps) -> None:
        self._web = web
        self._seeing = seeing
        self._steps = steps
        self._proofs = Proofs(web.database)
        self._refused = Refused(web.reactor.seconds)

    # What there is

    async def see(self, visit: Visit, domain: str) -> bytes:
        """Raises Refused."""
        served(visit, domain)
        return await self._page(visit, domain, Wish(account=visit.query.get("account", "")[:320]))

    def ground(self, domain: str) -> Ground:
        """Called in a thread. Raises MailstoreError."""
        config = self._web.config
        now = filed(config, domain)
        stands = standing(config.domains[domain], self._proofs.all().get(domain))
        may = not now.trouble and may_write(Path(config.origin.source))
        return Ground(now, now.changed(config, domain), stands, may)

    async def _page(self, visit: Visit, domain: str, wish: Wish, status: int = 200) -> bytes:
        ground = await visit.web.in_thread(self.ground, domain)
        looking, trying = self.task(DISCOVER, domain), self.task(PROBE, domain)
        found = looking.result if looking is not None and isinstance(looking.result, Found) else None
        tried = trying.result if trying is not None and isinstance(trying.result, Tried) else None
        return step_page(
            visit,
            "console/legacy.html",
            domain,
            STEP,
            status=status,
            ground=ground,
            file=visit.web.config.origin.source,
            legacy=visit.web.config.domains[domain].legacy,
            host=ground.filed.config.domains[domain].legacy.host,
            proven_on=proving.day(ground.standing) if ground.standing.proof is not None else "",
            users=[form.user for form in forms(ground.filed.config.domains[domain], Name("test", domain))],
            source=ground.filed.config.domains[domain].legacy.source,
            looking=looking,
            found=found,
            found_by=found_by,
            as_toml=as_toml,
            silent=SILENT,
            trying=trying,
            tried=tried,
            stale=tried is not None and bool(ground.filed.changed(tried.config, domain)),
            end_of=_end_of,
            day=_day,
            most=MOST,
            folders=FOLDERS,
            command=self._commands(domain, tried),
            wish=wish,
            problems=dict(wish.problems),
        )

    def _commands(self, domain: str, tried: Tried | None) -> dict[str, str]:
        """What does the same on the command line."""
        account = tried.outcome.found.account if tried is not None else f"test@{domain}"
        file = shlex.quote(self._web.config.origin.source)
        meant = {DISCOVER: domain, PROBE: account}
        return {kind: f"mailferry {kind} {shlex.quote(who)} --write --config {file}" for kind, who in meant.items()}

    def task(self, kind: str, domain: str) -> Task | None:
        """The one that is under way, or the last one."""
        return self._web.tasks.of(kind, domain)

    # Looking for it

    async def discover(self, visit: Visit, domain: str) -> bytes:
        """Begin to look. Raises Refused."""
        served(visit, domain)

        async def work(_task: Task) -> Found:
            config = (await self._web.in_thread(filed, self._web.config, domain)).config
            name = config.domains[domain].ascii_name
            try:
                found = await apart(self._web.reactor, discover, name, World(resolvers(config, ())), config)
            except NoAnswer as error:
                raise TaskFailed(f"{name} could not be looked up: {error.text}") from None
            return Found(found, config)

        self._steps.begin(visit, DISCOVER, domain, work)
        return visit.go(f"{place(domain, STEP)}#found")

    async def stop(self, visit: Visit, domain: str, what: str) -> bytes:
        """Raises Refused."""
        served(visit, domain)
        if what not in {DISCOVER, PROBE}:
            visit.refuse(404, "error.notfound")
        self._steps.stop(visit, what, domain)
        return visit.go(place(domain, STEP))

    # Logging in

    async def probe(self, visit: Visit, domain: str) -> bytes:
        """Begin to try it with an account. Raises Refused."""
        served(visit, domain)
        wish = Wish(account=visit.form.get("account", "").strip()[:320], lock=visit.form.get("lock") == "yes")
        password = Secret(visit.form.get("password", "").encode(errors="replace"))
        config = (await visit.web.in_thread(filed, self._web.config, domain)).config
        try:
            name = _name(config, domain, wish.account)
        except NotServed:
            why = visit.say("console.probe.account.wrong", example=f"test@{domain}")
            return await self._no(visit, domain, wish, "account", why)
        if not can_be_sent(password):
            return await self._no(visit, domain, wish, "password", visit.say("console.probe.password.wrong"))
        try:
            here = await visit.web.in_thread(known, self._web.database, name)
        except Paused:
            return await self._no(visit, domain, wish, "account", visit.say("console.probe.paused", name=name), 409)
        # From here to the beginning of the task nothing is waited for: of two that come at once one is too late.
        if self._refused.lately(str(name)) and visit.form.get("sure") != "yes":
            wish = Wish(wish.account, wish.lock, must_be_sure=True)
            return await self._no(visit, domain, wish, "sure", visit.say("console.probe.sure.missing"), 409)
        self._begin(visit, config, name, password, here, lock=wish.lock)
        return visit.go(f"{place(domain, STEP)}#tried")

    async def _no(self, visit: Visit, domain: str, wish: Wish, field: str, why: str, status: int = 400) -> bytes:
        """Nothing was tried, since something is wrong with a field."""
        told = Wish(wish.account, wish.lock, ((field, why),), wish.must_be_sure)
        return await self._page(visit, domain, told, status)

    def _begin(self, visit: Visit, config: Config, name: Name, password: Secret, here: Known, *, lock: bool) -> None:
        async def work(task: Task) -> Tried:
            def told(step: Step, whom: str) -> None:
                task.step = f"{step.value} {whom}"

            probe = Probe(config, name, self._web.reactor, told, own_login=here.own_login, lock=lock)
            try:
                await probe.run(password)
            except CancelledError:  # how many logins there were is told all the same
                probe.found.trouble = "it was stopped: what was found by then is told"
            if probe.found.attempts and probe.found.accepted is None:
                self._refused.note(str(name))
            probe.found.figures = here.figures
            return Tried(outcome(config.domains[name.domain], probe.found), config)

        self._steps.begin(visit, PROBE, name.domain, work, account=str(name))


def _name(config: Config, domain: str, text: str) -> Name:
    """An account of the domain; without "@", too. Raises NotServed."""
    name = account_name(config, text if "@" in text else f"{text}@{domain}")
    if name.domain != domain:
        raise NotServed(f'"{text}" is of {name.domain}, which has a page of its own')
    return name


def _end_of(found: Probed) -> str:
    """How a probe ended: `console.probe.end.…`."""
    if not found.trouble:
        return "good"
    if found.way is None:
        return "unreached"
    refused = found.attempts and found.accepted is None and found.attempts[-1].answer is not Answer.BROKEN
    return "refused" if refused else "broken"


def _day(seconds: int) -> str:
    """UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"
