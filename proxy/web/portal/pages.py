"""The portal's pages, by their paths."""

from __future__ import annotations

from proxy.web.events import Events
from proxy.web.portal.arriving import Arriving
from proxy.web.portal.discovery import Discovery
from proxy.web.portal.home import Home
from proxy.web.portal.passwords import Passwords
from proxy.web.portal.setting import Setting
from proxy.web.routes import Routes
from proxy.web.visit import Visit, Web


def add_portal(routes: Routes, web: Web, events: Events) -> None:
    """All of them."""
    arriving, home, passwords = Arriving(web), Home(web, events), Passwords(web)
    routes.get("/", home.page)
    routes.get("/events", home.events)
    routes.get("/login", arriving.again)
    routes.post("/login", arriving.log_in)
    routes.get("/checking", arriving.checking)
    routes.post("/logout", home.log_out)
    routes.get("/logout", arriving.again)
    routes.get("/password", passwords.page)
    routes.post("/password", passwords.change)
    setting = Setting(web)
    routes.get("/phone", setting.phone)
    routes.get("/qr.svg", setting.qr)
    routes.get("/profile.mobileconfig", setting.profile)
    _programs(routes, Discovery(web))


def _programs(routes: Routes, discovery: Discovery) -> None:
    reading, asking = ("GET", "HEAD"), ("GET", "HEAD", "POST")
    for path in ("/mail/config-v1.1.xml", "/.well-known/autoconfig/mail/config-v1.1.xml"):
        routes.program(path, reading, discovery.autoconfig)
    routes.program("/autodiscover/autodiscover.xml", asking, discovery.autodiscover)
    routes.program("/autodiscover/autodiscover.json", reading, discovery.where)
    routes.program("/autodiscover/autodiscover.json/v1.0/<address>", reading, discovery.where)
    routes.get("/.well-known/change-password", _change_password)


async def _change_password(visit: Visit) -> bytes:
    """Where password managers look (W3C, "A Well-Known URL for Changing Passwords")."""
    return visit.go("/password")
