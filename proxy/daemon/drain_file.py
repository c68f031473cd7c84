"""How a node is asked to drain, and what it says of it: two files in its state directory.

`draining` is the wish: it is there from `mailferry drain` to `mailferry drain --undo`, also while no daemon runs and
over its restarts, and the daemon only reads it. `drained` is the daemon's word on how far it is; only a daemon that
runs has one. Used by `proxy.daemon.draining` and by commands: no Twisted here.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

WISH: Final = "draining"
WORD: Final = "drained"
GRACE: Final = 15  # seconds: a balancer that looks every two, three times, has noticed by then
WITHIN: Final = 300


@dataclass(frozen=True, slots=True)
class Wish:
    """`since` in seconds since 1970. For `grace` seconds nothing changes but what health checks are told, and `within`
    so many more, sessions and moves are ended when it suits them, and then all the same."""

    since: int
    grace: int = GRACE
    within: int = WITHIN


@dataclass(frozen=True, slots=True)
class Word:
    """How many sessions and moves there still are. `process` is the daemon's number; `ending`: the grace is over."""

    process: int
    sessions: int
    moves: int
    ending: bool

    @property
    def drained(self) -> bool:
        """Can it be stopped without anybody noticing?"""
        return self.ending and not self.sessions and not self.moves


def wished(state: Path) -> bool:
    """Is it to be drained?"""
    return (state / WISH).exists()


def wish_of(state: Path) -> Wish | None:
    """Raises OSError, but not where there is none. One that somebody made by hand (`touch`) counts as well."""
    try:
        found = json.loads((state / WISH).read_bytes() or b"{}")
        since = int((state / WISH).stat().st_mtime)
    except FileNotFoundError:
        return None
    except ValueError:
        found, since = {}, 0
    known = found if isinstance(found, dict) else {}
    numbers = {key: known[key] for key in ("since", "grace", "within") if _is_number(known.get(key))}
    return Wish(**{"since": since} | numbers)


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def wish(state: Path, wanted: Wish) -> None:
    """Raises OSError."""
    _write(state / WISH, asdict(wanted))


def undo(state: Path) -> bool:
    """Was there a wish? Raises OSError."""
    try:
        (state / WISH).unlink()
    except FileNotFoundError:
        return False
    return True


def word_of(state: Path) -> Word | None:
    """What the daemon says; None: none that is running says anything."""
    try:
        word = Word(**json.loads((state / WORD).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
    return word if Path(f"/proc/{word.process}").exists() else None


def say(state: Path, word: Word | None) -> None:
    """The daemon's part. A disk that is full keeps nobody from draining."""
    with suppress(OSError):
        if word is None:
            (state / WORD).unlink(missing_ok=True)
        else:
            _write(state / WORD, asdict(word))


def _write(path: Path, content: dict[str, Any]) -> None:
    passing = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        passing.write_text(json.dumps(content) + "\n", encoding="ascii")
        passing.replace(path)
    finally:
        passing.unlink(missing_ok=True)
