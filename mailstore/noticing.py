"""What other programs do to an account's Maildir, noticed when somebody is about to look.

Used by `mailstore.mailhome` alone, in its thread; `mailstore.reconciling` does the work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Connection

from mailstore.errors import StorageCorrupt, StorageFailed
from mailstore.groundwork import Groundwork
from mailstore.index import folders
from mailstore.index.folders import FolderRow
from mailstore.mailbox import BRIEF_ROWS
from mailstore.reconciling import Reconciler
from mailstore.refusals import contradicts_itself

T = TypeVar("T")


class Noticing(Groundwork):
    """The part of a `MailHome` that notices. From outside, `MailHome` alone is used."""

    damaged = False  # did the index turn out to be damaged since it was opened?
    _reconciler: Reconciler  # made by `MailHome`

    def suspect(self) -> None:
        """The index turned out to be damaged: the next opening is to look at the whole of it."""
        self.damaged = True
        self._database.suspect()

    def reconcile(self, folder_id: int | None = None, since: int | None = None) -> bool:
        """Notice what other programs did: in one folder, or which folders there are and in all of them. Gives back
        whether they did anything, or whether anything happened in that one folder after modseq `since`: what another
        node did is known so before its news comes. What cannot be done now (disk full, read-only) is reported and done
        later. Raises StorageFailed for an index that is damaged."""

        return self._noticed(lambda: self._look(folder_id, since))

    def _look(self, folder_id: int | None = None, since: int | None = None) -> bool:
        changed = folder_id is None and self._reconciler.folders()
        with self._database.look() as connection:
            if folder_id is None:
                found = folders.every(connection, self.account_id)
            else:
                one = folders.by_id(connection, self.account_id, folder_id)
                found = [one] if one is not None else []
        for folder in found:
            changed |= self._reconciler.folder(folder) or (since is not None and folder.highestmodseq > since)
        return changed

    def reconcile_folders(self) -> bool:
        """Notice which folders other programs made or removed."""
        return self._noticed(self._reconciler.folders)

    def _noticed(self, look: Callable[[], bool]) -> bool:
        try:
            with self._minding_damage():
                self._catch_up()
                return look()
        except StorageFailed as error:
            if self.damaged:
                raise
            self._report("maildir cannot be reconciled", reason=str(error))
            return False

    @contextmanager
    def _minding_damage(self) -> Iterator[None]:
        """An index that turns out to be damaged within the block is to be mended at its next opening."""
        try:
            yield
        except StorageFailed as error:
            if isinstance(error, StorageCorrupt) or contradicts_itself(error):
                self.suspect()
            raise

    def _read_of(self, name: str, read: Callable[[Connection, FolderRow], T], *, looking: bool) -> tuple[FolderRow, T]:
        """A folder, and what is read of it in the same transaction; with `looking`, once what other programs did there
        is noticed. Raises NoSuchFolder."""
        found = self._read_before_looking(name, read) if looking else None
        if found is not None:
            return found
        with self._database.read() as connection:
            folder = self._named(connection, name)
            self._database.at_most(folder.uidnext, BRIEF_ROWS)
            return folder, read(connection, folder)

    def _read_before_looking(self, name: str, read: Callable[[Connection, FolderRow], T]) -> tuple[FolderRow, T] | None:
        """Nearly always other programs have done nothing: what was read before the look is right then. None where they
        have, and where it is too much to be read in vain."""
        found: tuple[FolderRow, T] | None = None
        with self._minding_damage(), self._database.read() as connection:
            folder = folders.by_name(connection, self.account_id, name)
            if folder is not None and folder.uidnext <= BRIEF_ROWS:
                found = folder, read(connection, folder)
        if folder is None:
            self.reconcile_folders()
            return None
        changed = self._noticed(lambda: self._reconciler.folder(folder))
        return None if changed else found
