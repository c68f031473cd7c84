"""A backup brought back into a state directory in which nothing is: all of it or nothing.

It is made ready beside its place, in `.restoring`, and then put there name by name, the accounts last. Who is
interrupted before that has nothing; who is interrupted in it goes on with it: until then no daemon is to begin
(`unfinished`).

What clients were told after the backup was made is not in it. So the next UID of every folder is raised beyond any
that can have been given out meanwhile, and no UID comes to mean another message; and every message counts as changed,
so that clients ask for its flags, not for its text. Who was logged in to the portal or the console is not any more.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mailstore.backups import ACCOUNTS, KEPT, MARKER, STATE, Backup, BackupRefused, Mailbox
from mailstore.copying import copy_raw, make_all, sync_all
from mailstore.errors import StorageFailed
from mailstore.index.ahead import look_ahead
from mailstore.mailbox_copy import beside, bring_back
from mailstore.mailhome import index_path
from mailstore.record import record_path
from mailstore.refusals import storage_errors

RESTORING: Final = ".restoring"
_READY: Final = "ready.json"  # with the marker of the backup
_IN_ONE: Final = 4_096  # mailboxes that are made ready in one directory


@dataclass(frozen=True, slots=True)
class Target:
    """Where a backup is to be brought."""

    state: Path
    maildir_root: Path
    maildir_of: Callable[[str, str], Path]  # local part, domain

    @property
    def stage(self) -> Path:
        return self.state / RESTORING

    @property
    def mail_stage(self) -> Path:
        """On the Maildirs' file system."""
        inside = self.maildir_root.is_relative_to(self.state)
        return self.stage / "mail" if inside else self.maildir_root / RESTORING


def unfinished(state: Path) -> bool:
    """Was a backup being put in its place there, and not all of it is?"""
    return (state / RESTORING / _READY).exists()


def restore(
    backup: Backup,
    target: Target,
    told: Callable[[str, str], None] = lambda _what, _account: None,
    *,
    ours: frozenset[str] = frozenset(),
) -> None:
    """`told("checking" | "copying", account)` is called before each; `ours` are names that the caller has made in the
    state directory. Raises BackupRefused, StorageFailed."""
    with storage_errors():
        if unfinished(target.state):
            if (target.stage / _READY).read_bytes() != (backup.path / MARKER).read_bytes():
                raise BackupRefused(f"{target.state}: the restoring of another backup was begun here; go on with that")
        else:
            _see_that_it_is_free(backup, target, ours)
            _make_ready(backup, target, told, ours)
        _put_in_place(backup, target)


def _see_that_it_is_free(backup: Backup, target: Target, ours: frozenset[str]) -> None:
    others = set(os.listdir(target.state)) - {RESTORING, *ours} if target.state.exists() else set()  # noqa: PTH208
    if others:
        raise BackupRefused(f"{target.state} is not empty: {', '.join(sorted(others)[:5])}; move it away first")
    for mailbox in backup.mailboxes():
        maildir = target.maildir_of(mailbox.local, mailbox.domain)
        for path in (maildir, index_path(maildir), record_path(index_path(maildir))):
            if os.path.lexists(path):
                raise BackupRefused(f"{path} is there already; move it away first")


def _make_ready(backup: Backup, target: Target, told: Callable[[str, str], None], ours: frozenset[str]) -> None:
    _clear(target)
    try:
        make_all(target.stage)  # first: who wants to begin here sees it
        for account in backup.check():
            told("checking", account)
        make_all(target.mail_stage)
        for number, mailbox in enumerate(backup.mailboxes()):
            told("copying", mailbox.name)
            maildir = _staged(target, number)
            bring_back(backup.path / mailbox.place, maildir)
            if mailbox.index and not mailbox.damaged:
                _look_ahead(index_path(maildir))
        for path in sorted((backup.path / STATE).rglob("*")):
            if path.is_file():
                copy = target.stage / path.relative_to(backup.path)
                make_all(copy.parent)
                copy_raw(path, copy)
        _log_out(target.stage / STATE / ACCOUNTS)
        sync_all(target.mail_stage)
        sync_all(target.stage)
        _see_that_it_is_free(backup, target, ours)  # still
        copy_raw(backup.path / MARKER, target.stage / f"{_READY}.new")
        (target.stage / f"{_READY}.new").rename(target.stage / _READY)
        sync_all(target.stage)
    except BaseException:
        _clear(target)
        raise


def _staged(target: Target, number: int) -> Path:
    """Where the so-many-th mailbox is made ready: so many in a directory, however many there are."""
    return target.mail_stage / f"{number // _IN_ONE}" / f"{number % _IN_ONE}" / "Maildir"


def _look_ahead(index: Path) -> None:
    with closing(sqlite3.connect(index, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("BEGIN IMMEDIATE")
        look_ahead(connection.execute)
        if "inode" in {row[1] for row in connection.execute("PRAGMA table_info(mailboxes)")}:
            connection.execute("UPDATE mailboxes SET inode = NULL")  # a copy, but one that was looked ahead for
        if _has(connection, "looked"):
            connection.execute("DELETE FROM looked")
        connection.execute("COMMIT")


def _log_out(accounts: Path) -> None:
    with closing(sqlite3.connect(accounts, isolation_level=None)) as connection:
        connection.execute("PRAGMA secure_delete=ON")
        if _has(connection, "web_sessions"):
            connection.execute("DELETE FROM web_sessions")


def _has(connection: sqlite3.Connection, table: str) -> bool:
    """One of an earlier version may not."""
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone() is not None


def _put_in_place(backup: Backup, target: Target) -> None:
    for number, mailbox in enumerate(backup.mailboxes()):
        ready = target.mail_stage / str(number)  # where a version before has it, which had them all in one directory
        _put_mailbox(ready / "Maildir" if any(ready.glob("Maildir*")) else _staged(target, number), target, mailbox)
    for name in reversed(KEPT):
        _put(target.stage / STATE / name, target.state / name)
    sync_all(target.state)
    if target.maildir_root.exists():
        sync_all(target.maildir_root)
    (target.stage / _READY).unlink()
    _clear(target)


def _put_mailbox(ready: Path, target: Target, mailbox: Mailbox) -> None:
    maildir = target.maildir_of(mailbox.local, mailbox.domain)
    make_all(maildir.parent)
    _put(ready, maildir)
    _put(index_path(ready), index_path(maildir))
    for source, place in zip(beside(ready), beside(maildir), strict=True):
        _put(source, place)


def _put(ready: Path, place: Path) -> None:
    """Harmless where it has been done."""
    if not ready.exists():
        return
    if os.path.lexists(place):
        raise StorageFailed(f"{place} has come into being meanwhile")
    ready.rename(place)


def _clear(target: Target) -> None:
    shutil.rmtree(target.mail_stage, ignore_errors=True)
    shutil.rmtree(target.stage, ignore_errors=True)
