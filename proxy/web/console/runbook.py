"""The runbook, as README.md and conf/README.zh.md have it, for whoever is at the step that it describes.

In a checkout they are read where they are; an installed package has them beside this one (`pyproject.toml`). Markdown
becomes HTML once; what is HTML in it is shown as text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt
from markupsafe import Markup

from proxy.web.console.seeing import show
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
    r"^## (?:Moving a domain, step by step|[^\n]*(?:搬迁|迁移)[^\n]*)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL
)
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
    html = markdown.render(found[1] if found else text)
    return Markup(_STYLE.sub("", html))  # noqa: S704 - made of our own file, and escaped


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
