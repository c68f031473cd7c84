"""What it runs on: versions, the kernel, the distribution, the clock, room on the disks."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import sqlite3
import ssl
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.backends.openssl import backend

_UNSYNCHRONISED: Final = 5  # TIME_ERROR of adjtimex(2)
_TIMEX: Final = 512  # octets; the kernel's structure has 208


def versions() -> dict[str, str]:
    """Of mailferry, of what it is made of, and of the libraries in C below that."""
    found = {"mailferry": version("mailferry"), "Python": platform.python_version()}
    found |= {"SQLite": sqlite3.sqlite_version, "OpenSSL of Python": ssl.OPENSSL_VERSION}
    found["OpenSSL of cryptography"] = backend.openssl_version_text()
    for wanted in requires("mailferry") or []:
        name, _, condition = wanted.partition(";")
        name = name.strip().split(" ")[0].split(">")[0].split("=")[0].split("<")[0]
        if "extra" not in condition:
            try:
                found[name] = version(name)
            except PackageNotFoundError:
                found[name] = "is missing"
    return found


def machine() -> dict[str, Any]:
    """The kernel, and what it has to give."""
    memory = dict(line.split(":", 1) for line in _text("/proc/meminfo").splitlines() if ":" in line)
    return {
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "distribution": _distribution(),
        "processors": os.cpu_count(),
        "usable processors": len(os.sched_getaffinity(0)),
        "load": list(os.getloadavg()),
        "memory": {name: memory[name].strip() for name in ("MemTotal", "MemAvailable", "SwapFree") if name in memory},
        "up for seconds": float((_text("/proc/uptime").split() or ["0"])[0]),
        "descriptors of this process": list(resource.getrlimit(resource.RLIMIT_NOFILE)),
        "run as root": os.geteuid() == 0,
        "clock is synchronised": synchronised(),
    }


def _text(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _distribution() -> str:
    for line in _text("/etc/os-release").splitlines():
        name, _, value = line.partition("=")
        if name == "PRETTY_NAME":
            return value.strip('"')
    return ""


def synchronised() -> bool | None:
    """Does the kernel know its clock to be right? None: it does not say."""
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _UNSYNCHRONISED


def disks(places: Iterable[Path]) -> dict[str, Any]:
    """Of each place, or of the nearest directory above it that is there."""
    found = {}
    for place in places:
        there = place
        while not os.path.exists(there) and there != there.parent:  # noqa: PTH110 - may not be looked into
            there = there.parent
        disk = os.statvfs(there)
        found[str(place)] = {
            "is there": there == place,
            "octets": disk.f_blocks * disk.f_frsize,
            "free": disk.f_bavail * disk.f_frsize,
            "files": disk.f_files,
            "files free": disk.f_favail,
            "mode": oct(there.stat().st_mode & 0o7777),
            **_mount(there.resolve()),
        }
    return found


def _mount(path: Path) -> dict[str, str]:
    """As proc(5) has it: number, above, device, root, mount point, options, … - type, source, options."""
    best: dict[str, str] = {}
    longest = -1
    for line in _text("/proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        point = Path(fields[4].replace("\\040", " "))
        if path.is_relative_to(point) and len(point.parts) >= longest:
            longest, best = len(point.parts), {"type": kind[0], "options": fields[5]}
    return best
