"""What a domain's records were at earlier looks: DNS tells what is, not what was.

Without it nobody could tell a record that was not changed yet from one that was changed to something wrong, nor say
until when caches that nobody can ask may have the old one. One JSON file for each domain, beside the database; it holds
nothing that is not public.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from proxy.admin.dns.records import Answer, Key

KEPT: Final = 60 * 86_400  # seconds after which what was is forgotten
_MOST: Final = 20  # states of one record
_VERSION: Final = 1
_LOOKED: Final = ".looked"


@dataclass(frozen=True, slots=True)
class Episode:
    """A record as one or more authoritative servers had it. `gone` is the first look at which none had it any more."""

    content: frozenset[str]
    ttl: int | None
    first: int
    last: int
    gone: int | None = None

    @property
    def cached_until(self) -> int | None:
        """When the last cache that may have it forgets it, at the latest; None while it is there, or not known."""
        return None if self.gone is None or self.ttl is None else self.gone + self.ttl


Memory = Mapping[Key, tuple[Episode, ...]]


def noted(memory: Memory, seen: Mapping[Key, Iterable[Answer]], now: int) -> dict[Key, tuple[Episode, ...]]:
    """The memory with one more look in it: what the authoritative servers answered. Where none answered nothing is
    known to be gone."""
    after = dict(memory)
    for key, answers in seen.items():
        current = {(answer.content, answer.ttl) for answer in answers if not answer.trouble}
        if not current:
            continue
        episodes = []
        for episode in memory.get(key, ()):
            if (episode.content, episode.ttl) in current:
                current.discard((episode.content, episode.ttl))
                episodes.append(replace(episode, last=now, gone=None))
            else:
                episodes.append(replace(episode, gone=now) if episode.gone is None else episode)
        episodes += [Episode(content, ttl, now, now) for content, ttl in sorted(current, key=repr)]
        after[key] = tuple(e for e in episodes if e.gone is None or now - e.gone <= KEPT)[-_MOST:]
    return after


def load(file: Path) -> dict[Key, tuple[Episode, ...]]:
    """What was written there; nothing where there is no file, or none that can be understood. Raises OSError."""
    try:
        return _read(json.loads(file.read_bytes()))
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        return {}  # what was is lost; what is counts


def _read(found: Any) -> dict[Key, tuple[Episode, ...]]:
    if found["version"] != _VERSION:
        return {}
    return {
        Key(str(row["name"]), row["type"]): tuple(
            Episode(
                content=frozenset(map(str, e["content"])),
                ttl=_number(e["ttl"]),
                first=int(e["first"]),
                last=int(e["last"]),
                gone=_number(e["gone"]),
            )
            for e in row["episodes"]
        )
        for row in found["records"]
    }


def _number(value: Any) -> int | None:
    return None if value is None else int(value)


def save(file: Path, memory: Memory) -> None:
    """Write it, whole or not at all. Raises OSError."""
    rows = [
        {
            "name": key.name,
            "type": key.type,
            "episodes": [asdict(episode) | {"content": sorted(episode.content)} for episode in episodes],
        }
        for key, episodes in memory.items()
    ]
    write_whole(file, json.dumps({"version": _VERSION, "records": rows}, indent=1) + "\n")


@dataclass(frozen=True, slots=True)
class Looked:
    """What the last look found: of so many records so many are `right`, and `all_right` is it if there is nothing else
    to mend. `at` in seconds since 1970."""

    right: int
    records: int
    all_right: bool
    at: int


def note_look(memory: Path, looked: Looked) -> None:
    """Write it beside what the records were. Raises OSError."""
    write_whole(memory.with_suffix(_LOOKED), json.dumps({"version": _VERSION} | asdict(looked)) + "\n")


def last_look(memory: Path) -> Looked | None:
    """None where there was none, or none that can be understood. Raises OSError."""
    try:
        found = json.loads(memory.with_suffix(_LOOKED).read_bytes())
        if found.pop("version") != _VERSION:
            return None
        return Looked(int(found["right"]), int(found["records"]), bool(found["all_right"]), int(found["at"]))
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        return None


def in_memory(state: Path, name: str) -> Path:
    """Where it is kept what a domain's records were; the name is in A-labels."""
    return state / "dns" / f"{name}.json"


def write_whole(file: Path, text: str) -> None:
    """All of the file, or nothing; its directory is made where the one above is there. Raises OSError."""
    file.parent.mkdir(mode=0o700, exist_ok=True)
    _belongs(file.parent)
    passing = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        passing.write_text(text, encoding="utf-8")
        _belongs(passing)
        os.replace(passing, file)  # noqa: PTH105 - one step
    finally:
        with contextlib.suppress(OSError):
            passing.unlink(missing_ok=True)


def _belongs(path: Path) -> None:
    """What root makes here is the daemon's user's, as the directory that it is in."""
    if os.geteuid() == 0:
        above = path.parent.stat()
        os.chown(path, above.st_uid, above.st_gid)
