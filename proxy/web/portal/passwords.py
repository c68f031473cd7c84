"""Another password: here, once the account is final; before that it is the old server's, and is changed there."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from mailstore import secrets
from mailstore.accounts import Account, State
from proxy.admin.passwords import SHORTEST
from proxy.web.portal.arriving import LONGEST, may_type_password
from proxy.web.portal.home import account_of
from proxy.web.visit import Refused, Visit, Web
from proxy.wire import trace
from proxy.wire.door import Credentials, Hold, LoginRefused, Refusal, Secret


class Passwords:
    """The form, and what becomes of it."""

    def __init__(self, web: Web) -> None:
        self._web = web

    async def page(self, visit: Visit) -> bytes:
        """`/password`"""
        account = await account_of(visit)
        return visit.go("/") if account is None else self._form(visit, account)

    def _form(self, visit: Visit, account: Account, problem: str = "", field: str = "", status: int = 200) -> bytes:
        return visit.page(
            "portal/password.html",
            status=status,
            account=account,
            ours=account.state is State.FINAL,
            shortest=SHORTEST,
            contact=self._web.config.domains[account.domain].contact,
            allowed=may_type_password(visit),
            problem=problem,
            wrong=field,
        )

    async def change(self, visit: Visit) -> bytes:
        """The form was sent. Nothing is changed unless all of it is right."""
        if not may_type_password(visit):
            raise Refused(403, "error.unencrypted")
        account = await account_of(visit)
        if account is None:
            return visit.go("/")
        if account.state is not State.FINAL:
            return self._form(visit, account, status=409)
        current, new, again = (visit.form.get(name, "") for name in ("current", "new", "again"))
        problem, field = _wrong_with(account, current, new, again)
        if problem:
            words = visit.say(problem, count=SHORTEST)
            return self._form(visit, account, words, field, status=422)
        try:
            await self._prove(visit, account, current)
        except LoginRefused as refused:
            wrong = refused.refusal is Refusal.WRONG
            words = visit.say("portal.password.current_wrong" if wrong else "portal.password.not_now")
            return self._form(visit, account, words, "current", status=403 if wrong else 503)
        stored = await self._web.in_thread(secrets.hash_password, new.encode())
        if not await self._web.in_thread(self._web.accounts.password_chosen, account.id, stored):
            return visit.go("/password")  # it is not final any more
        await self._web.in_thread(self._web.sessions.end_all, "portal", account.name, visit.session)
        self._web.log.info("password changed by its user", account=account.name, peer=visit.visitor.address)
        visit.tell("portal.password.changed")
        return visit.go("/")

    def _prove(self, visit: Visit, account: Account, current: str) -> Deferred[Account]:
        """By way of the gate, which slows guesses down. Raises LoginRefused."""
        secret, peer = Secret(current.encode()), visit.visitor.address
        credentials = Credentials(account.name.encode(), secret, "web", peer, trace.current())
        return Deferred.fromCoroutine(self._web.gate.admit(credentials, Hold()))


def _wrong_with(account: Account, current: str, new: str, again: str) -> tuple[str, str]:
    """What is wrong, of words, and in which field; "" where nothing is."""
    if not current or len(current.encode()) > LONGEST:
        return "portal.password.current_wrong", "current"
    if len(new) < SHORTEST:
        return "portal.password.short", "new"
    if len(new.encode()) > LONGEST or not new.isprintable():
        return "portal.password.odd", "new"
    if new == current:
        return "portal.password.same", "new"
    if new.lower() in {account.name, account.local, account.domain}:
        return "portal.password.name", "new"
    if new != again:
        return "portal.password.differs", "again"
    return "", ""
