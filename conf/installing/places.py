"""Where everything of an installation is: on this machine, or below the directory of an image or a package."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

USER: Final = "mailferry"
UNITS: Final = Path("etc/systemd/system")
WANTED: Final = UNITS / "multi-user.target.wants" / "mailferry.service"


@dataclass(frozen=True)
class Places:
    """`root` is "/" on this machine."""

    root: Path

    @property
    def here(self) -> bool:
        """Is it this machine?"""
        return self.root == Path("/")

    def at(self, path: str | Path) -> Path:
        """Where it lies that will have this path."""
        return self.root / str(path).lstrip("/")

    def named(self, path: Path) -> str:
        """The path that it will have."""
        return f"/{path.relative_to(self.root)}"

    @property
    def versions(self) -> Path:
        return self.at("opt/mailferry")

    @property
    def current(self) -> Path:
        return self.versions / "current"

    @property
    def command(self) -> Path:
        return self.at("usr/local/bin/mailferry")

    @property
    def configuration(self) -> Path:
        return self.at("etc/mailferry/mailferry.toml")

    @property
    def example(self) -> Path:
        return self.at("etc/mailferry/mailferry.toml.example")

    @property
    def state(self) -> Path:
        return self.at("var/lib/mailferry")

    @property
    def users(self) -> Path:
        return self.at("etc/sysusers.d/mailferry.conf")

    @property
    def directories(self) -> Path:
        return self.at("etc/tmpfiles.d/mailferry.conf")

    def ids(self) -> tuple[int, int] | None:
        """Of the daemon's user and group there; None: they are not there yet."""
        user, group = self._entry("etc/passwd"), self._entry("etc/group")
        return None if user is None or group is None else (int(user[2]), int(group[2]))

    def _entry(self, file: str) -> list[str] | None:
        try:
            lines = self.at(file).read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return None
        return next((line.split(":") for line in lines if line.startswith(f"{USER}:")), None)
