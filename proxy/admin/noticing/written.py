"""Notices as files, for whoever sends or prints them by other means: one a user, in a directory that appears whole."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

from proxy.admin.noticing.message import Addressed
from proxy.config.places import component


class NotWritten(Exception):
    """The text says where, and why. Nothing has been left there."""


def write(directory: Path, mails: Iterable[tuple[str, Addressed]]) -> int:
    """`mails` by account. The directory is new, or empty. Gives back how many there are. Raises NotWritten."""
    passing = directory.with_name(f".{directory.name}.{secrets.token_hex(4)}")
    count = 0
    try:
        if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            raise NotWritten(f"{directory}: is there already: name a new directory, or an empty one")
        passing.mkdir()
        for account, addressed in mails:
            (passing / file_name(account)).write_bytes(addressed.readable())
            count += 1
        passing.replace(directory)
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        raise NotWritten(f"{directory}: {error.strerror}{'; nothing was written' if full else ''}") from None
    finally:
        if os.path.lexists(passing):
            shutil.rmtree(passing, ignore_errors=True)
    return count


def file_name(account: str) -> str:
    """`li@123.com.eml`, whatever is in the name."""
    local, _, domain = account.rpartition("@")
    return f"{component(local)}@{component(domain)}.eml"
