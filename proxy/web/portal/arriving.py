"""Logging in: what was typed goes to the gate, as it would from a mail program, with the visitor's address.

The gate answers a first login when the whole old mailbox is here. The page does not wait so long: when the password is
known to be right (`Hold.accepted`) the visitor is in and sees how far the move is. Where even that takes its time, the
page says so and asks again; an attempt that nobody asks about any more is dropped, like a client's that hangs up.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from mailstore.accounts import Account, State
from proxy.login.names import Name, parse, typed
from proxy.web import security
from proxy.web.visit import Refused, Visit, Web
from proxy.wire import trace
from proxy.wire.arrivals import Arrivals
from proxy.wire.door import Because, Credentials, Hold, LoginRefused, Refusal, Secret
from proxy.wire.faults import kind, where

EACH: Final = 200  # attempts from one address that are not decided
ALL: Final = 2_000
PATIENCE: Final = 1.5  # seconds that a page waits for a decision before it says that it takes longer
LOOK: Final = 0.03  # seconds between two looks
FORGOTTEN: Final = 60.0  # seconds after which an attempt that nobody asks about is dropped
LONGEST: Final = 1_000  # octets of a password


class Attempt:
    """One login that is under way."""

    def __init__(self, name: Name, hold: Hold, entering: Deferred[Account], leave: Callable[[], None]) -> None:
        """`leave` is called when it is decided: who waits for mail is not counted any more."""
        self.name = name
        self.trace = trace.current()
        self.account: Account | None = None
        self.refused: LoginRefused | None = None
        self.dropping: Any = None  # a delayed call, while it is not decided
        self._hold = hold
        self._entering = entering
        self._leave = leave

    async def look(self, web: Web) -> bool:
        """Is it decided?"""
        if self.account is None and self.refused is None and self._hold.accepted:
            # The legacy server has said yes. The account is there a moment later, and its move begins.
            found = await web.ask(web.accounts, web.accounts.find, self.name.local, self.name.domain)
            if found is not None and found.state is not State.WAITING:
                self.account = found
        decided = self.account is not None or self.refused is not None
        if decided:
            self._leave()
        return decided

    def drop(self) -> None:
        """Nobody wants to know any more."""
        self._entering.cancel()


class Attempts:
    """Those of a daemon, by what their browsers have."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self._arrivals = Arrivals(EACH, ALL)
        self._attempts: OrderedDict[str, Attempt] = OrderedDict()

    def begin(self, name: Name, password: Secret, address: str) -> tuple[str, Attempt]:
        """Ask the gate. Raises Refused where there are too many at once."""
        leave = self._arrivals.admit(address)
        if leave is None:
            raise Refused(503, "error.busy")
        hold = Hold()
        credentials = Credentials(str(name).encode(), password, "web", address, trace.current())
        entering = Deferred.fromCoroutine(self._web.gate.admit(credentials, hold))
        attempt = Attempt(name, hold, entering, leave)

        def over(result: Account | Failure) -> None:
            leave()
            if not isinstance(result, Failure):
                attempt.account = result
            elif isinstance(result.value, LoginRefused):
                attempt.refused = result.value
            else:
                attempt.refused = LoginRefused(Refusal.UNAVAILABLE, "", Because.BROKEN)
                if not isinstance(result.value, CancelledError):
                    about = {"error": kind(result), "where": where(result), "trace": attempt.trace}
                    self._web.log.error("login failed", **about)

        entering.addBoth(over)
        ticket = secrets.token_urlsafe(24)
        self._attempts[ticket] = attempt
        self._keep(ticket, attempt)
        return ticket, attempt

    def find(self, ticket: str) -> Attempt | None:
        """An attempt that its visitor asks about again."""
        attempt = self._attempts.get(ticket)
        if attempt is not None:
            self._keep(ticket, attempt)
        return attempt

    async def decided(self, attempt: Attempt) -> bool:
        """Wait a little for the decision; is there one?"""
        clock = self._web.reactor
        until = clock.seconds() + PATIENCE
        while not (decided := await attempt.look(self._web)) and clock.seconds() < until:
            await deferLater(clock, LOOK)
        return decided

    def done(self, ticket: str) -> None:
        """Its decision is known to the visitor. What was begun goes on."""
        attempt = self._attempts.pop(ticket, None)
        if attempt is not None:
            attempt.dropping.cancel()

    def _keep(self, ticket: str, attempt: Attempt) -> None:
        async def drop_undecided() -> None:
            if not await attempt.look(self._web):
                attempt.drop()

        def drop() -> None:
            del self._attempts[ticket]
            Deferred.fromCoroutine(drop_undecided()).addErrback(lambda _failure: attempt.drop())

        if attempt.dropping is not None:
            attempt.dropping.cancel()
        attempt.dropping = self._web.reactor.callLater(FORGOTTEN, drop)


def login_page(visit: Visit, *, name: str = "", refused: str = "", problem: str = "", status: int = 200) -> bytes:
    """`refused`: why not, of words `portal.no.…`; `problem`: what is wrong with the name, in words."""
    domains = list(visit.web.config.domains)
    contacts = {domain.contact for domain in visit.web.config.domains.values()}
    return visit.page(
        "portal/login.html",
        status=status,
        name=name,
        refused=refused,
        problem=problem,
        domains=domains,
        contact=contacts.pop() if len(contacts) == 1 else "",
        allowed=may_type_password(visit),
    )


def may_type_password(visit: Visit) -> bool:
    """Is this connection one over which passwords may come (`tls.plaintext_login`)?"""
    rule = visit.web.config.tls.plaintext_login
    return visit.visitor.secure or rule == "always" or (rule == "loopback" and visit.visitor.loopback)


class Arriving:
    """The pages of who is not in yet."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self._attempts = Attempts(web)

    async def again(self, visit: Visit) -> bytes:
        """Who asks for the form's own address."""
        return visit.go("/")

    async def log_in(self, visit: Visit) -> bytes:
        """The form was sent."""
        if not may_type_password(visit):
            raise Refused(403, "error.unencrypted")
        written = visit.form.get("name", "").strip()
        password = visit.form.get("password", "").encode()
        name = parse(typed(written).encode(), self._web.config.spellings)
        if name is None:
            example = next(iter(self._web.config.domains))
            return login_page(
                visit, name=written[:320], problem=visit.say("portal.whole_address", domain=example), status=422
            )
        if not 0 < len(password) <= LONGEST or any(octet in b"\0\r\n" for octet in password):
            return login_page(visit, name=written, refused="wrong", status=403)
        ticket, attempt = self._attempts.begin(name, Secret(password), visit.visitor.address)
        return await self._answer(visit, ticket, attempt)

    async def checking(self, visit: Visit) -> bytes:
        """Is it decided by now?"""
        ticket = security.cookie(visit.request, "attempt", secure=visit.visitor.secure) or ""
        attempt = self._attempts.find(ticket)
        if attempt is None:
            return visit.go("/")
        return await self._answer(visit, ticket, attempt)

    async def _answer(self, visit: Visit, ticket: str, attempt: Attempt) -> bytes:
        decided = await self._attempts.decided(attempt)
        secure = visit.visitor.secure
        if not decided:
            if visit.request.method == b"POST":
                security.set_cookie(visit.request, "attempt", ticket, secure=secure)
                return visit.go("/checking")
            return visit.page("portal/checking.html", name=str(attempt.name))
        self._attempts.done(ticket)
        security.set_cookie(visit.request, "attempt", "", secure=secure, seconds=0)
        if attempt.account is not None:
            await visit.log_in(attempt.account.name)
            trace.follow(attempt.trace)  # not that of the page that happens to find out
            self._web.log.info("portal login", account=attempt.account.name, peer=visit.visitor.address)
            return visit.go("/")
        assert attempt.refused is not None
        if attempt.refused.ends:
            raise Refused(503, "error.busy")
        why, status = _why_not(attempt.refused)
        return login_page(visit, name=str(attempt.name), refused=why, status=status)


def _why_not(refused: LoginRefused) -> tuple[str, int]:
    """Which words, and the answer's status."""
    match refused.refusal:
        case Refusal.WRONG:
            return "wrong", 403
        case Refusal.IN_USE:
            return "in_use", 503
        case Refusal.BLOCKED:
            return "blocked", 403
    because = refused.because
    return ("down" if because is None else because.name.lower()), 429 if because is Because.TOO_MANY else 503
