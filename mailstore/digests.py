"""What tells one message from others, taken of it as it comes by: its SHA-256, and its likeness.

Ledger rows that were made anew after a loss (`mailstore.rebuilding`) have neither. `learn` reads them from the
messages' files, once, for rows that the legacy server does not list: only those are looked for by content. Used by
`mailstore.mailhome` alone.
"""

from __future__ import annotations

import hashlib
import os
from typing import Final

from sqlalchemy import bindparam, select, update

from mailstore import schema
from mailstore.errors import MessageLost
from mailstore.index.flagtext import from_text
from mailstore.index.folders import INBOX_ID
from mailstore.mailbox import Mailbox
from mailstore.maildir import Maildir
from mailstore.message.arrival import header_end
from mailstore.message.likeness import likeness
from mailstore.prepared import Prepared
from mailstore.refusals import storage_errors
from mailstore.writing import HEADER_LIMIT

_PIECE: Final = 1024 * 1024

_l, _m = schema.ledger.c, schema.messages.c
_UNKNOWN = (
    select(_l.id, _m.file, _m.flags)
    .join_from(schema.ledger, schema.messages, (_m.account_id == _l.account_id) & (_m.uid == _l.uid))
    .where(_l.account_id == bindparam("a"), _l.unlisted.is_not(None), _l.sha256.is_(None), _l.outcome == "stored")
    .where(_m.folder_id == INBOX_ID)
)
_KNOWN = Prepared(
    update(schema.ledger)
    .where(_l.account_id == bindparam("a"), _l.id == bindparam("i"))
    .values(sha256=bindparam("new_sha256"), likeness=bindparam("new_likeness"))
)


class Digest:
    """Of one message, in pieces."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._beginning = bytearray()
        self._size = 0

    def take(self, data: bytes) -> None:
        self._sha256.update(data)
        self._beginning += data[: HEADER_LIMIT - len(self._beginning)]
        self._size += len(data)

    def end(self) -> tuple[bytes, bytes | None]:
        """SHA-256 and likeness."""
        beginning = bytes(self._beginning)
        return self._sha256.digest(), likeness(beginning, header_end(beginning), self._size)


def learn(database: Mailbox, account_id: int, maildir: Maildir) -> None:
    """Raises StorageFailed. A file that is lost tells nothing: its message is fetched again."""
    with database.read() as connection:
        unknown = connection.execute(_UNKNOWN, {"a": account_id}).all()
    values = []
    for row, file, flags in unknown:
        with storage_errors():
            try:
                sha256, like = _of_file(maildir.open("", file, from_text(flags)))
            except MessageLost:
                continue
        values.append({"a": account_id, "i": row, "new_sha256": sha256, "new_likeness": like})
    if values:
        with database.write() as connection:
            _KNOWN.many(connection, values)


def _of_file(fd: int) -> tuple[bytes, bytes | None]:
    digest = Digest()
    try:
        while piece := os.read(fd, _PIECE):
            digest.take(piece)
    finally:
        os.close(fd)
    return digest.end()
