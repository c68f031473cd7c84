"""A browser without a screen: cookies, forms and redirects over http.client, with every octet under the test's hand."""

from __future__ import annotations

import html
import http.client
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from http.cookies import SimpleCookie
from itertools import count
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from tests.browser.company import Company
from tests.legacy.dovecot import select_nothing

_CSRF = re.compile(r'name="csrf" value="([^"]*)"')
_numbers = count()
AGAIN: Final = 0.03  # seconds from one look at a page to the next; else the daemon would be busy with nothing but them
_TAG = re.compile(r"<[^>]+>")


@cache
def _trusting(ca: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def words(self) -> str:
        """What a reader sees of it."""
        return " ".join(html.unescape(_TAG.sub(" ", self.text)).split())

    @property
    def csrf(self) -> str:
        found = _CSRF.search(self.text)
        return html.unescape(found[1]) if found else ""


@dataclass
class Visitor:
    """One, with cookies of their own."""

    company: Company
    port: int = 0
    language: str = "en"
    address: str = ""  # as a proxy on this machine tells it; each has one of its own where the company is encrypted
    cookies: dict[str, str] = field(default_factory=dict)
    cookie_lines: list[str] = field(default_factory=list)  # as they were set

    def __post_init__(self) -> None:
        if not self.address and self.company.daemon.encrypted:
            number = next(_numbers)
            self.address = f"198.18.{number // 250}.{number % 250 + 1}"  # RFC 2544: of no network

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request, as it is."""
        connection = self.connect()
        try:
            sent = {"Accept-Language": self.language, "Cookie": "; ".join(f"{k}={v}" for k, v in self.cookies.items())}
            if self.address:
                sent["X-Forwarded-For"] = self.address
            connection.request(method, path, body, {**sent, **(headers or {})})
            response = connection.getresponse()
            self._keep(response)
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def connect(self) -> http.client.HTTPConnection:
        port = self.port or self.company.port
        if self.company.daemon.encrypted:
            return http.client.HTTPSConnection("localhost", port, timeout=60, context=_trusting(self.company.daemon.ca))
        return http.client.HTTPConnection("localhost", port, timeout=60)

    def _keep(self, response: http.client.HTTPResponse) -> None:
        for line in response.headers.get_all("Set-Cookie") or ():
            self.cookie_lines.append(line)
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value

    def get(self, path: str = "/", **headers: str) -> Answer:
        """A page, behind all redirects."""
        answer = self.ask("GET", path, headers=headers)
        while answer.status == 303:
            answer = self.ask("GET", answer.headers["Location"], headers=headers)
        return answer

    def post(self, path: str, fields: Mapping[str, str], **headers: str) -> Answer:
        """A form, as it is; no redirect is followed."""
        body = urlencode(fields).encode()
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.ask("POST", path, body, {**kind, **{k.replace("_", "-"): v for k, v in headers.items()}})

    def upload(self, page: str, path: str, fields: Mapping[str, str], name: str, data: bytes, **headers: str) -> Answer:
        """Open a page, send its form with a file, and go where that leads."""
        edge = "an-edge-that-is-in-no-file"
        parts = [
            f'--{edge}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
            for key, value in {"csrf": self.get(page).csrf, **fields}.items()
        ]
        shown = name.replace('"', "%22")
        head = f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="{shown}"\r\n'
        head += "Content-Type: text/csv\r\n\r\n"
        body = b"".join(parts) + head.encode() + data + f"\r\n--{edge}--\r\n".encode()
        kind = {"Content-Type": f"multipart/form-data; boundary={edge}"}
        answer = self.ask("POST", path, body, {**kind, **{k.replace("_", "-"): v for k, v in headers.items()}})
        return self.get(answer.headers["Location"]) if answer.status == 303 else answer

    def submit(self, page: str, path: str, fields: Mapping[str, str]) -> Answer:
        """Open a page, send its form, and go where that leads."""
        answer = self.post(path, {"csrf": self.get(page).csrf, **fields})
        return self.get(answer.headers["Location"]) if answer.status == 303 else answer

    def log_in(self, name: str, password: str) -> Answer:
        """At the portal; waits for the decision as a browser would, which looks again by itself."""
        answer = self.submit("/", "/login", {"name": name, "password": password})
        while 'http-equiv="refresh" content="2"' in answer.text:
            select_nothing(AGAIN)
            answer = self.get("/checking")
        return answer

    def until(self, found: Callable[[Answer], bool], path: str = "/") -> Answer:
        """Look again and again, as a page without JavaScript does."""
        for _ in range(2_000):
            if found(answer := self.get(path)):
                return answer
            select_nothing(AGAIN)
        raise AssertionError(answer.words)

    def when_here(self) -> Answer:
        """The portal's page when no move is under way any more."""
        under_way = ("being carried over", "is listing your mail")
        return self.until(lambda answer: not any(words in answer.words for words in under_way))
