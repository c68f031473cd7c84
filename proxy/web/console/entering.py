"""Login and logout of administrators, and who may see anything at all.

Until there is an administrator, the console answers this machine alone, and says how to add one. A session ends with
its administrator (`mailstore.administrators`): each request looks it up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import urlencode

from twisted.internet.task import deferLater

from mailstore.web_sessions import WebSession
from proxy.admin.administrators import Console
from proxy.login.guesses import counted_by_all
from proxy.web.console.attempts import Attempts
from proxy.web.routes import Handler
from proxy.web.visit import Visit, Web, is_ours

HOME: Final = "/console"
LOGIN: Final = "/console/login"
WRONG: Final = "wrong"  # news to other nodes: an administrator's password was
_LONGEST: Final = 1_000  # characters of a name or a password that are looked at


class Entering:
    """The door of one daemon's console."""

    def __init__(self, web: Web, left: Callable[[WebSession], None]) -> None:
        """`left` is told who has logged out."""
        self._web = web
        self._left = left
        self._console = Console(web.database)
        self._attempts = Attempts(web.reactor.seconds)
        if web.nodes is not None:
            self._attempts.tell = counted_by_all(web.nodes, WRONG, self._attempts.count)

    def guarded(self, handler: Handler) -> Handler:
        """For those who are logged in; others are asked to, and come back."""

        async def guard(visit: Visit, **parts: str) -> bytes:
            if visit.session is not None:
                return await handler(visit, **parts)
            if (closed := await self._closed(visit)) is not None:
                return closed
            to = visit.back if visit.request.method == b"GET" else HOME
            place = LOGIN if to == HOME else f"{LOGIN}?{urlencode({'to': to})}"
            if visit.header("HX-Request"):  # part of a page would get the login page in its place
                visit.request.setHeader("HX-Redirect", LOGIN)
            return visit.go(place)

        return guard

    async def ask(self, visit: Visit) -> bytes:
        """The login page."""
        closed = await self._closed(visit)
        if closed is not None:
            return closed
        self._insist_on_encryption(visit)
        if visit.session is not None:
            return visit.go(HOME)
        return visit.page("console/login.html", problem="", name="", to=_target(visit.query.get("to", "")))

    async def log_in(self, visit: Visit) -> bytes:
        """One attempt. An unknown name, a wrong password and a removed administrator are told the same."""
        if (closed := await self._closed(visit)) is not None:
            return closed
        self._insist_on_encryption(visit)
        name = visit.form.get("name", "")[:_LONGEST].strip().lower()
        to, address = _target(visit.form.get("to", "")), visit.visitor.address
        if self._attempts.refused(name, address):
            self._refused(name, address, "too many attempts")
            return visit.page("console/login.html", status=429, problem="console.login.often", name=name, to=to)
        delay = self._attempts.delay(address)
        self._attempts.failed(name, address)
        password = visit.form.get("password", "")[: _LONGEST + 1]
        found = await visit.web.in_thread(self._console.login, name, password)
        if found is None:
            self._attempts.wrong(name, address)
            self._refused(name, address, "wrong")
            if delay:
                await deferLater(self._web.reactor, delay)
            return visit.page("console/login.html", status=403, problem="console.login.wrong", name=name, to=to)
        self._attempts.succeeded(name, address)
        await visit.log_in(found.name)
        self._web.log.info("administrator logged in", audit=True, peer=address, name=found.name)
        return visit.go(to)

    def _refused(self, name: str, address: str, why: str) -> None:
        """The address comes before what a client can choose, as in the gate's lines."""
        self._web.log.warning(
            "administrator login refused", audit=True, peer=address, protocol="console", why=why, name=name[:64]
        )

    async def log_out(self, visit: Visit) -> bytes:
        if visit.session is not None:
            name, address = visit.session.subject, visit.visitor.address
            self._web.log.info("administrator logged out", audit=True, peer=address, name=name)
            self._left(visit.session)
        await visit.log_out()
        visit.tell("console.logged_out")
        return visit.go(LOGIN)

    async def _closed(self, visit: Visit) -> bytes | None:
        """What is said as long as there is no administrator; None once there is one."""
        if await visit.web.in_thread(self._console.administrators.any):
            return None
        if not visit.visitor.loopback:
            visit.refuse(403, "error.forbidden")
        return visit.page("console/closed.html", file=str(self._web.config.origin.source))

    def _insist_on_encryption(self, visit: Visit) -> None:
        """As with mail's passwords. Raises Refused."""
        plain = self._web.config.tls.plaintext_login
        if visit.visitor.secure or plain == "always" or (plain == "loopback" and visit.visitor.loopback):
            return
        visit.refuse(403, "error.unencrypted")


def _target(text: str) -> str:
    """Where somebody wanted to go: a page of the console."""
    return text if is_ours(text) and (text + "/").startswith(("/console/", "/console?")) else HOME
