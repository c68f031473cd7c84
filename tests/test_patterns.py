"""Regular expressions are such as every Python that mailferry runs on understands."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]

# Before 3.11.5, such as Debian 12's, Python's `re` goes on wrongly behind a group that is repeated possessively, or is
# atomic, where the group has something to go back to (CPython issue 106052). Of a single character it is right.
_GROUP = re.compile(r"\)(?:[*+?]|\{\d*,?\d*\})\+|\(\?>")


def test_no_group_is_repeated_possessively() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for top in ("mailstore", "proxy")
        for path in sorted((ROOT / top).rglob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if _GROUP.search(line)
    ]
    assert found == []
    assert _GROUP.search(r"(?:ab?)*+") and _GROUP.search(r"(a){1,3}+") and not _GROUP.search(r"(?:a++)*")
