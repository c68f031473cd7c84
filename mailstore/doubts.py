"""An index and a Maildir that may be of different moments: one was made again from its record, or both are copies.

- A message whose file is not there was lost, as likely as not, and not removed by the user: what the old server may
  still have is asked for again. The row of the index goes, as always (`mailstore.reconciling`).
- A file that a move put in place for a row of the ledger that is owed is that message: the move was about to say so.
  All others that the index does not know are another program's, or are known again when they come from the old server
  (`mailstore.recognition`).

Used by `mailstore.mailhome` alone, before anything else looks at the Maildir.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, bindparam, null, select, update

from mailstore import recognition, schema
from mailstore.adoption import made_at
from mailstore.index import awaited, folders, mailbox
from mailstore.mailbox import Mailbox
from mailstore.maildir import Maildir, NotAFile, flags_of, ledger_of, open_file, unique_of
from mailstore.prepared import Prepared
from mailstore.refusals import storage_errors

_m, _l = schema.messages.c, schema.ledger.c
_FILES: Final = select(_m.uid, _m.file).where(
    _m.account_id == bindparam("a"), _m.folder_id == bindparam("f"), _m.file != ""
)
_ASK: Final = Prepared(
    update(schema.ledger)
    .where(_l.account_id == bindparam("a"), _l.folder_id == bindparam("f"), _l.uid == bindparam("u"))
    .where(_l.outcome == "stored")
    .values(outcome="listed", uid=null(), attempts=0, updated=bindparam("now"))
)
_OWED: Final = select(_l.uidl, _l.shown, _l.uid).where(
    _l.account_id == bindparam("a"),
    _l.folder_id == bindparam("f"),
    _l.id == bindparam("i"),
    _l.outcome.in_(["listed", "quarantined"]),
)
_FOUND: Final = (
    update(schema.ledger)
    .where(_l.account_id == bindparam("a"), _l.id == bindparam("i"))
    .values(
        outcome="stored", reason="", uid=bindparam("new_uid"), sha256=bindparam("new_sha256"), updated=bindparam("now")
    )
)


@dataclass(frozen=True, slots=True)
class _Found:
    """A file of an owed row."""

    row: int
    sha256: bytes
    message: mailbox.NewMessage


class Doubts:
    """One account's."""

    def __init__(self, database: Mailbox, account_id: int, maildir: Maildir, token: str, now: int) -> None:
        self._database = database
        self._account_id = account_id
        self._maildir = maildir
        self._token = token
        self._now = now

    def settle(self, report: Callable[..., None]) -> None:
        """Raises StorageFailed."""
        missing = found = 0
        with storage_errors(), self._database.write() as connection:
            for folder in folders.every(connection, self._account_id):
                self._maildir.make(folder.directory)
                lying = self._lying(folder)
                missing += self._ask(connection, folder, lying)
                found += self._find(connection, folder, lying)
        if missing:
            report("message files are missing and are asked for again", messages=missing)
        if found:
            report("message files of a move are found", messages=found)

    def _lying(self, folder: folders.FolderRow) -> Mapping[str, str]:
        """Paths by unique name."""
        path = self._maildir.folder(folder.directory)
        return {
            unique_of(name): os.fspath(path / sub / name)
            for sub in ("new", "cur")
            for name in os.listdir(path / sub)  # noqa: PTH208 - names only
        }

    def _ask(self, connection: Connection, folder: folders.FolderRow, lying: Mapping[str, str]) -> int:
        key = {"a": self._account_id, "f": folder.id, "now": self._now}
        missing = [uid for uid, file in connection.execute(_FILES, key) if file not in lying]
        return _ASK.count(connection, [key | {"u": uid} for uid in missing])

    def _find(self, connection: Connection, folder: folders.FolderRow, lying: Mapping[str, str]) -> int:
        known = {file for _, file in connection.execute(_FILES, {"a": self._account_id, "f": folder.id})}
        rows = ((ledger_of(unique, self._token), unique) for unique in lying.keys() - known)
        found = [
            each
            for row, unique in sorted((row, unique) for row, unique in rows if row is not None)
            if (each := self._owed(connection, folder, row, lying[unique])) is not None
        ]
        if found:
            uids = mailbox.add(connection, self._account_id, folder, [each.message for each in found])
            folders.save(connection, self._account_id, folder)
            same = {"a": self._account_id, "now": self._now}
            for each, uid in zip(found, uids, strict=True):
                connection.execute(_FOUND, same | {"i": each.row, "new_uid": uid, "new_sha256": each.sha256})
        return len(found)

    def _owed(self, connection: Connection, folder: folders.FolderRow, row: int, path: str) -> _Found | None:
        """One whose place is kept for it is left to the next move, and so is one that has not its size."""
        key = {"a": self._account_id, "f": folder.id, "i": row}
        owed = connection.execute(_OWED, key).first()
        if owed is None or awaited.places(connection, self._account_id, [row]):
            return None
        name = os.path.basename(path)  # noqa: PTH119 - of text
        try:
            fd = open_file(path)
            size = os.fstat(fd).st_size
            sha256 = recognition.sha256(fd)
        except (OSError, NotAFile):
            return None
        if f",S={size}," not in name:
            return None
        shown = owed.uidl if owed.shown is None else owed.shown
        unique = unique_of(name)
        message = mailbox.NewMessage(
            *(flags_of(name), size, made_at(unique), unique), uidl=shown, uid=owed.uid, save_date=self._now
        )
        return _Found(row, sha256, message)
