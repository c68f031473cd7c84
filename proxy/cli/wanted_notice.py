"""What the command line of `mailferry notify` says."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from proxy.admin.noticing.facts import When


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line says."""

    domain: str | None
    reminder: bool
    to: tuple[str, ...]
    department: str | None
    preview: str | None
    write: Path | None
    send: bool
    relay: str | None
    again: bool
    since: str | None
    language: str
    date: str | None
    same_names: bool | None
    yes: bool
    as_json: bool

    @property
    def kind(self) -> Any:
        return "reminder" if self.reminder else "notice"

    @property
    def languages(self) -> Sequence[Any]:
        return ("zh", "en") if self.language == "both" else (self.language,)

    def check(self) -> None:
        """What makes no sense together is usage."""
        deeds = [self.preview is not None, self.write is not None, self.send]
        wrong = {
            "name the DOMAIN whose users are meant": self.domain is None,
            "--preview, --write and --send: give one of them": sum(deeds) > 1,
            "--date: say when the mail moves, such as --date 2026-12-05": any(deeds)
            and not self.reminder
            and self.date is None,
            "nobody is here to be asked: --yes says that it is to be sent": self.send
            and not self.yes
            and not sys.stdin.isatty(),
        }
        for text, is_so in wrong.items():
            if is_so:
                raise click.UsageError(text)

    def day(self) -> When | None:
        from proxy.admin.noticing.facts import when  # noqa: PLC0415

        if self.date is None:
            return None
        try:
            found = when(self.date)
        except ValueError as error:
            raise click.UsageError(f"--date: {error}") from None
        if found.day < datetime.now().date():
            raise click.UsageError(f"--date: {self.date} is over")
        return found

    def since_when(self) -> int | None:
        """Seconds before now; None: what was sent counts whenever it was."""
        from proxy.config.durations import parse_duration  # noqa: PLC0415
        from proxy.config.mistakes import Unfit  # noqa: PLC0415

        if self.since is None:
            return None
        try:
            return parse_duration(self.since)
        except Unfit as error:
            raise click.UsageError(f"--since: {error}") from None
