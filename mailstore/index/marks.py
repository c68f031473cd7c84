"""When a folder's directories were last looked into, so that nothing is read where nothing changed.

A directory's mtime moves with every name that comes, goes or changes, but only by the kernel's tick: a change
in the same tick as the last one leaves it as it is. A time is therefore believed only when it was older than a
tick at the look; until then the folder is looked into again.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, bindparam, delete, insert, select

from mailstore import schema
from mailstore.prepared import Prepared

TICK: Final = 50_000_000  # ns; the kernel's coarse clock ticks every 1 to 10 ms
WHOLE_SECONDS: Final = 2_000_000_000  # ns; some file systems keep seconds only, or two of them
_SECOND: Final = 1_000_000_000

_c = schema.looked.c
_KEY = (_c.account_id == bindparam("a"), _c.folder_id == bindparam("f"))
_READ = Prepared(select(_c.new_mtime, _c.cur_mtime).where(*_KEY))
_FORGET = delete(schema.looked).where(*_KEY)

Times = tuple[int, int]  # mtimes of `new` and `cur`, in nanoseconds


@dataclass(slots=True)
class Mark:
    """The last look into a folder."""

    times: Times
    settled: bool  # no later change can have the same times
    again: float = 0.0  # look again from this moment on, by the store's clock; 0 is never


def times(folder: Path) -> Times:
    """Raises OSError."""
    at = os.fspath(folder)
    return os.stat(f"{at}/new").st_mtime_ns, os.stat(f"{at}/cur").st_mtime_ns  # noqa: PTH116 - a hot path


def extent(folder: Path) -> int:
    """How large the directories are, in octets: some hundred for each name on most file systems. Raises OSError."""
    at = os.fspath(folder)
    return os.stat(f"{at}/new").st_size + os.stat(f"{at}/cur").st_size  # noqa: PTH116 - a hot path


def settled(seen: Times, now: int) -> bool:
    """Whether a change after `now` (ns since 1970, of the real clock) would show in the times."""
    return all(now - at > (WHOLE_SECONDS if at % _SECOND == 0 else TICK) for at in seen)


def recall(connection: Connection, account_id: int, folder_id: int) -> Times | None:
    row = _READ.first(connection, {"a": account_id, "f": folder_id})
    return None if row is None else (row[0], row[1])


def remember(connection: Connection, account_id: int, folder_id: int, seen: Times) -> None:
    connection.execute(_FORGET, {"a": account_id, "f": folder_id})
    values = {"account_id": account_id, "folder_id": folder_id, "new_mtime": seen[0], "cur_mtime": seen[1]}
    connection.execute(insert(schema.looked), values)
