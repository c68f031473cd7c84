"""How far everything in an account has come, for whoever wants to know later what has changed since.

An announcement says no more than that something did, and comes perhaps from another process; what it was is found
by comparing. Functions over an open transaction; used through `MailHome`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection, bindparam, select

from mailstore import schema
from mailstore.annotations import SPECIAL_USE
from mailstore.index import folders
from mailstore.index.rows import Folder

_e, _a = schema.expunged.c, schema.metadata.c
_ANNOTATIONS: Final = select(_a.folder_id, _a.entry, _a.value).where(
    _a.account_id == bindparam("a"), _a.entry.startswith("/")
)
_GONE: Final = (
    select(_e.uid)
    .where(_e.account_id == bindparam("a"), _e.folder_id == bindparam("f"), _e.modseq > bindparam("since"))
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class FolderStanding:
    """A folder at one moment. Both numbers only grow; each change to its messages makes `highestmodseq` one more."""

    folder: Folder
    uidnext: int
    highestmodseq: int


@dataclass(frozen=True, slots=True)
class Standing:
    """An account at one moment. What was not asked for is empty."""

    folders: Mapping[int, FolderStanding] = field(default_factory=dict)  # by id
    subscriptions: frozenset[str] = frozenset()
    annotations: Mapping[tuple[int, str], bytes] = field(default_factory=dict)  # (folder's id, entry): a digest


@dataclass(frozen=True, slots=True)
class MessageChanges:
    """What happened in a folder beside changes of flags."""

    new: bool
    expunged: bool


def standing(connection: Connection, account_id: int, *, annotations: bool) -> Standing:
    every = folders.every(connection, account_id)
    found = {}
    if annotations:
        found = {(row.id, SPECIAL_USE): row.special_use.encode() for row in every if row.special_use}
        for folder_id, entry, value in connection.execute(_ANNOTATIONS, {"a": account_id}):
            found[folder_id, entry] = hashlib.sha256(value).digest()
    return Standing(
        {row.id: FolderStanding(row.value(), row.uidnext, row.highestmodseq) for row in every},
        frozenset(folders.subscriptions(connection, account_id)),
        found,
    )


def changes_since(connection: Connection, account_id: int, before: FolderStanding, uidnext: int) -> MessageChanges:
    """What happened to a folder's messages since it stood as `before`; `uidnext` is what it is now."""
    key = {"a": account_id, "f": before.folder.id, "since": before.highestmodseq}
    return MessageChanges(uidnext > before.uidnext, connection.scalar(_GONE, key) is not None)
