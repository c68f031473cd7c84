"""What folders are for (RFC 6154), and the ones that every account gets once.

Functions over an open transaction. One folder at most has each use, so that a client never has to choose.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from sqlalchemy import Connection, insert, select

from mailstore import schema
from mailstore.errors import SpecialUseRefused
from mailstore.index import folders

# \All and \Flagged are of messages that lie in other folders: there are no such folders here.
USES: Final = ("\\Archive", "\\Drafts", "\\Junk", "\\Sent", "\\Trash")
_SPELLED: Final = {use.lower(): use for use in USES}

ACCOUNT: Final = 0  # the folder id of what belongs to the account
_MADE: Final = "special-folders"  # no entry that a client can name: those begin with "/"


def assign(connection: Connection, account_id: int, folder_id: int, uses: Iterable[str]) -> None:
    """Say what a folder is for, in place of what was said before. Raises SpecialUseRefused."""
    try:
        wanted = {_SPELLED[use.lower()] for use in uses}
    except KeyError:
        raise SpecialUseRefused("there are no folders for this use") from None
    for other in folders.every(connection, account_id):
        if other.id != folder_id and wanted & set(other.value().special_use):
            raise SpecialUseRefused("another folder has this use")
    folders.set_special_use(connection, account_id, folder_id, wanted)


def were_made(connection: Connection, account_id: int) -> bool:
    """Has the account had its special folders? Who deletes them is not given them again."""
    table = schema.metadata.c
    statement = select(table.entry).where(
        table.account_id == account_id, table.folder_id == ACCOUNT, table.entry == _MADE
    )
    return connection.scalar(statement) is not None


def make(connection: Connection, account_id: int, wanted: Collection[tuple[str, str, str]], now: int) -> None:
    """Enter (use, name, directory), subscribed. A folder that is there by that name is given the use; a use that
    a folder has already is left to it."""
    used = {use for folder in folders.every(connection, account_id) for use in folder.value().special_use}
    for use, name, directory in wanted:
        if use in used:
            continue
        folder = folders.by_name(connection, account_id, name)
        if folder is None:
            folder = folders.add(connection, account_id, name, directory, now)
        folders.set_special_use(connection, account_id, folder.id, {*folder.value().special_use, use})
        folders.subscribe(connection, account_id, name)
    made = {"account_id": account_id, "folder_id": ACCOUNT, "entry": _MADE, "value": b""}
    connection.execute(insert(schema.metadata), made)
