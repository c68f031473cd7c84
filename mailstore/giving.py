"""Which messages of an account came by its legacy server and which arrived here, for who gives mail back.

The ledger has a row for each that the legacy server listed, with its SHA-256: so one that its user has moved or copied
since is known by its bytes, wherever it is.
"""

from __future__ import annotations

import hashlib

from sqlalchemy import select

from mailstore import schema
from mailstore.mailbox import Mailbox

_l = schema.ledger.c


class CameByLegacy:
    """What an account's ledger knows."""

    def __init__(self, database: Mailbox, account_id: int) -> None:
        rows = select(_l.folder_id, _l.uid, _l.sha256).where(_l.account_id == account_id)
        with database.read() as connection:
            found = connection.execute(rows).all()
        self._places = {(row.folder_id, row.uid) for row in found if row.uid is not None and row.sha256 is not None}
        self._digests = {bytes(row.sha256) for row in found if row.sha256 is not None}

    def has(self, folder_id: int, uid: int) -> bool:
        """Is it one, where a move put it?"""
        return (folder_id, uid) in self._places

    def knows(self, data: bytes) -> bool:
        """… or its bytes, anywhere?"""
        return bool(self._digests) and hashlib.sha256(data).digest() in self._digests
