"""Can the store be used at this moment? What a health check asks, every other second: so it changes nothing that lasts,
and takes a millisecond where all is well. Where a disk does not answer it takes as long as that.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from sqlalchemy import select

from mailstore.database import AccountsDatabase
from mailstore.refusals import storage_errors
from mailstore.room import leave_room
from mailstore.schema import accounts

_PROBE: Final = ".usable"
_SOMEBODY: Final = select(accounts.c.id).limit(1)


def check_usable(database: AccountsDatabase, state: Path, maildirs: Path) -> None:
    """Look whether the database of accounts can be read and written, whether files can be made in the directory
    `state`, and whether there is room there and where Maildirs are. Raises MailstoreError with what is wrong."""
    with database.write() as connection:  # nothing is written, but could be
        connection.execute(_SOMEBODY).first()
    with storage_errors():
        _write(state)
        for directory in (state, maildirs):
            if directory.exists():  # Maildirs: from the first one on
                leave_room(directory, 0)
        if maildirs.exists() and not os.access(maildirs, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(None, "where Maildirs are cannot be written")


def _write(directory: Path) -> None:
    probe = directory / _PROBE
    try:
        probe.write_bytes(b"1")
    finally:
        probe.unlink(missing_ok=True)
