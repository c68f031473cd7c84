"""Can Postfix reach the socket that it asks for passwords at, and only Postfix?"""

from __future__ import annotations

import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from proxy.cli.checks.finding import Finding
from proxy.config.endpoints import Endpoint

REMEDY: Final = "see conf/postfix/mailferry.service.conf"


def asked_by_postfix(subject: str, endpoint: Endpoint) -> Iterator[Finding]:
    """What the directories above the socket, and its mode, let whom do. None where all is well, or not there yet."""
    directories = [path for path in reversed(Path(endpoint.path).parents) if path.is_dir()]
    if len(directories) < len(Path(endpoint.path).parents):
        return  # which is another finding
    try:
        postfix = pwd.getpwnam("postfix")
    except KeyError:
        postfix = None
    closed = [path for path in directories if postfix is not None and not _passes(path, postfix)]
    if closed:
        yield Finding("port", "warn", subject, f"Postfix does not get through {closed[0]}", REMEDY)
    elif endpoint.mode & 0o002 and all(path.stat().st_mode & 0o001 for path in directories):
        text = "every user of this machine reaches it, and is believed about where users are"
        yield Finding("port", "warn", subject, text, REMEDY)


def _passes(directory: Path, user: pwd.struct_passwd) -> bool:
    """Postfix's programs have no groups but their user's own."""
    found = directory.stat()
    if found.st_uid == user.pw_uid:
        return bool(found.st_mode & 0o100)
    return bool(found.st_mode & (0o010 if found.st_gid == user.pw_gid else 0o001))
