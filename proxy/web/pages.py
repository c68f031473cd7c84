"""Templates, static files, and how numbers are written.

Templates are Jinja2's, escaped without exception; a name that is missing is an error. Static files are read once; their
address has a digest of their content, so that browsers keep them for ever and never have an old one.
"""

from __future__ import annotations

import gzip
import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from proxy.web.words import Language, say

HERE: Final = Path(__file__).parent
TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".LICENSE": "text/plain; charset=utf-8",
}
FOR_EVER: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One, as it is sent."""

    kind: str
    data: bytes
    compressed: bytes
    digest: str


def duration(language: Language, seconds: float) -> str:
    """In the one unit that is near enough, rounded up."""
    for unit, long, most in (("seconds", 1, 90), ("minutes", 60, 90 * 60), ("hours", 3600, 48 * 3600)):
        if seconds <= most:
            return say(language, unit, count=max(1, math.ceil(seconds / long)))
    return say(language, "days", count=math.ceil(seconds / 86_400))


class Pages:
    """All templates and files of the package."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._files = {path.name: _read(path) for path in (HERE / "static").iterdir() if path.suffix in TYPES}
        self._environment.globals["static"] = self.address

    def file(self, digest: str, name: str) -> StaticFile | None:
        """What is at `/static/DIGEST/NAME`."""
        file = self._files.get(name)
        return file if file is not None and file.digest == digest else None

    def address(self, name: str) -> str:
        """Where a static file is. Raises KeyError."""
        return f"/static/{self._files[name].digest}/{name}"

    def render(self, template: str, **values: Any) -> bytes:
        """Raises jinja2's errors: a template that does not render is a defect."""
        return self._environment.get_template(template).render(**values).encode()


def _read(path: Path) -> StaticFile:
    data = path.read_bytes()
    return StaticFile(TYPES[path.suffix], data, gzip.compress(data, mtime=0), hashlib.sha256(data).hexdigest()[:16])
