"""What all nodes of an installation have to agree on: the key that seals passwords.

What one node seals the others open. A node with another key would serve, and its users' moves would fail on every other
node; so the database keeps something that only the right key gives, and tells nothing of it: a keyed digest of a
constant. Whoever comes first writes it.

PostgreSQL's alone: with SQLite there is one node. Each function is a part of its caller's transaction.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from sqlalchemy import Connection, text

from mailstore.errors import StorageFailed
from mailstore.secrets import each

_NAME: Final = "sealing-key"
_CONSTANT: Final = b"mailferry: this key seals"

_FIRST = text("INSERT INTO installation (name, value) VALUES (:name, :value) ON CONFLICT (name) DO NOTHING")
_KNOWN = text("SELECT value FROM installation WHERE name = :name")
_CHANGE = text("""
    INSERT INTO installation (name, value) VALUES (:name, :value)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value
""")


class OtherKey(StorageFailed):
    """This node's key is not the one that the others seal with."""


def _told_by(key: bytes) -> str:
    return hmac.digest(key, _CONSTANT, hashlib.sha256).hex()


def agree(connection: Connection, keys: bytes) -> None:
    """Does the first of these keys seal for everybody? It does from now on where none did. Raises OtherKey."""
    first, *others = each(keys)
    connection.execute(_FIRST, {"name": _NAME, "value": _told_by(first)})
    known = connection.execute(_KNOWN, {"name": _NAME}).scalar_one()
    if known == _told_by(first):
        return
    if known in map(_told_by, others):
        raise OtherKey(
            "the nodes of this database seal passwords with another key of this node's key file than its first: copy "
            "the file from a node that serves"
        )
    raise OtherKey(
        "the nodes of this database seal passwords with another key than this node has: replace its key file by a copy "
        "of that of a node that serves"
    )


def change(connection: Connection, keys: bytes) -> None:
    """The first of these seals from now on."""
    connection.execute(_CHANGE, {"name": _NAME, "value": _told_by(each(keys)[0])})
