"""From a path to a page: session, origin, CSRF token, and what becomes of errors.

A `Routes` is the pages of one place. Everything that goes wrong in a page becomes an answer here, and nowhere else: a
`Refused` its page, what the store refuses a page that says so, and the unexpected one without any detail, which the log
has.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from klein import Klein
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from werkzeug.exceptions import HTTPException

from mailstore.errors import MailstoreError
from mailstore.web_sessions import Place
from proxy.web import security
from proxy.web.visit import Refused, Visit, Web, read_form
from proxy.wire import trace
from proxy.wire.faults import kind, where

Handler = Callable[..., Coroutine[Deferred[Any], Any, bytes]]
ReadBody = Callable[[Visit], Awaitable[Any] | None]


async def _anything(_visit: Visit) -> None:
    """The page reads the body itself."""


class Routes:
    """The pages of one place on one listener."""

    def __init__(self, web: Web, app: Klein, place: Place) -> None:
        self._web = web
        self._app = app
        self._place: Place = place

    def get(self, path: str, handler: Handler) -> None:
        """A page at `path`, in klein's form: `/console/domain/<name>`, whose parts are handed over by name."""
        self._route(path, ("GET", "HEAD"), handler)

    def post(self, path: str, handler: Handler, *, body: ReadBody | None = None) -> None:
        """Something that changes something: only with this browser's token, from a page of ours. `body` reads it, and
        leaves the fields in `visit.form`: a plain form's, if not said."""

        async def proven(visit: Visit, **parts: str) -> bytes:
            if not security.same_origin(visit.request):
                raise Refused(403, "error.expired")
            if body is None:
                read_form(visit)
            elif (reading := body(visit)) is not None:
                await reading
            if not visit.proves_its_form():
                raise Refused(403, "error.expired")
            return await handler(visit, **parts)

        self._route(path, ("POST",), proven)

    def program(self, path: str, methods: tuple[str, ...], handler: Handler) -> None:
        """Something that programs ask for, without a session, and that changes nothing."""
        self._route(path, methods, handler)

    def _route(self, path: str, methods: tuple[str, ...], handler: Handler) -> None:
        def answer(request: Any, **parts: str) -> Deferred[bytes]:
            return Deferred.fromCoroutine(self._answer(request, handler, parts))

        answer.__name__ = f"{self._place} {methods[0]} {path}"  # klein's endpoints are told apart by it
        self._app.route(path, methods=list(methods), strict_slashes=False)(answer)

    async def _answer(self, request: Any, handler: Handler, parts: dict[str, str]) -> bytes:
        trace.follow(trace.new())
        try:
            visit = Visit(self._web, self._place, request)
            await visit.find_session()
            if visit.session is not None and self._web.sessions.stale(visit.session):
                await self._web.in_thread(self._web.sessions.touch, visit.session)
            return await handler(visit, **parts)
        except Refused as refused:
            return error_page(self._web, self._place, request, refused.status, refused.key)
        except MailstoreError as error:
            self._web.log.error("store failed", reason=str(error), page=self._place)  # noqa: TRY400 - a line, no traceback
            return error_page(self._web, self._place, request, 503, "error.failed")


def error_page(web: Web, place: Place, request: Any, status: int, key: str) -> bytes:
    """Says what is wrong and what to do, to whoever it is."""
    request.uri = request.path  # a query that cannot be read would be refused again
    return Visit(web, place, request).page("error.html", status=status, key=key)


def handle_errors(web: Web, app: Klein, place: Place) -> None:
    """What klein itself says no to, and defects."""

    def of_http(request: Any, failure: Failure) -> bytes:
        error: Any = failure.value
        key = {404: "error.notfound", 405: "error.method", 413: "error.large"}.get(error.code, "error.malformed")
        if error.code in {301, 302, 307, 308}:  # werkzeug's own, for paths with a slash too many
            key, error.code = "error.notfound", 404
        page = error_page(web, place, request, error.code, key)
        if error.code == 405:
            request.setHeader("Allow", ", ".join(sorted(error.valid_methods or ())))
        return page

    def unexpected(request: Any, failure: Failure) -> bytes:
        if not isinstance(failure.value, CancelledError):
            web.log.error("unexpected", error=kind(failure), where=where(failure), page=place)
        return error_page(web, place, request, 500, "error.failed")

    app.handle_errors(HTTPException)(of_http)
    app.handle_errors(Exception)(unexpected)
