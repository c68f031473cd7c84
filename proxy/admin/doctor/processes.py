"""The daemon that runs, and its processes, as the kernel has them."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from typing import Any, Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_ROLES: Final = {b"serve", b"migrate", b"retry", b"worker", b"scribe"}  # commands, and modules' last parts


def processes(pid: int | None) -> list[dict[str, Any]]:
    """The daemon first, then its children; none where it is down."""
    if pid is None:
        return []
    if pid == 0:
        return [{"pid": 0, "role": "in a container of its own, which cannot be looked into"}]
    return [about for number in (pid, *_children(pid)) if (about := _process(number))]


def _stat(pid: int | str) -> list[str]:
    """From proc(5)'s third field on."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(") ")[2].split()


def _children(pid: int) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if int(_stat(process.name)[1]) == pid:
                found.append(int(process.name))
        except (OSError, IndexError):  # has ended
            continue
    return sorted(found)


def _process(pid: int) -> dict[str, Any]:
    """No command line: only which part of mailferry it is."""
    try:
        stat = _stat(pid)
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        up = time.clock_gettime(time.CLOCK_BOOTTIME) - int(stat[19]) / _TICKS
    except (OSError, IndexError):
        return {}
    role = next((each.decode() for word in words if (each := word.rpartition(b".")[2]) in _ROLES), "")
    found = {
        "pid": pid,
        "role": role,
        "state": stat[0],
        "up for seconds": round(up),
        "processor seconds": (int(stat[11]) + int(stat[12])) / _TICKS,
        "threads": int(stat[17]),
        "memory": int(stat[21]) * _PAGE,
    }
    try:
        found["descriptors"] = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
        found["descriptors allowed"] = resource.prlimit(pid, resource.RLIMIT_NOFILE)[0]
    except OSError as error:
        found["descriptors"] = error.strerror or ""
    return found
