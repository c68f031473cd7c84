"""Files of other programs become messages: what lies in a folder that the index does not know, and whether what was
taken in has grown since.

- What our own writers put in place before their transaction is known by its name, which carries the mailbox's token: a
  file of a move belongs to its ledger row, and any other is left alone for GRACE seconds, after which its writer is
  taken for dead.
- A node that was stopped while it moved an account, and goes on when another one has taken over, may give a name to a
  message that the other has brought as well. It is the same message, byte by byte, under a name that the index never
  had: it is removed.
- A file that was taken in young may still have been growing: a look soon after finds out.

Used by `mailstore.reconciling` alone, within the transaction of its look.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, bindparam, select, update

from mailstore import schema
from mailstore.adoption import Adopted, adopt, made_at, token_of
from mailstore.errors import MessageLost
from mailstore.index import awaited, mailbox
from mailstore.index.folders import FolderRow
from mailstore.index.marks import Mark
from mailstore.index.reconcile import Lying
from mailstore.maildir import ARRIVED, fence_of, ledger_of, open_file, pulled, sync_directory, sync_files, unique_of
from mailstore.recognition import sha256

GRACE: Final = 60  # seconds from a file's making to the end of its transaction, at the very most
_FRESH: Final = 2.0  # seconds; a file changed so lately may still be growing

Report = Callable[..., None]  # report(event, **figures): for the log; no names, no bytes of mail

_l = schema.ledger.c
_LEDGER = select(_l.outcome, _l.uidl, _l.folder_id).where(_l.account_id == bindparam("a"), _l.id == bindparam("i"))
_DIGEST = select(_l.sha256).where(_l.account_id == bindparam("a"), _l.id == bindparam("i"))
_LEDGER_UID = (
    update(schema.ledger).where(_l.account_id == bindparam("a"), _l.id == bindparam("i")).values(uid=bindparam("u"))
)
_OWED: Final = {"listed", "quarantined"}


@dataclass(slots=True)
class Look:
    """One look into one folder, while its transaction is open."""

    folder: FolderRow
    path: Path
    clock: Callable[[], float]
    mark: Mark = field(default_factory=lambda: Mark((0, 0), settled=False))
    changed: bool = False  # in the index
    moved: bool = False  # in the directories, by us
    replaced: set[int] = field(default_factory=set)  # UIDs whose files are others by now
    figures: dict[str, int] = field(default_factory=dict)

    def count(self, what: str) -> None:
        self.figures[what] = self.figures.get(what, 0) + 1


class Intake:
    """One account's."""

    def __init__(self, account_id: int, token: str, report: Report) -> None:
        self._account_id = account_id
        self._token = token
        self._report = report
        self.leaves_arrivals = False  # is what waits in `new` for the old mail to stay there (`mailstore.incoming`)?
        self._fresh: dict[int, dict[int, tuple[str, int]]] = {}  # folder → UID → unique name, octets of the file

    def watches(self, folder_id: int) -> bool:
        """Is there a file in it that may still be growing?"""
        return bool(self._fresh.get(folder_id))

    def forget(self, folder_id: int, uids: Iterable[int]) -> None:
        """Messages that went."""
        for uid in uids:
            self._fresh.get(folder_id, {}).pop(uid, None)

    def grown(self, look: Look) -> set[int]:
        """UIDs whose files have another size than when they were taken in."""
        grown = set()
        fresh = self._fresh.get(look.folder.id, {})
        for uid, (name, octets) in list(fresh.items()):
            try:
                about = (look.path / "cur" / name).stat()
            except OSError:  # renamed or gone: the comparison finds out
                del fresh[uid]
                continue
            if about.st_size != octets:
                grown.add(uid)
                del fresh[uid]
            elif time.time() - about.st_mtime > _FRESH:
                del fresh[uid]
        return grown

    def on_its_way(self, connection: Connection, lying: Lying) -> bool:
        """Has a move put it there, which is about to make it visible, or to remove it, since the user did so before?"""
        entry = ledger_of(lying.name, self._token)
        if entry is None:
            return False
        return self._ledger(connection, entry)[0] in _OWED or awaited.concerns(connection, self._account_id, entry)

    def late(self, connection: Connection, path: Path, lying: Lying) -> bool:
        """Has a node put it there that had lost its lease, and another one had brought the message? Then it is gone
        now."""
        entry = ledger_of(lying.name, self._token)
        if entry is None or not fence_of(lying.name):
            return False
        brought = connection.execute(_DIGEST, {"a": self._account_id, "i": entry}).scalar()
        if brought is None or mailbox.was_here(connection, self._account_id, unique_of(lying.name)):
            return False
        file = path / lying.sub / lying.name
        try:
            if sha256(open_file(file)) != brought:
                return False
            file.unlink(missing_ok=True)
        except (OSError, MessageLost):
            return False
        self._report("file of a lost lease removed", row=entry)
        return True

    def take_in(self, connection: Connection, look: Look, unknown: list[Lying], extra: list[Lying]) -> None:
        """Make messages of `unknown` files, and of `extra` ones whose names are those of messages."""
        files = [(each, False) for each in unknown if self._free(connection, look, each)]
        files += [(each, True) for each in extra]
        if not files:
            return
        directory = os.open(look.path / "cur", os.O_RDONLY | os.O_DIRECTORY)
        try:
            taken = [
                (each, adopted)
                for each, duplicate in files
                if (adopted := self._take(look, each, duplicate=duplicate)) is not None
            ]
            if not taken:
                return
            look.moved = True
            sync_files(directory, [adopted.name for _, adopted in taken])
        finally:
            os.close(directory)
        sync_directory(look.path / "cur")
        self._enter(connection, look, taken)

    def _take(self, look: Look, lying: Lying, *, duplicate: bool) -> Adopted | None:
        try:
            adopted = adopt(look.path, lying, self._token, look.clock(), rename_unique=duplicate)
        except OSError as error:
            self._report("message file cannot be taken in", folder=look.folder.id, reason=error.strerror)
            adopted = None
        if adopted is None:  # not a file, or one that is still being written
            look.mark.again = look.clock() + 1
        elif duplicate:
            look.count("duplicates")
        if adopted is not None and adopted.wrong_sizes:
            look.count("wrong_sizes")
        return adopted

    def _free(self, connection: Connection, look: Look, lying: Lying) -> bool:
        """May a file that the index does not know be taken in, or has a writer of ours yet to commit it?"""
        token = token_of(lying.name)
        if token == ARRIVED and lying.sub == "new" and self.leaves_arrivals:
            look.mark.again = look.clock()
            return False
        if token != self._token:
            return True
        if ledger_of(lying.name, self._token) is not None:
            return not self.on_its_way(connection, lying)
        age = look.clock() - made_at(lying.name)
        if not 0 <= age < GRACE:
            return True
        unique = unique_of(lying.name)
        if mailbox.was_here(connection, self._account_id, unique):
            return True  # moved or copied here by another program
        look.mark.again = look.clock() + GRACE - age
        return False

    def _ledger(self, connection: Connection, entry: int) -> tuple[str, str, int]:
        row = connection.execute(_LEDGER, {"a": self._account_id, "i": entry}).first()
        return ("", "", 0) if row is None else (row[0], row[1], row[2])

    def _enter(self, connection: Connection, look: Look, taken: list[tuple[Lying, Adopted]]) -> None:
        folder = look.folder
        first_unseen = folder.recent_from == folder.uidnext
        entries = [ledger_of(adopted.name, self._token) for _, adopted in taken]
        owners: list[int | None] = []
        new = []
        for (_, adopted), entry in zip(taken, entries, strict=True):
            outcome, uidl, place = self._ledger(connection, entry) if entry is not None else ("", "", 0)
            owners.append(entry if place == folder.id else None)  # in another folder: moved here by another program
            date = made_at(adopted.name) if pulled(adopted.name) is not None else adopted.internal_date
            new.append(
                mailbox.NewMessage(
                    adopted.flags,
                    adopted.size,
                    date,
                    adopted.file,
                    uidl=uidl if outcome == "stored" and place == folder.id else "",
                    save_date=int(look.clock()),
                    native=adopted.native,
                )
            )
        uids = mailbox.add(connection, self._account_id, folder, new)
        if first_unseen:  # what lay in `cur` was seen by some program: not \Recent, as far as one UID can part them
            in_new = [uid for uid, (_, adopted) in zip(uids, taken, strict=True) if adopted.was_new]
            folder.recent_from = in_new[0] if in_new else folder.uidnext
        for (_, adopted), uid, entry in zip(taken, uids, owners, strict=True):
            if entry is not None:
                connection.execute(_LEDGER_UID, {"a": self._account_id, "i": entry, "u": uid})
            self._watch_growth(look, adopted, uid)
        look.changed = True
        look.figures["arrived"] = len(uids)

    def _watch_growth(self, look: Look, adopted: Adopted, uid: int) -> None:
        if time.time() - adopted.internal_date < _FRESH + 1:
            octets = (look.path / "cur" / adopted.name).stat().st_size
            self._fresh.setdefault(look.folder.id, {})[uid] = (adopted.name, octets)
            look.mark.again = look.mark.again or look.clock() + _FRESH
