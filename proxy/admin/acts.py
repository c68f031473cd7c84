"""What administrators do on the command line, written down: a line before it is done, and one when it has ended.

The lines are those that the daemon's log has of acts in the console (`"audit": true`), with who did it as the kernel
and sudo know it. They go to a file in the state directory: a command has no log of its own. Each is on stable storage
before anything is changed, so nothing is done that is not in it; where it cannot be written, nothing is done. An act
without its second line was interrupted, or is under way. The file is opened anew for each line, so logrotate may move
it at any time.

No field ever has a password or a byte of mail; that is up to who calls.
"""

from __future__ import annotations

import errno
import json
import os
import pwd
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from proxy.wire import trace

NAME: Final = "audit.log"  # in the state directory
NAMED: Final = 50  # accounts, or the like, that a line names; the count tells of the others
_NOBODY: Final = 0xFFFFFFFF  # what the kernel has where nobody logged in: a service's or a container's process


class Act:
    """One, begun. Raises OSError."""

    def __init__(self, state: Path, did: str, about: Mapping[str, Any]) -> None:
        self.trace = trace.new()
        self._path = state / NAME
        self._did = did
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._write({**who(), "did": did, **about, "event": "administrator"})

    def end(self, status: int) -> None:
        """`status` is that of the command. Raises OSError."""
        self._write({"did": self._did, "status": status, "event": "administrator is done"})

    def _write(self, fields: Mapping[str, Any]) -> None:
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        line = {"audit": True, **fields, "level": "info", "trace": self.trace, "timestamp": now}
        _append(self._path, json.dumps(line, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")


def some(names: Sequence[str]) -> dict[str, Any]:
    """Names for a line, however many there are."""
    return {"names": list(names[:NAMED]), "count": len(names)}


def _append(path: Path, line: bytes) -> None:
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open(path, flags, 0o600)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is no file", str(path))
        if found.st_size == 0:
            _give_to_the_owner(descriptor, path)
        elif os.pread(descriptor, 1, found.st_size - 1) != b"\n":  # of a line that the disk had no room for
            line = b"\n" + line
        if os.write(descriptor, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _give_to_the_owner(descriptor: int, path: Path) -> None:
    """What root makes, the daemon's user must be able to write to as well; and its name is to survive a crash."""
    place = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        owner = os.fstat(place)
        if os.geteuid() == 0:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        os.fsync(place)
    finally:
        os.close(place)


# Who it is


def who() -> dict[str, Any]:
    """`peer` is where the terminal's user sits, `by` whom the process runs as. `login` is who logged in, by the
    kernel's word (audit's login uid), and `sudo` who called it, by sudo's; with the address of ssh that is what the
    environment says, which a user may have changed."""
    user = os.getuid()
    found: dict[str, Any] = {"peer": os.environ.get("SSH_CONNECTION", "").partition(" ")[0] or "local"}
    found |= {"by": _name(user), "uid": user}
    if (login := _logged_in()) is not None:
        found["login"] = _name(login)
    if sudo := os.environ.get("SUDO_USER"):
        found["sudo"] = sudo
    for descriptor in (0, 1, 2):
        with suppress(OSError):
            found["terminal"] = os.ttyname(descriptor)
            break
    return found


def _logged_in() -> int | None:
    try:
        number = int(Path("/proc/self/loginuid").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return None if number == _NOBODY else number


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"
