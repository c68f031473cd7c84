"""Which messages contain a text, where there is no index of trigrams: PostgreSQL looks through the kept texts itself.

They are kept as they are, for it to compress, and not to be sent: it says which of them contain the needle. What was
copied from SQLite is compressed here, and is looked through here. The first octet tells one from the other.

Functions over an open transaction, for `mailstore.index.fulltext`.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, TextClause, text

_PLAIN: Final = b"\0"  # what is compressed begins with 0x78 (RFC 1950 2.2)

_CONTAINING: Final = """
    SELECT m.uid, CASE WHEN get_byte(t.{column}, 0) = 0 THEN NULL ELSE t.{column} END
    FROM messages AS m JOIN texts AS t ON t.account_id = m.account_id AND t.content_id = m.content_id
    WHERE m.account_id = :a AND m.folder_id = :f
    AND (get_byte(t.{column}, 0) <> 0 OR position(CAST(:needle AS bytea) IN t.{column}) > 0)
"""
_STATEMENTS: Final[dict[str, TextClause]] = {
    column: text(_CONTAINING.format(column=column)) for column in ("header", "body")
}


def is_for(connection: Connection) -> bool:
    return connection.dialect.name == "postgresql"


def kept(octets: bytes) -> bytes:
    """How a folded text is kept."""
    return _PLAIN + octets


def containing(connection: Connection, key: Mapping[str, Any], needle: bytes, column: str) -> set[int]:
    """The UIDs of a folder's messages whose kept text contains a needle without NUL."""
    found = connection.execute(_STATEMENTS[column], {**key, "needle": needle})
    return {uid for uid, packed in found if packed is None or needle in zlib.decompress(packed)}
