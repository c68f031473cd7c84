"""Directories, the accounts database and the sealing key: there, ours, private, writable, and with room left."""

from __future__ import annotations

import os
import pwd
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from mailstore.errors import StorageFailed
from mailstore.rotation import lost
from mailstore.schema import HEAD
from mailstore.secrets import KEY_OCTETS, each, read_keys
from proxy.admin.sealing import lost_words
from proxy.cli.checks.finding import Finding, unseen
from proxy.config import Config
from proxy.config.places import is_credential, is_unseen

LITTLE: Final = 1 << 30  # octets of free space that are worth a warning
TOO_LITTLE: Final = 64 << 20
RUN_AS: Final = "run check as the user of serve"


def place_findings(config: Config) -> Iterator[Finding]:
    """The state directory, the Maildirs' where it is another one, database and key."""
    yield _directory(config.state, "state")
    root = config.maildir_root
    if not root.is_relative_to(config.state):
        yield _directory(root, "storage.maildir")
    if config.storage.server:
        from proxy.cli.checks.server import server_findings  # noqa: PLC0415 - its driver is for those who use it

        yield from server_findings(config)
    else:
        yield _database(config.accounts_file)
    yield from _sealing_key(config)


def existing(path: Path) -> Path:
    """The path itself, or the nearest directory above it that is there."""
    # Path.exists would raise below a directory into which we may not look.
    while not os.path.exists(path) and path != path.parent:  # noqa: PTH110
        path = path.parent
    return path


def _directory(path: Path, key: str) -> Finding:
    found = existing(path)
    if not found.is_dir():
        return Finding("directory", "fail", str(path), f"{found} is no directory", f"set {key} to another path")
    if not os.access(found, os.W_OK | os.X_OK):
        who = pwd.getpwuid(os.geteuid()).pw_name
        remedy = f"make it with: install -d -o USER -m 0700 {path}" if found != path else f"chown {who} {path}"
        return Finding("directory", "fail", str(path), f"{who} cannot write in {found}", remedy)
    free = shutil.disk_usage(found).free
    room = f"{free / 1e9:.1f} GB free"
    if free < TOO_LITTLE:
        return Finding("directory", "fail", str(path), f"the disk is full: {room}", "make room for the mailboxes")
    if free < LITTLE:
        return Finding("directory", "warn", str(path), f"little room: {room}", "make room for the mailboxes")
    if found != path:
        return Finding("directory", "ok", str(path), f"not there yet, will be made; {room}")
    status = path.stat()
    if status.st_uid != os.geteuid():
        owner = _user(status.st_uid)
        return Finding(
            "directory",
            "warn",
            str(path),
            f"belongs to {owner}; {room}",
            f"run serve and check as {owner}, or give it to the user that serve runs as",
        )
    if status.st_mode & 0o002:
        return Finding("directory", "warn", str(path), "everybody may write in it", f"chmod 0700 {path}")
    return Finding("directory", "ok", str(path), f"writable; {room}")


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _database(path: Path) -> Finding:
    """Looks without making or changing anything; migrations are the daemon's."""
    try:
        path.stat()
    except FileNotFoundError:
        return Finding("database", "ok", str(path), "not there yet, will be made at the first start")
    except OSError as error:
        return Finding("database", "fail", str(path), f"cannot be opened: {error.strerror}", RUN_AS)
    if not os.access(path, os.R_OK | os.W_OK):
        return Finding("database", "fail", str(path), "cannot be opened for writing", RUN_AS)
    try:
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=5.0)
        try:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        finally:
            connection.close()
    except sqlite3.Error as error:
        return Finding("database", "fail", str(path), f"cannot be read: {error}", "restore it from a backup")
    version = row[0] if row else "none"
    if version == HEAD:
        return Finding("database", "ok", str(path), f"opens; schema {version}")
    if version < HEAD:
        return Finding("database", "ok", str(path), f"opens; schema {version}, will be carried forward to {HEAD}")
    return Finding(
        "database", "fail", str(path), f"schema {version} is of a later version of mailferry", "install that version"
    )


def _sealing_key(config: Config) -> Iterator[Finding]:
    path = config.key_file
    try:
        keys = read_keys(path)
    except StorageFailed as error:
        yield _no_key(path, error)
        if isinstance(error.__cause__, FileNotFoundError) and not is_unseen(path) and not config.storage.server:
            yield from _sealed(config.accounts_file, b"")
        return
    yield Finding("key", "ok", str(path), "private" if len(keys) == KEY_OCTETS else f"private; {len(each(keys))} keys")
    if not config.storage.server and os.access(config.accounts_file, os.R_OK | os.W_OK):
        yield from _sealed(config.accounts_file, keys)


def _no_key(path: Path, error: StorageFailed) -> Finding:
    cause = error.__cause__
    text = str(error).removeprefix("the sealing key ")
    if is_unseen(path):
        return unseen("key", path)
    if isinstance(cause, FileNotFoundError) and not is_credential(path):
        return Finding("key", "ok", str(path), "not there yet, will be made at the first start")
    if cause is not None:
        return Finding("key", "fail", str(path), text, RUN_AS)
    text, _, remedy = text.partition(": ")
    return Finding("key", "fail", str(path), text, f"chmod 0600 {path}" if "mode" in remedy else remedy)


def _sealed(database: Path, keys: bytes) -> Iterator[Finding]:
    """Do the keys open what is sealed? A database that cannot be asked now is told of already."""
    with suppress(sqlite3.Error):
        if count := lost(database, keys):
            yield Finding("key", "warn", str(database), *lost_words(count))
