"""The last lines of the log, each field by itself: numbers and mailferry's own words stay, names become pseudonyms, and
what is in no list is left out. Lines that are no JSON object are counted, and nothing more.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from proxy.admin.doctor.hiding import GONE, Hiding

LINES: Final = 2_000
UNIT: Final = "mailferry"
BOOTED: Final = Path("/run/systemd/system")  # is there where systemd runs the machine
_JOURNAL_SECONDS: Final = 30
_LAST: Final = 4 * 1024 * 1024  # octets of a file that are looked at
_EVENTS: Final = 120  # characters: what mailferry says is shorter

_OWN: Final = frozenset(
    {"event", "level", "timestamp", "trace", "move", "why", "protocol", "error", "where", "did", "status", "kind"}
    | {"page", "on", "domain", "domains", "host", "by", "refusal"}
)
_TEXTS: Final = frozenset({"reason", "about"})
_ACCOUNTS: Final = frozenset({"account", "user", "names"})
_PEOPLE: Final = frozenset({"name", "login", "sudo"})


def of_journal() -> list[bytes] | None:
    """The unit's last lines; None where systemd has no journal. Raises OSError, subprocess.SubprocessError."""
    journalctl = shutil.which("journalctl")
    if journalctl is None or not BOOTED.is_dir():
        return None
    command = [journalctl, "--unit", UNIT, "--output", "cat", "--lines", str(LINES), "--no-pager", "--quiet"]
    ran = subprocess.run(command, capture_output=True, timeout=_JOURNAL_SECONDS, check=True)  # noqa: S603 - no shell
    return ran.stdout.splitlines()


def of_file(path: Path) -> list[bytes]:
    """Raises OSError."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _LAST))
        lines = file.read(_LAST).splitlines()
    return lines[1 if size > _LAST else 0 :][-LINES:]


def shown(lines: Iterable[bytes], hiding: Hiding) -> list[dict[str, Any]]:
    """The lines that are of mailferry."""
    found = []
    others = 0
    for line in lines:
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError):
            fields = None
        if isinstance(fields, dict) and isinstance(fields.get("event"), str):
            found.append(_line(fields, hiding))
        else:
            others += bool(line.strip())
    if others:
        found.append({"lines that are no JSON": others})
    return found


def _line(fields: Mapping[str, Any], hiding: Hiding) -> dict[str, Any]:
    of_people = str(fields["event"]).startswith("administrator")
    return {key: _field(key, value, hiding, of_people) for key, value in fields.items() if key.isidentifier()}


def _field(key: str, value: Any, hiding: Hiding, of_people: bool) -> Any:
    if value is None or isinstance(value, (bool, int, float)) or hiding.names:
        return value
    if key in _PEOPLE or (key == "by" and of_people):
        return _each(value, hiding.person)
    if key == "peer":
        return _each(value, hiding.peer)
    if key in _ACCOUNTS:
        return _each(value, hiding.account)
    if key in _TEXTS:
        return _each(value, hiding.text)
    return _each(value, lambda text: text[:_EVENTS]) if key in _OWN else GONE


def _each(value: Any, told: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return told(value)
    return [told(each) for each in value if isinstance(each, str)] if isinstance(value, list) else GONE
