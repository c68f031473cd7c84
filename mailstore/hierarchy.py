"""The folders of an account: which there are, under which names, for which use, and which are subscribed.

Folder names are Unicode with "/" between levels. A change is made in the index; the directories of the Maildir
follow as pending work (`mailstore.groundwork`), but those of new folders, which come first.

Used by `mailstore.mailhome` alone, in its thread.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from mailstore.errors import BadFolderName, FolderExists
from mailstore.index import folders, mailbox, special
from mailstore.index.folders import INBOX_ID
from mailstore.index.rows import Folder
from mailstore.maildir import folder_directory
from mailstore.messages import Messages
from mailstore.refusals import storage_errors


class Hierarchy(Messages):
    """The part of a `MailHome` that makes, renames and deletes folders; of `Messages`, since renaming INBOX moves
    what is in it. From outside, `MailHome` alone is used."""

    def folders(self) -> list[Folder]:
        """All folders, INBOX first, then by name."""
        with self._database.look() as connection:
            rows = folders.every(connection, self.account_id)
        return [row.value() for row in sorted(rows, key=lambda row: (row.id != INBOX_ID, row.name))]

    def make_special_folders(self, names: Mapping[str, str]) -> None:
        """Give the account its folders for Sent and so on (names by use), once in its life. Raises StorageFailed."""
        with self._database.read() as connection:
            if special.were_made(connection, self.account_id):
                return
        wanted = [(use, name, folder_directory(name)) for use, name in names.items()]
        self._catch_up()
        with storage_errors():
            self._maildir.make(*(directory for _, _, directory in wanted))
        with self._database.write() as connection:
            if not special.were_made(connection, self.account_id):  # by another process, a moment ago
                special.make(connection, self.account_id, wanted, self._now())
        self._announce(special.ACCOUNT)

    def create(self, name: str, uses: Collection[str] = ()) -> Folder:
        """Make a folder, for special uses perhaps, and those above it that are missing.

        Raises FolderExists, BadFolderName, SpecialUseRefused."""
        name = name.removesuffix("/")  # RFC 3501 6.3.3: only says that names below it will follow
        levels = name.split("/")
        names = ["/".join(levels[: n + 1]) for n in range(len(levels))]
        directories = [folder_directory(n) for n in names]
        with self._database.read() as connection:
            if folders.by_name(connection, self.account_id, name):
                raise FolderExists("there is a folder of that name")
        self._catch_up()
        with storage_errors(), self._database.write() as connection:
            for above, directory in zip(names[:-1], directories, strict=False):
                if folders.by_name(connection, self.account_id, above) is None:
                    folders.add(connection, self.account_id, above, directory, self._now())
            folder = folders.add(connection, self.account_id, name, directories[-1], self._now())
            if uses:
                special.assign(connection, self.account_id, folder.id, uses)
            self._maildir.make(*directories)  # nothing refuses from here on, or they would be taken for somebody else's
            made = self._numbered(connection, folder.id).value()
        self._announce(special.ACCOUNT)
        return made

    def delete(self, name: str) -> None:
        """Delete a folder with its messages; those below it stay. Raises NoSuchFolder, BadFolderName (INBOX)."""
        with self._database.write() as connection:
            folder = self._named(connection, name)
            if folder.id == INBOX_ID:
                raise BadFolderName("INBOX cannot be deleted")
            folders.drop(connection, self.account_id, folder.id)
            folders.add_pending(connection, self.account_id, [("delete", folder.directory, "")])
        self._announce(folder.id)
        self._announce(special.ACCOUNT)
        self._work_off_pending()

    def rename(self, old: str, new: str) -> None:
        """Rename a folder and those below it. INBOX keeps its name and gives its messages away (RFC 3501 6.3.5).
        Raises NoSuchFolder, FolderExists, BadFolderName."""
        new = new.removesuffix("/")
        folder_directory(new)
        if old == "INBOX":
            self._empty_inbox_into(new)
            return
        if new == old or new.startswith(old + "/"):
            raise BadFolderName("a folder cannot be moved into itself")
        self._catch_up()
        with self._database.read() as connection:
            self._named(connection, old)
            if folders.by_name(connection, self.account_id, new):
                raise FolderExists("there is a folder of that name")
        if "/" in new:
            self._make_parents(new)
        with self._database.write() as connection:
            todo = []
            # Those above first: where a tree moves up, each leaves the name that the next one takes.
            for folder in sorted(folders.every(connection, self.account_id), key=lambda row: row.name):
                if folder.name == old or folder.name.startswith(old + "/"):
                    name = new + folder.name[len(old) :]
                    directory = folder_directory(name)
                    if folders.by_name(connection, self.account_id, name):
                        raise FolderExists("there is a folder of that name below the new one")
                    folders.rename(connection, self.account_id, folder.id, name, directory)
                    todo.append(("rename", folder.directory, directory))
            folders.add_pending(connection, self.account_id, todo)
        self._announce(special.ACCOUNT)
        self._work_off_pending()

    def _make_parents(self, name: str) -> None:
        parent = name.rpartition("/")[0]
        with self._database.read() as connection:
            missing = folders.by_name(connection, self.account_id, parent) is None
        if missing:
            self.create(parent)

    def _empty_inbox_into(self, new: str) -> None:
        with self._database.read() as connection:
            inbox = mailbox.rows(connection, self.account_id, INBOX_ID)
            self._all_here(connection, inbox)
        uids = [row.uid for row in inbox]
        target = self.create(new)
        try:
            self._transfer(INBOX_ID, uids, target.name, moving=True)
        except BaseException:
            self.delete(target.name)
            raise

    def subscribe(self, name: str) -> None:
        """Add a name to the subscriptions, whether or not the folder is there (RFC 3501 6.3.6)."""
        with self._database.write() as connection:
            folders.subscribe(connection, self.account_id, name)
        self._announce(special.ACCOUNT)

    def unsubscribe(self, name: str) -> None:
        with self._database.write() as connection:
            folders.unsubscribe(connection, self.account_id, name)
        self._announce(special.ACCOUNT)

    def subscriptions(self) -> list[str]:
        with self._database.look() as connection:
            return folders.subscriptions(connection, self.account_id)
