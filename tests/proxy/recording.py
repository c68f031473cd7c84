"""A log that can be read afterwards."""

from __future__ import annotations

from typing import Any


class RecordingLog:
    """A structlog logger that keeps what it is told: level, event, fields."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def bind(self, **_fields: Any) -> RecordingLog:
        return self

    def debug(self, event: str, **fields: Any) -> None:
        self.lines.append(("debug", event, fields))

    def info(self, event: str, **fields: Any) -> None:
        self.lines.append(("info", event, fields))

    def warning(self, event: str, **fields: Any) -> None:
        self.lines.append(("warning", event, fields))

    def error(self, event: str, **fields: Any) -> None:
        self.lines.append(("error", event, fields))

    def events(self, level: str | None = None) -> list[str]:
        return [event for at, event, _ in self.lines if level in {None, at}]
