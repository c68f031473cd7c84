"""From a path to a page, in memory: what becomes of errors, and what is told on the next page."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
from klein import Klein
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from mailstore.errors import StorageFailed
from proxy.web import security
from proxy.web.channel import WebSite
from proxy.web.pages import Pages
from proxy.web.routes import Routes, handle_errors
from proxy.web.visit import Refused, Visit
from tests.proxy.recording import RecordingLog

SECRET = "what only the log may know"


async def broken(_visit: Visit) -> bytes:
    raise ZeroDivisionError(SECRET)


async def store(_visit: Visit) -> bytes:
    raise StorageFailed(SECRET)


async def refused(_visit: Visit) -> bytes:
    raise Refused(503, "error.busy")


async def telling(visit: Visit) -> bytes:
    visit.tell("portal.ask", "bad", contact="<Li>")
    return visit.go("https://evil.example")


async def page(visit: Visit) -> bytes:
    return visit.page("error.html", key="error.busy")


class Web:
    """A site with these pages."""

    def __init__(self) -> None:
        self.clock, self.log = Clock(), RecordingLog()
        web: Any = SimpleNamespace(
            config=SimpleNamespace(hostname="mail.123.com"),
            pages=Pages(),
            log=self.log,
            forms_key=b"k",
            reactor=self.clock,
        )
        app = Klein()
        routes = Routes(web, app, "portal")
        for handler in (broken, store, refused, telling, page):
            routes.get(f"/{handler.__name__}", handler)
        routes.get("/named/<name>", self.named)
        handle_errors(web, app, "portal")
        self.site = WebSite(app.resource(), reactor=self.clock, dress=security.dress, too_large=lambda _request: b"")

    async def named(self, visit: Visit, name: str) -> bytes:
        visit.request.setHeader("Content-Type", "text/plain")
        return name.encode()

    def get(self, path: str, cookies: str = "") -> str:
        transport = StringTransport(peerAddress=IPv4Address("TCP", "192.0.2.1", 1))
        channel: Any = self.site.buildProtocol(None)
        channel.callLater = self.clock.callLater
        channel.makeConnection(transport)
        channel.dataReceived(f"GET {path} HTTP/1.0\r\nCookie: {cookies}\r\n\r\n".encode())
        channel.connectionLost()
        return transport.value().decode()


@pytest.fixture
def web() -> Web:
    return Web()


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/broken", 500, "Something went wrong here"),
        ("/store", 503, "Something went wrong here"),
        ("/refused", 503, "Too many at once"),
        ("/named/", 404, "There is no such page"),
    ],
)
def test_errors_become_pages(web: Web, path: str, status: int, words: str) -> None:
    answer = web.get(path)
    assert answer.startswith(f"HTTP/1.0 {status} ") and words in answer
    assert SECRET not in answer and "Traceback" not in answer and "routes.py" not in answer
    assert "Content-Security-Policy" in answer


def test_a_defect_is_in_the_log_with_its_place_and_without_its_words(web: Web) -> None:
    web.get("/broken")
    assert "ZeroDivisionError" in repr(web.log.lines) and "test_web_routes.py" in repr(web.log.lines)
    assert SECRET not in repr(web.log.lines)


def test_parts_of_a_path_come_as_they_were_meant(web: Web) -> None:
    assert web.get("/named/%E6%9D%8E%20%25").endswith("\r\n\r\n李 %")


def test_what_is_told_comes_once_on_the_next_page(web: Web) -> None:
    answer = web.get("/telling")
    assert "\r\nLocation: /\r\n" in answer  # no page of ours was meant
    found = re.search(r"Set-Cookie: (told=[^;]+)", answer)
    assert found is not None
    shown = web.get("/page", found[1])
    assert '<p class="told bad" role="alert">Who helps you: &lt;Li&gt;</p>' in shown
    assert "Set-Cookie: told=; Path=/; Max-Age=0" in shown


def test_who_has_no_session_costs_no_database(web: Web) -> None:
    """There is none here."""
    assert web.get("/page").startswith("HTTP/1.0 200 ")
