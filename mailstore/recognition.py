"""Messages that a move brings although they are here: their ledger rows were lost with a damaged or missing index.

Such a message comes under a new ledger row, since nobody knows its UIDL any more. It is the same message when one of
the same bytes is here that belongs to no ledger row; it is then not stored a second time. In the row's
own folder the row and the message find each other again, and the message gets its old UIDL back; found in another one,
the user had moved it there, and its row says so (invariant 8).

Only from a loss, which is noted in the index, to the end of the next move that left nothing out. Bytes are compared by
size and SHA-256; each file is read once at most. Used by `mailstore.mailhome` alone.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict, deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, insert, select

from mailstore import schema
from mailstore.entries import Here, Landed
from mailstore.errors import MessageLost
from mailstore.index.flagtext import from_text
from mailstore.index.mailbox import EXACT, chunks
from mailstore.index.special import ACCOUNT
from mailstore.mailbox import Mailbox
from mailstore.maildir import Maildir
from mailstore.prepared import Prepared
from mailstore.refusals import storage_errors

LOSS: Final = "ledger-lost"  # an annotation of the account that no client can name: those begin with "/"

_PIECE: Final = 1024 * 1024

_m, _f, _l, _n = schema.messages.c, schema.folders.c, schema.ledger.c, schema.metadata.c
_NOTED = (_n.account_id == bindparam("a"), _n.folder_id == ACCOUNT, _n.entry == LOSS)
_IS_NOTED = Prepared(select(_n.entry).where(*_NOTED))
_FORGET = delete(schema.metadata).where(*_NOTED)
_OF_SIZES = (
    select(_m.folder_id, _m.uid, _m.size, _m.file, _m.flags, _f.directory)
    .join_from(schema.messages, schema.folders, (_f.account_id == _m.account_id) & (_f.id == _m.folder_id))
    .where(
        _m.account_id == bindparam("a"),
        _m.size.in_(bindparam("sizes", expanding=True)),
        _m.line_ends == EXACT,  # what other programs delivered never came from a move
        _m.file != "",  # what is listed and not here yet is nothing to compare with
    )
    .order_by(_m.folder_id, _m.uid)  # the INBOX first
)
_OWNED = select(_l.folder_id, _l.uid).where(
    _l.account_id == bindparam("a"), _l.outcome == "stored", _l.uid.is_not(None)
)


def note_loss(connection: Connection, account_id: int) -> None:
    """Of an index, perhaps not the first one."""
    connection.execute(_FORGET, {"a": account_id})
    values = {"account_id": account_id, "folder_id": ACCOUNT, "entry": LOSS, "value": b""}
    connection.execute(insert(schema.metadata), values)


def sha256(fd: int) -> bytes:
    """Of a whole file, which is closed. Raises OSError."""
    digest = hashlib.sha256()
    try:
        while piece := os.read(fd, _PIECE):
            digest.update(piece)
    finally:
        os.close(fd)
    return digest.digest()


@dataclass(frozen=True, slots=True)
class _Candidate:
    folder_id: int
    uid: int
    file: str
    flags: str
    directory: str


class Recognition:
    """One account's. Not for several threads at a time."""

    def __init__(self, database: Mailbox, account_id: int, maildir: Maildir) -> None:
        self._database = database
        self._account_id = account_id
        self._maildir = maildir
        self._digests: dict[tuple[str, str], bytes | None] = {}  # by directory and unique name

    def needed(self) -> bool:
        """Was there a loss, from which not everything is known again?"""
        with self._database.read() as connection:
            return _IS_NOTED.first(connection, {"a": self._account_id}) is not None

    def among(self, landed: Sequence[Landed]) -> dict[int, Here]:
        """Those that are here already, by ledger row. Raises StorageFailed."""
        with self._database.read() as connection:
            by_size: defaultdict[int, deque[_Candidate]] = defaultdict(deque)
            for size, candidate in self._candidates(connection, {message.size for message in landed}):
                by_size[size].append(candidate)
        here: dict[int, Here] = {}
        for message in landed:
            same = next((c for c in by_size[message.size] if self._digest(c) == message.sha256), None)
            if same is not None:
                by_size[message.size].remove(same)
                here[message.entry.id] = Here(same.folder_id, same.uid, same.file)
        return here

    def over(self) -> None:
        """Whatever the legacy server lists is known again."""
        self._digests.clear()
        if self.needed():
            with self._database.write() as connection:
                connection.execute(_FORGET, {"a": self._account_id})

    def _candidates(self, connection: Connection, sizes: Collection[int]) -> Iterator[tuple[int, _Candidate]]:
        """Messages that no ledger row is known for, with their sizes."""
        owned = {(folder_id, uid) for folder_id, uid in connection.execute(_OWNED, {"a": self._account_id})}
        for chunk in chunks(sizes):
            key: dict[str, Any] = {"a": self._account_id, "sizes": chunk}
            for folder_id, uid, size, file, flags, directory in connection.execute(_OF_SIZES, key):
                if (folder_id, uid) not in owned:
                    yield size, _Candidate(folder_id, uid, file, flags, directory)

    def _digest(self, candidate: _Candidate) -> bytes | None:
        """The SHA-256 of a message's file, None where it cannot be read."""
        name = (candidate.directory, candidate.file)
        if name not in self._digests:
            self._digests[name] = self._read(candidate)
        return self._digests[name]

    def _read(self, candidate: _Candidate) -> bytes | None:
        with storage_errors():
            try:
                fd = self._maildir.open(candidate.directory, candidate.file, from_text(candidate.flags))
            except MessageLost:
                return None
            return sha256(fd)
