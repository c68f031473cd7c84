"""What the folders of a legacy server with IMAP are here.

Each is given a folder when it is first seen, and keeps it whatever the user calls it later:

- the legacy INBOX is the INBOX;
- one with a special use (RFC 6154) is the account's folder for that use, under the account's name for it: "Sent
  Items" comes to be in "Sent", or "已发送", where every client looks for it;
- any other one is the folder of its own name, which is made where there is none, with those above it;
- no two of them become one: a second one of a name is called "Name (2)".

A folder that the user deleted here is not made again, unless the legacy server lists mail in it that was not there
before: then it is, for that mail alone. Subscriptions are taken over with the folder, and not again.

Used by `mailstore.mailhome` alone, in its thread.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, insert, select

from mailstore import schema
from mailstore.hierarchy import Hierarchy
from mailstore.index import special
from mailstore.index.folders import INBOX_ID
from mailstore.index.rows import Folder

INBOX = "INBOX"


@dataclass(frozen=True, slots=True)
class OldFolder:
    """A folder of a legacy server. `name` is what the ledger knows it by, `here` what it is to be called here; both
    are in Unicode, with "/" between levels."""

    name: str
    here: str
    uses: tuple[str, ...] = ()  # of `special.USES`
    subscribed: bool = False


class OldFolders(Hierarchy):
    """The part of a `MailHome` that receives a legacy server's folders. From outside, `MailHome` alone is used."""

    def receive_folders(self, old: Sequence[OldFolder], needed: Collection[str]) -> None:
        """Give each a folder; `needed` are the names of those that hold mail which was never listed before.
        Raises StorageFailed."""
        known = self._old_folders()
        here = {folder.id: folder for folder in self.folders()}
        for each in old:
            folder_id = known.get(each.name)
            if folder_id is not None and (folder_id in here or each.name not in needed):
                continue
            folder = here[INBOX_ID] if each.name == INBOX else self._folder_for(each, here, known)
            here[folder.id] = folder
            known[each.name] = folder.id
            self._remember(each.name, folder.id)
            if each.subscribed and folder.name not in self.subscriptions():
                self.subscribe(folder.name)

    def directories_of_folders(self) -> Mapping[int, str]:
        """Below the Maildir, by folder: where a move puts messages."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(schema.folders.c.id, schema.folders.c.directory).where(
                    schema.folders.c.account_id == self.account_id
                )
            )
            return {row.id: row.directory for row in rows}

    def _folder_for(self, old: OldFolder, here: Mapping[int, Folder], known: Mapping[str, int]) -> Folder:
        taken = set(known.values()) | {INBOX_ID}
        for folder in here.values():
            if folder.id not in taken and set(folder.special_use) & set(old.uses):
                return folder
        by_name = {folder.name: folder for folder in here.values()}
        name, number = old.here, 2
        while name in by_name and by_name[name].id in taken:
            name = f"{old.here} ({number})"
            number += 1
        if name in by_name:
            return by_name[name]
        used = {use for folder in here.values() for use in folder.special_use}
        return self.create(name, [use for use in old.uses if use in special.USES and use not in used])

    def _old_folders(self) -> dict[str, int]:
        table = schema.old_folders
        with self._database.read() as connection:
            rows = connection.execute(
                select(table.c.name, table.c.folder_id).where(table.c.account_id == self.account_id)
            )
            return {row.name: row.folder_id for row in rows}

    def _remember(self, name: str, folder_id: int) -> None:
        table = schema.old_folders
        with self._database.write() as connection:
            connection.execute(delete(table).where(table.c.account_id == self.account_id, table.c.name == name))
            values = {"account_id": self.account_id, "name": name, "folder_id": folder_id}
            connection.execute(insert(table), values)
