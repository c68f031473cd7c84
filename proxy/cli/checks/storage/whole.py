"""All trials, in order, and what came of them."""

from __future__ import annotations

from pathlib import Path

from proxy.cli.checks.storage import across, durable, entries, mounted, names, second, sqlite_files
from proxy.cli.checks.storage.trial import LIMIT, Part, Trial, try_in

PARTS: tuple[Part, ...] = (
    durable.tried,
    entries.tried,
    names.tried,
    sqlite_files.tried,
    second.tried,
)


def all_of(directory: Path, token: str | None = None) -> Trial:
    """Raises OSError where nothing can be made there."""
    if token is None:
        return try_in(directory, PARTS, before=(mounted.tried,))
    tried = (across.try_with(directory, token),)
    return try_in(directory, tried, LIMIT + 4 * across.WAIT, before=(mounted.tried,))
