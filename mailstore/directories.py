"""Folders that other programs made or removed: directories of the Maildir, held against what the index has.

Used by `mailstore.reconciling` alone.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from sqlalchemy import Connection

from mailstore.errors import BadFolderName, MaildirGone
from mailstore.index import folders, marks
from mailstore.index.folders import INBOX_ID, FolderRow
from mailstore.index.marks import Mark
from mailstore.intake import Report
from mailstore.mailbox import Mailbox
from mailstore.maildir import Maildir, folder_directory, folder_name
from mailstore.refusals import storage_errors


class Directories:
    """One account's."""

    def __init__(self, maildir: Maildir, database: Mailbox, account_id: int, report: Report) -> None:
        self._maildir = maildir
        self._database = database
        self._account_id = account_id
        self._report = report
        self._root: Mark | None = None

    def look(self, now: int) -> list[int]:
        """The folders that were made or removed since the last look. Raises StorageFailed."""
        root = self._maildir.root
        with storage_errors():
            if not root.is_dir():
                if self._database.shared:
                    raise MaildirGone
                self._maildir.make()
                self._report("maildir directories were missing", folder=INBOX_ID)
            moment = time.time_ns()
            seen = (root.stat().st_mtime_ns,) * 2
            if self._root is not None and self._root.settled and self._root.times == seen:
                return []
            changed = self._compare(root, now)
        self._root = Mark(seen, marks.settled(seen, moment) and not changed)
        return changed

    def _compare(self, root: Path, now: int) -> list[int]:
        changed = []
        with self._database.write() as connection:
            if any(item.action != "remove" for item in folders.all_pending(connection, self._account_id)):
                return []
            known = {row.directory: row for row in folders.every(connection, self._account_id)}
            lying = {name for name in os.listdir(root) if _is_folder(root / name)}  # noqa: PTH208 - names only
            missing = sorted(known.keys() - lying - {""})
            if missing:
                self._maildir.there()
            for directory in missing:
                if not (root / directory).is_dir():
                    folders.drop(connection, self._account_id, known[directory].id)
                    changed.append(known[directory].id)
                    self._report("folder removed by another program", folder=known[directory].id)
            for directory in sorted(lying - known.keys()):
                made = self._found(connection, directory, now)
                if made is not None:
                    changed.append(made.id)
                    self._report("folder made by another program", folder=made.id)
        return changed

    def _found(self, connection: Connection, directory: str, now: int) -> FolderRow | None:
        try:
            name = folder_name(directory)
        except BadFolderName as error:
            self._report("folder cannot be shown", reason=str(error))
            return None
        if folders.by_name(connection, self._account_id, name) is not None:
            self._report("folder cannot be shown", reason="there is one of that name already")
            return None
        self._maildir.make(directory)
        levels = name.split("/")
        for above in ("/".join(levels[:n]) for n in range(1, len(levels))):
            if folders.by_name(connection, self._account_id, above) is None:
                self._maildir.make(folder_directory(above))
                folders.add(connection, self._account_id, above, folder_directory(above), now)
        return folders.add(connection, self._account_id, name, directory, now)


def _is_folder(path: Path) -> bool:
    return (
        path.name.startswith(".")
        and path.name not in {".", ".."}
        and not path.is_symlink()
        and ((path / "cur").is_dir() or (path / "new").is_dir())
    )
