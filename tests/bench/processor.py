"""What processes have used of the processor."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def processor_seconds(root: int) -> float:
    """What a process, its children, and those of them that have ended have used."""
    used: dict[int, tuple[int, int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            used[int(path.parent.name)] = int(fields[1]), sum(map(int, fields[11:15]))
    family: set[int] = set()
    found = {root}
    while found:
        family |= found
        found = {pid for pid, (parent, _) in used.items() if parent in family} - family
    return sum(used[pid][1] for pid in family if pid in used) / os.sysconf("SC_CLK_TCK")


def server_seconds(root: int) -> float:
    """What a process without threads has used, with its children: those that live to the microsecond, those that have
    ended in ticks."""
    own = _fields(root)
    found = sum(own[13:15]) / os.sysconf("SC_CLK_TCK") + _exactly(root)
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if _fields(pid := int(path.parent.name))[1] == root:
                found += _exactly(pid)
    return found


def _fields(pid: int) -> list[int]:
    """proc_pid_stat(5), from the state on, which is no number."""
    text = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return [0, *map(int, text[1:])]


def _exactly(pid: int) -> float:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
