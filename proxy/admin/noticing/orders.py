"""What an administrator has ordered to be sent to whom, and the file that it is in until it has come to its end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

from proxy.admin.noticing.facts import Language
from proxy.admin.noticing.texts import Kind


@dataclass(frozen=True, slots=True)
class Order:
    """`accounts` are numbers; `mark` is `Notices.mark` from before these were shown to anybody; what was begun before
    `since` (seconds since 1970) does not count, and with `again` nothing does. `domain` is where it was ordered, "" of
    no one domain; `same_names` as for `facts.facts`. A file without the last three is of a version that only
    reminded."""

    by: str
    accounts: Sequence[int]
    languages: Sequence[Language]
    date: str
    since: int
    again: bool
    mark: int
    kind: Kind = "reminder"
    domain: str = ""
    same_names: bool | None = None


def write_order(path: Path, order: Order) -> None:
    """In one step: another name, and then its own. Raises OSError."""
    passing = path.with_suffix(".new")
    with suppress(FileNotFoundError):
        passing.unlink()
    passing.touch(mode=0o600)
    passing.write_text(json.dumps(asdict(order)), encoding="utf-8")
    passing.replace(path)


def read_order(path: Path) -> Order | None:
    """None where there is none, or none that can be read."""
    try:
        found = Order(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return found if found.kind in get_args(Kind) and isinstance(found.accounts, list) else None
