"""Annotations of folders and of the account (RFC 5464): entries with values, by name in lower case.

`/private/specialuse` of a folder is what the folder is for, and no value of its own (RFC 6154 5.4). Which names
are allowed is for the protocol to say. Used through `MailHome.annotations`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from sqlalchemy import Connection, delete, insert, select

from mailstore import schema
from mailstore.errors import NoSuchFolder, TooManyAnnotations
from mailstore.index import folders, special
from mailstore.index.special import ACCOUNT
from mailstore.mailbox import Announce, Mailbox

SPECIAL_USE: Final = "/private/specialuse"
MOST: Final = 100  # entries of one folder, or of the account

_c = schema.metadata.c


class Annotations:
    """One account's annotations. One thread at a time."""

    def __init__(self, database: Mailbox, account_id: int, announce: Announce) -> None:
        self._database = database
        self._account_id = account_id
        self._announce = announce

    def of(self, folder: str) -> dict[str, bytes]:
        """All entries of a folder by name, or of the account, which is "". Raises NoSuchFolder."""
        with self._database.read() as connection:
            folder_id, uses = self._find(connection, folder)
            found = self._entries(connection, folder_id)
        if uses:
            found[SPECIAL_USE] = uses.encode()
        return found

    def change(self, folder: str, entries: Mapping[str, bytes | None]) -> None:
        """Set entries, or with None take them away; all or none.

        Raises NoSuchFolder, TooManyAnnotations, SpecialUseRefused.
        """
        with self._database.write() as connection:
            folder_id, _ = self._find(connection, folder)
            values = dict(entries)
            if folder_id != ACCOUNT and SPECIAL_USE in values:
                uses = (values.pop(SPECIAL_USE) or b"").decode("ascii", "replace").split()
                special.assign(connection, self._account_id, folder_id, uses)
            kept = self._entries(connection, folder_id).keys() - values.keys()
            if len(kept) + sum(value is not None for value in values.values()) > MOST:
                raise TooManyAnnotations("there are too many annotations here")
            self._forget(connection, folder_id, values)
            rows = [
                {"account_id": self._account_id, "folder_id": folder_id, "entry": entry, "value": value}
                for entry, value in values.items()
                if value is not None
            ]
            if rows:
                connection.execute(insert(schema.metadata), rows)
        self._announce(ACCOUNT)

    def _find(self, connection: Connection, folder: str) -> tuple[int, str]:
        """A folder's id, and what it is for."""
        if not folder:
            return ACCOUNT, ""
        row = folders.by_name(connection, self._account_id, folder)
        if row is None:
            raise NoSuchFolder("there is no such folder")
        return row.id, row.special_use

    def _entries(self, connection: Connection, folder_id: int) -> dict[str, bytes]:
        statement = select(_c.entry, _c.value).where(
            _c.account_id == self._account_id, _c.folder_id == folder_id, _c.entry.startswith("/")
        )
        return {entry: bytes(value) for entry, value in connection.execute(statement)}

    def _forget(self, connection: Connection, folder_id: int, entries: Iterable[str]) -> None:
        statement = delete(schema.metadata).where(_c.account_id == self._account_id, _c.folder_id == folder_id)
        connection.execute(statement.where(_c.entry.in_(list(entries))))
