"""The configuration file, changed in a few places: comments, order and everything else stay as a person wrote them.

What comes of it is checked as a whole before it takes the file's place, in one step. Nothing is changed otherwise.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import tomlkit

from proxy.config import parse


def change(path: Path, changes: Mapping[tuple[str, ...], Any]) -> None:
    """Give these keys these values: `{("domain", "123.com", "legacy", "login"): "full"}`. Tables that are not there are
    made. Raises ConfigErrors where the result would not be right, OSError where it cannot be read or written."""
    path = path.resolve()  # a link stays one
    data = path.read_bytes()
    parse(data, str(path), path.parent)  # its own mistakes are told before ours
    document = tomlkit.parse(data.decode("utf-8-sig"))
    for keys, value in changes.items():
        table: MutableMapping[str, Any] = document
        for key in keys[:-1]:
            table = cast(MutableMapping[str, Any], table.setdefault(key, tomlkit.table()))
        table[keys[-1]] = value
    changed = tomlkit.dumps(document).encode()
    parse(changed, str(path), path.parent)
    _replace(path, changed)


def _replace(path: Path, data: bytes) -> None:
    """With mode and owner of the file before. Raises OSError."""
    before = path.stat()
    passing = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(passing, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if os.geteuid() == 0:
                os.fchown(descriptor, before.st_uid, before.st_gid)
            os.fchmod(descriptor, before.st_mode & 0o7777)
            os.fsync(descriptor)
        passing.replace(path)
    except BaseException:
        with suppress(OSError):
            passing.unlink()
        raise
