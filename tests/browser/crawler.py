"""What a page leads to: its links and its forms; and all pages that can be reached from one."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final
from urllib.parse import urljoin, urlsplit

from tests.browser.visitor import Answer, Visitor

EACH: Final = 2  # pages of one shape, such as those of accounts, that are looked at


@dataclass
class Form:
    """As a browser would send it, if nothing were typed. `file` is the name of the field that takes one, `buttons` what
    each of its buttons adds."""

    page: str
    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    file: str = ""
    buttons: list[tuple[str, str]] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self._page = page
        self._select = ""
        self.links: list[str] = []
        self.forms: list[Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        if tag == "a" and "href" in said:
            self.links.append(urljoin(self._page, said["href"]))
        elif tag == "form":
            action = urljoin(self._page, said.get("action", ""))
            self.forms.append(Form(self._page, action, said.get("method", "get").lower()))
        elif self.forms and tag in {"input", "button", "select", "textarea"}:
            self._field(tag, said)
        elif self.forms and tag == "option" and self._select:
            fields = self.forms[-1].fields
            if "selected" in said or not fields.get(self._select):
                fields[self._select] = said.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "select":
            self._select = ""

    def _field(self, tag: str, said: dict[str, str]) -> None:
        form, name, kind = self.forms[-1], said.get("name", ""), said.get("type", "")
        if tag == "select":
            self._select = name
        if not name:
            return
        if kind == "file":
            form.file = name
        elif tag == "button":
            form.buttons.append((name, said.get("value", "")))
        elif kind in {"checkbox", "radio"} and "checked" not in said:
            form.fields.setdefault(name, "")
        else:
            form.fields[name] = said.get("value", "")


def read(answer: Answer, page: str) -> _Reader:
    """The links and forms of a page."""
    reader = _Reader(page)
    if (answer.headers["Content-Type"] or "").startswith("text/html"):
        reader.feed(answer.text)
    return reader


def shape(address: str) -> str:
    """The same for all accounts, all pages of a list, all tokens."""
    parts = urlsplit(address)
    names = ",".join(sorted(re.findall(r"(?:^|&)([^=&]+)=", parts.query)))
    return re.sub(r"\d+|[0-9A-Za-z_-]{20,}", "N", parts.path) + f"?{names}"


def crawl(visitor: Visitor, start: str) -> Iterator[tuple[str, Answer, list[Form]]]:
    """All pages below `start`: where each is, what it was, and its forms. Nothing is sent."""
    seen: dict[str, int] = {}
    waiting, known = deque([start]), {start}
    while waiting:
        place = waiting.popleft()
        answer = visitor.ask("GET", place)
        found = read(answer, place)
        yield place, answer, found.forms
        for link in found.links:
            path = link.partition("#")[0]
            if path in known or not urlsplit(path).path.startswith(start) or urlsplit(path).netloc:
                continue
            known.add(path)
            seen[shape(path)] = seen.get(shape(path), 0) + 1
            if seen[shape(path)] <= EACH:
                waiting.append(path)
