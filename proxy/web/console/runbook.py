"""The runbook, as README.md and conf/README.zh.md have it, for whoever is at the step that it describes.

In a checkout they are read where they are; an installed package has them beside this one (`pyproject.toml`). Markdown
becomes HTML once; what is HTML in it is shown as text. Headings have the anchors that GitHub gives them, so that links
from step to step lead there; of links to other parts of the files, which are not shown, the words alone are left.
Below the page's own heading the steps are the next level.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from proxy.web.console.showing import show
from proxy.web.pages import HERE
from proxy.web.visit import Visit
from proxy.web.words import Language

_ROOT: Final = HERE.parent.parent
FILES: Final[Mapping[Language, tuple[Path, ...]]] = {
    "en": (HERE / "runbook" / "en.md", _ROOT / "README.md"),
    "zh": (HERE / "runbook" / "zh.md", _ROOT / "conf" / "README.zh.md"),
}
# The part that is shown; the whole file where it has no such heading.
_SECTION: Final = re.compile(
    r"^## (?:Moving a domain, step by step|[^\n]*迁移[^\n]*)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL
)
_NOT_IN_ANCHORS: Final = re.compile(r"[^\w\- ]")
_STYLE: Final = re.compile(r' style="[^"]*"')  # of tables' columns: the content security policy takes none


@cache
def runbook(language: Language) -> Markup | None:
    """As HTML; None where there is none in that language."""
    file = next((path for path in FILES[language] if path.is_file()), None)
    return None if file is None else rendered(file.read_text(encoding="utf-8"))


def rendered(text: str) -> Markup:
    """Of a whole file, the part about moving a domain."""
    found = _SECTION.search(text)
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(found[1] if found else text)
    anchors = set(_anchored(tokens))
    for token in tokens:
        if found and token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{int(token.tag[1]) - 1}"
        token.children = token.children and list(_linked(token.children, anchors))
    html = markdown.renderer.render(tokens, markdown.options, {})
    return Markup(_STYLE.sub("", html))  # noqa: S704 - made of our own file, and escaped


def _anchored(tokens: Sequence[Token]) -> Iterator[str]:
    """Gives each heading its anchor, and back what they are."""
    for heading, words in pairwise(tokens):
        if heading.type == "heading_open":
            anchor = _NOT_IN_ANCHORS.sub("", words.content.lower()).replace(" ", "-")
            heading.attrSet("id", anchor)
            yield anchor


def _linked(tokens: Sequence[Token], anchors: set[str]) -> Iterator[Token]:
    """Without the links that lead to none of the anchors."""
    kept = True
    for token in tokens:
        if token.type == "link_open":
            kept = unquote(str(token.attrGet("href"))).removeprefix("#") in anchors
        if kept or token.type not in {"link_open", "link_close"}:
            yield token


async def show_runbook(visit: Visit, language: str = "") -> bytes:
    """In that language, or the visitor's, or one that there is. Raises Refused."""
    there: list[Language] = [each for each in FILES if runbook(each) is not None]
    if language and language not in there:
        visit.refuse(404, "error.notfound")
    wanted = language or visit.language
    shown = next((each for each in there if each == wanted), there[0] if there else None)
    text = runbook(shown) if shown is not None else None
    if text is None:
        visit.refuse(404, "error.notfound")
    return show(visit, "console/runbook.html", text=text, shown=shown, there=there)
