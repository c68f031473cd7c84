"""What the daemon opens: a site for `listen.web`, and one for `listen.console` where that is configured.

The console is at `/console`: of `listen.web`, or, where it has a listener of its own, only there.
"""

from __future__ import annotations

from typing import Any, Final

from klein import Klein
from twisted.internet.interfaces import IProtocolFactory
from twisted.protocols.tls import TLSMemoryBIOFactory

from mailstore.errors import MailstoreError
from mailstore.web_sessions import Place
from proxy.admin.noticing.dispatch import Dispatch
from proxy.web import security
from proxy.web.channel import WebRequest, WebSite
from proxy.web.console.importing import IMPORT
from proxy.web.console.showing import place as page_of
from proxy.web.console.site import add_console
from proxy.web.events import Events
from proxy.web.pages import FOR_EVER
from proxy.web.portal.pages import add_portal
from proxy.web.routes import Routes, error_page, handle_errors
from proxy.web.visit import Refused, Visit, Web, is_ours

# The pages that take a file, up to 64 MiB, of those who are logged in to the console: others are refused before it is
# read. Of each domain, those of UPLOAD_STEPS.
UPLOADS: Final = (IMPORT,)
UPLOAD_STEPS: Final = ("compare",)


class Sites:
    """Both, and what they share."""

    def __init__(self, web: Web, tls: Any) -> None:
        """`tls` is what makes the server's side of TLS connections; None: HTTP."""
        self._web = web
        self._tls = tls
        self.events = Events(web.reactor)
        self._dispatch = Dispatch(web.config, web.database, self._report)
        self._sites: dict[str, WebSite] = {}
        if web.config.listen.web:
            self._sites["web"] = self._site("portal")
        if web.config.listen.console:
            self._sites["console"] = self._site("console")

    def _site(self, place: Place) -> WebSite:
        app = Klein()
        routes = Routes(self._web, app, place)
        routes.get("/static/<digest>/<name>", _static)
        routes.get("/language/<language>", _language)
        routes.program("/robots.txt", ("GET", "HEAD"), _robots)
        routes.program("/healthz", ("GET", "HEAD"), _health)
        routes.program("/readyz", ("GET", "HEAD"), _health)
        if place == "console" or not self._web.config.listen.console:
            add_console(self._web, Routes(self._web, app, "console"), self.events, self._dispatch)
        if place == "console":
            routes.get("/", _to_console)
        if place == "portal":
            add_portal(routes, self._web, self.events)
        handle_errors(self._web, app, place)

        def too_large(request: WebRequest) -> bytes:
            request.path = request.uri = b"/"
            return error_page(self._web, place, request, 413, "error.large")

        def may_upload(request: WebRequest) -> bool:
            request.parseCookies()
            token = security.cookie(request, "console", secure=security.visitor(request).secure)
            try:
                return token is not None and self._web.sessions.was_found("console", token)
            except MailstoreError:
                return False

        return WebSite(
            app.resource(),
            reactor=self._web.reactor,
            dress=security.dress,
            too_large=too_large,
            uploads=_uploads(self._web),
            may_upload=may_upload,
        )

    def factory(self, listener: str) -> IProtocolFactory:
        """What makes the connections of a listener."""
        site = self._sites[listener]
        return TLSMemoryBIOFactory(self._tls, False, site, self._web.reactor) if self._tls is not None else site

    def _report(self, event: str, **about: Any) -> None:
        """A line for the log, from whatever thread."""
        self._web.reactor.callFromThread(self._web.log.info, event, **about)

    def begin(self) -> None:
        """Go on with what an earlier daemon has left undone. When the listeners are open."""
        self._dispatch.resume()

    async def ended(self) -> None:
        """Behind `end`: when nothing of ours writes any more, or not in time."""
        await self._web.in_thread(self._dispatch.ended)

    def ease(self) -> None:
        """This node goes out of service: end what only waits for news, so that browsers connect again, elsewhere."""
        self.events.end()
        for site in self._sites.values():
            site.ease()

    def end(self) -> None:
        """Close every connection; what pages have begun goes on."""
        self._dispatch.end()
        self._web.tasks.end()
        self.events.end()
        for site in self._sites.values():
            site.end()


def _uploads(web: Web) -> tuple[bytes, ...]:
    pages = [page_of(domain, step) for domain in web.config.domains for step in UPLOAD_STEPS]
    return tuple(path.encode() for path in (*UPLOADS, *pages))


async def _static(visit: Visit, digest: str, name: str) -> bytes:
    file = visit.web.pages.file(digest, name)
    if file is None:
        raise Refused(404, "error.notfound")
    request = visit.request
    request.setHeader("Content-Type", file.kind)
    request.setHeader("Cache-Control", FOR_EVER)
    request.setHeader("Vary", "Accept-Encoding")
    if "gzip" in visit.header("Accept-Encoding"):
        request.setHeader("Content-Encoding", "gzip")
        return file.compressed
    return file.data


async def _language(visit: Visit, language: str) -> bytes:
    """Changes nothing but how this browser is spoken to."""
    visit.choose_language(language)
    back = visit.query.get("back", "/")
    return visit.go(back if is_ours(back) else "/")


async def _health(visit: Visit) -> bytes:
    """For a load balancer, which is nobody."""
    status, body = await visit.web.health(visit.request.path)
    visit.request.setResponseCode(status)
    visit.request.setHeader("Content-Type", "application/json")
    return body


async def _to_console(visit: Visit) -> bytes:
    return visit.go("/console")


async def _robots(visit: Visit) -> bytes:
    visit.request.setHeader("Content-Type", "text/plain")
    return b"User-agent: *\nDisallow: /\n"
