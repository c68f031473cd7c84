"""One request and its answer: what a page is handed.

    async def greet(visit: Visit) -> bytes:
        name = visit.form.get("name", "")
        if not name:
            return visit.page("portal/login.html", problem=visit.say("portal.whole_address", domain="123.com"))
        visit.tell("portal.logged_out")  # shown once, on the page that comes next
        return visit.go("/")

What is in `form` and `query` is text as it was sent, of whatever kind: a page checks it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any, Final, Literal, NoReturn, TypeVar
from urllib.parse import parse_qsl

from twisted.internet.defer import Deferred

from mailstore.accounts import Accounts
from mailstore.database import AccountsDatabase
from mailstore.secrets import Sealer
from mailstore.web_sessions import IDLE, Place, WebSession, WebSessions
from proxy.admin.tasks import Tasks
from proxy.config import Config
from proxy.config.sizes import size
from proxy.login.asking import Store, ask
from proxy.login.gate import LoginGate
from proxy.login.homes import Homes
from proxy.login.legacy import LegacyDoor
from proxy.login.mover import Mover
from proxy.login.nodes import Nodes
from proxy.login.outcomes import Log
from proxy.web import security
from proxy.web.languages import chosen
from proxy.web.pages import Pages, duration
from proxy.web.words import HTML, LANGUAGES, Language, say
from proxy.wire.in_thread import InThread

FIELDS: Final = 2_000  # of a form
LANGUAGE_SECONDS: Final = 365 * 24 * 3600

Tone = Literal["good", "bad"]


class Refused(Exception):
    """There is no such page for this visitor. `key` is of `words`: `error.…`, with a `….do` that says the remedy."""

    def __init__(self, status: int, key: str) -> None:
        super().__init__(key)
        self.status = status
        self.key = key


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Web:
    """What pages stand on. One in a daemon."""

    config: Config
    database: AccountsDatabase
    accounts: Accounts
    sessions: WebSessions
    sealer: Sealer
    gate: LoginGate
    homes: Homes
    door: LegacyDoor
    mover: Mover
    tasks: Tasks
    pages: Pages
    shown: Callable[[], tuple[bytes, bytes] | None]  # certificate and key that clients are shown just now, in PEM
    health: Callable[[bytes], Deferred[tuple[int, bytes]]]  # HTTP's status and JSON, of /healthz or /readyz
    forms_key: bytes  # makes the tokens of forms of those who are not logged in
    nodes: Nodes | None  # other nodes; None: there are none
    in_thread: InThread
    reactor: Any
    log: Log

    async def ask(self, store: Store, question: Callable[..., T], *about: Any) -> T:
        """See `proxy.login.asking`."""
        return await ask(store, self.in_thread, question, *about)


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A file of a form. `name` is what the browser called it: anything at all."""

    name: str
    stream: IO[bytes]


class Visit:
    """`session` is the visitor's at this place, if logged in."""

    def __init__(self, web: Web, place: Place, request: Any) -> None:
        self.web = web
        self.place = place
        self.request = request
        self.visitor = security.visitor(request)
        self.language: Language = chosen(self._plain_cookie("language"), self.header("Accept-Language"))
        self.back = request.uri.decode("ascii", "replace")  # where the visitor is, to come back to
        self.query: Mapping[str, str] = _fields(request.uri.partition(b"?")[2])
        self.form: Mapping[str, str] = {}
        self.lists: Mapping[str, list[str]] = {}  # of the form, where a name comes several times
        self.files: Mapping[str, Uploaded] = {}  # of a form that takes them (`proxy.web.uploads`)
        self.session: WebSession | None = None
        self._browser = ""

    def header(self, name: str) -> str:
        """The request's, "" if it has none."""
        value = self.request.getHeader(name)
        return value.decode("latin-1") if isinstance(value, bytes) else value or ""

    def _plain_cookie(self, name: str) -> str:
        value = self.request.getCookie(security.cookie_name(name, secure=self.visitor.secure).encode())
        return value.decode("latin-1") if value else ""

    # Words

    def say(self, key: str, **values: object) -> str:
        """In the visitor's language."""
        return say(self.language, key, **values)

    def duration(self, seconds: float) -> str:
        """`4 minutes`."""
        return duration(self.language, seconds)

    # Sessions

    async def find_session(self) -> None:
        """See who it is. Raises StorageFailed."""
        token = security.cookie(self.request, self.place, secure=self.visitor.secure)
        self.session = None
        if token is not None:
            sessions = self.web.sessions
            self.session = await self.web.ask(sessions, sessions.find, self.place, token)

    async def log_in(self, subject: str) -> None:
        """Let the visitor be somebody from here on, under a new token. Raises StorageFailed."""
        if self.session is not None:
            await self.web.in_thread(self.web.sessions.end, self.session)
        token, self.session = await self.web.in_thread(self.web.sessions.begin, self.place, subject)
        # The portal's is kept when the browser is closed: who comes back sees how far it is.
        seconds = IDLE[self.place] if self.place == "portal" else None
        self._set_cookie(self.place, token, seconds=seconds)

    async def log_out(self) -> None:
        """Let the visitor be nobody. Raises StorageFailed."""
        if self.session is not None:
            session, self.session = self.session, None
            await self.web.in_thread(self.web.sessions.end, session)
            self._set_cookie(self.place, "", seconds=0)

    def _set_cookie(self, name: str, value: str, *, seconds: int | None) -> None:
        security.set_cookie(
            self.request,
            name,
            value,
            secure=self.visitor.secure,
            strict=self.place == "console",
            seconds=seconds,
        )

    # Forms

    @property
    def form_token(self) -> str:
        """What this browser's next form has to bring back."""
        if self.session is not None:
            return self.session.csrf
        if not self._browser:
            self._browser = security.cookie(self.request, "browser", secure=self.visitor.secure) or ""
        if not self._browser:
            self._browser = security.browser_token()
            security.set_cookie(self.request, "browser", self._browser, secure=self.visitor.secure)
        return security.form_token(self.web.forms_key, self.place, self._browser)

    def proves_its_form(self) -> bool:
        """Has the form brought back what it was given?"""
        brought = self.form.get("csrf", "") or self.header("X-CSRF-Token")
        known = self.session is not None or security.cookie(self.request, "browser", secure=self.visitor.secure)
        return bool(known) and security.equal(brought, self.form_token)

    # Answers

    def page(self, template: str, *, status: int = 200, **values: Any) -> bytes:
        """A page. Templates have `visit`, `t` (a text by its key), `octets`, `duration`."""
        self.request.setResponseCode(status)
        self.request.setHeader("Content-Type", "text/html; charset=utf-8")
        self.request.setHeader("Content-Language", HTML[self.language])
        self.request.setHeader("Vary", "Accept-Language, Cookie")
        data = self._rendered(template, values)
        self.request.setHeader("Content-Length", str(len(data)))
        return data

    def part(self, template: str, **values: Any) -> str:
        """A part of a page, for an event."""
        return self._rendered(template, values).decode()

    def _rendered(self, template: str, values: Mapping[str, Any]) -> bytes:
        return self.web.pages.render(
            template,
            visit=self,
            t=self.say,
            octets=size,
            duration=self.duration,
            languages=LANGUAGES,
            html_language=HTML,
            **values,
        )

    def go(self, path: str) -> bytes:
        """See another page, one of ours."""
        self.request.setResponseCode(303)
        self.request.setHeader("Location", path if is_ours(path) else "/")
        return b""

    def tell(self, key: str, tone: Tone = "good", **values: str | int) -> None:
        """Have it said on the page that comes next, once. It goes by way of the browser: nothing secret."""
        text = json.dumps([tone, key, values]).encode()
        self._set_cookie("told", base64.urlsafe_b64encode(text).decode(), seconds=60)

    def told(self) -> tuple[str, str] | None:
        """What was to be said, with its tone; and it is said now."""
        text = self._plain_cookie("told")
        if not text:
            return None
        self._set_cookie("told", "", seconds=0)
        try:
            tone, key, values = json.loads(base64.urlsafe_b64decode(text))
            return ("bad" if tone == "bad" else "good"), self.say(key, **values)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError):
            return None  # a browser may send anything

    def choose_language(self, language: str) -> None:
        """From now on."""
        if language in LANGUAGES:
            self._set_cookie("language", language, seconds=LANGUAGE_SECONDS)

    def refuse(self, status: int, key: str) -> NoReturn:
        """Raises Refused."""
        raise Refused(status, key)


def is_ours(path: str) -> bool:
    """A path on this server, and no other server's address that looks like one."""
    return path.startswith("/") and not path.startswith(("//", "/\\")) and path.isascii() and path.isprintable()


def _fields(text: bytes) -> dict[str, str]:
    return dict(_pairs(text))


def _pairs(text: bytes) -> list[tuple[str, str]]:
    """Raises Refused."""
    try:
        return parse_qsl(text.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=FIELDS)
    except ValueError:  # UnicodeDecodeError is one
        raise Refused(400, "error.malformed") from None


def read_form(visit: Visit) -> None:
    """The body of a form (application/x-www-form-urlencoded). Raises Refused."""
    kind = visit.header("Content-Type").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Refused(415, "error.malformed")
    visit.request.content.seek(0)
    pairs = _pairs(visit.request.content.read())
    lists: dict[str, list[str]] = {}
    for name, value in pairs:
        lists.setdefault(name, []).append(value)
    visit.form, visit.lists = dict(pairs), lists
