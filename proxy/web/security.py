"""Who asks, from where, and what every answer says to the browser.

A proxy in front is believed where it is on this machine: X-Forwarded-For for the client's address, X-Forwarded-Proto
for whether its connection is encrypted. The Host header is believed by nobody: links that leave a page are made of the
configuration (`proxy.web.address`).
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

# Only what is our own, nothing inline, nothing that frames us. Forms go here alone.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with "no-referrer" a form's Origin would be "null" (Fetch, 3.2)
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
    "Server": "mailferry",
}
ENCRYPTED: Final = {  # browsers take these from encrypted connections only
    "Strict-Transport-Security": "max-age=31536000",
    "Cross-Origin-Opener-Policy": "same-origin",
}

_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,128}")


@dataclass(frozen=True, slots=True)
class Visitor:
    """At the other end of a connection."""

    address: str
    secure: bool  # is the way to here encrypted?
    loopback: bool


def _header(request: Any, name: str) -> str:
    value = request.getHeader(name)
    return value.decode("latin-1") if isinstance(value, bytes) else value or ""


def is_loopback(address: str) -> bool:
    """This machine's own address, or none: a Unix socket's."""
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return address == ""


def visitor(request: Any) -> Visitor:
    """Who asks."""
    address = str(getattr(request.getClientAddress(), "host", "") or "")
    secure = bool(request.isSecure())
    if not is_loopback(address):
        return Visitor(address, secure, loopback=False)
    if _header(request, "X-Forwarded-Proto").strip().lower() == "https":
        secure = True
    told = _header(request, "X-Forwarded-For").rpartition(",")[2].strip()
    with suppress(ValueError):  # no address, or none that is one: the proxy's own counts
        address = str(ipaddress.ip_address(told))
    return Visitor(address, secure, is_loopback(address))


def dress(request: Any) -> None:
    """The headers that every answer has; a page may put others in their place."""
    for name, value in (HEADERS | ENCRYPTED if visitor(request).secure else HEADERS).items():
        request.setHeader(name, value)


def same_origin(request: Any) -> bool:
    """Does a request that changes something come from a page of ours, as far as the browser says?

    Sec-Fetch-Site is the browser's own word and cannot be set by a page (Fetch Metadata). Where it is missing, Origin
    has to name the host that was asked; a page of somebody else's can make neither.
    """
    site = _header(request, "Sec-Fetch-Site")
    if site:
        return site in {"same-origin", "none"}
    origin = _header(request, "Origin")
    if not origin:
        return True  # an old browser, or no browser at all: its CSRF token counts
    return origin != "null" and urlsplit(origin).netloc.lower() == _header(request, "Host").lower()


# Cookies


def cookie_name(name: str, *, secure: bool) -> str:
    """`__Host-`: only from this host, only encrypted, for all paths (RFC 6265bis 4.1.3.2)."""
    return f"__Host-{name}" if secure else name


def cookie(request: Any, name: str, *, secure: bool) -> str | None:
    """What the browser sent of it, if that is a token."""
    value = request.getCookie(cookie_name(name, secure=secure).encode())
    text = value.decode("latin-1") if value else ""
    return text if _TOKEN.fullmatch(text) else None


def set_cookie(
    request: Any, name: str, value: str, *, secure: bool, strict: bool = False, seconds: int | None = None
) -> None:
    """`seconds`: None for as long as the browser is open, 0 to take it away."""
    request.addCookie(
        cookie_name(name, secure=secure),
        value,
        path="/",
        max_age=None if seconds is None else str(seconds),
        secure=secure,
        httpOnly=True,
        sameSite="strict" if strict else "lax",
    )


# Forms of those who are not logged in


def form_token(key: bytes, place: str, browser: str) -> str:
    """What a form has to bring back from the browser that has this token as a cookie."""
    text = f"{place}\0{browser}".encode()
    return hmac.digest(key, text, hashlib.sha256).hex()


def browser_token() -> str:
    return secrets.token_urlsafe(24)


def equal(one: str, other: str) -> bool:
    """In the same time, whatever they are."""
    return hmac.compare_digest(one.encode(), other.encode())
