"""All of it as one file: what looks wrong in words, the facts as JSON, and the log's lines."""

from __future__ import annotations

import io
import json
import tarfile
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

_LINES: Final = ("log", "audit")  # each a file of its own


def summary(facts: Mapping[str, Any], found: Sequence[str]) -> str:
    """For people."""
    versions = facts.get("versions") or {}
    machine = facts.get("machine") or {}
    count = f"{len(found)} finding" + ("" if len(found) == 1 else "s")
    lines = [
        f"mailferry {versions.get('mailferry', '?')}, Python {versions.get('Python', '?')}, "
        f"{machine.get('distribution') or 'unknown distribution'}, {machine.get('kernel', '?')}",
        f"{count}{':' if found else ''}",
        *(f"  {each}" for each in found),
    ]
    return "\n".join(lines) + "\n"


def packed(name: str, facts: Mapping[str, Any], found: Sequence[str], now: float) -> bytes:
    """A .tar.gz of one directory, which is called `name`."""
    whole = {key: value for key, value in facts.items() if key not in _LINES}
    texts = {"summary.txt": summary(facts, found), "facts.json": json.dumps(whole, indent=1, ensure_ascii=False) + "\n"}
    for each in _LINES:
        lines = facts.get(each)
        rows = lines if isinstance(lines, list) else []
        texts[f"{each}.jsonl"] = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    octets = io.BytesIO()
    with tarfile.open(fileobj=octets, mode="w:gz") as archive:
        for file, text in texts.items():
            data = text.encode("utf-8", "backslashreplace")
            entry = tarfile.TarInfo(f"{name}/{file}")
            entry.size, entry.mode, entry.mtime = len(data), 0o600, int(now)
            archive.addfile(entry, io.BytesIO(data))
    return octets.getvalue()


def usual_name(now: float) -> str:
    return time.strftime("mailferry-doctor-%Y%m%d-%H%M%S", time.gmtime(now))
