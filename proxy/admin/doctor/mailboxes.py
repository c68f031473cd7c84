"""A few mailboxes, those with trouble first: index, ledger and files held against each other by their numbers.

No message is opened. Files that came since the index looked last, or that go while they are counted, make the numbers
differ by a few; `mailferry verify --local` looks at each message.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from mailstore.accounts import State
from mailstore.mailhome import index_path
from proxy.admin.doctor.databases import integrity, looked_into, revision
from proxy.admin.doctor.hiding import Hiding

SAMPLE: Final = 5
_SOME = """SELECT id, local, domain, state FROM accounts WHERE state NOT IN ('waiting')
    ORDER BY reason = '', abs(random()) LIMIT ?"""
_OUTCOMES = "SELECT outcome, count(*) FROM ledger WHERE account_id = ? GROUP BY outcome"
_INDEXED = "SELECT count(*) FROM messages WHERE account_id = ?"


def mailboxes(file: Path, maildir_of: Callable[[str, str], Path], hiding: Hiding) -> list[dict[str, Any]]:
    """Raises OSError, sqlite3.Error: of the accounts database. A mailbox's own are in its place."""
    with looked_into(file) as connection:
        chosen = connection.execute(_SOME, (SAMPLE,)).fetchall()
    found = []
    for number, local, domain, state in chosen:
        about: dict[str, Any] = {"account": hiding.account(f"{local}@{domain}"), "state": state}
        maildir = maildir_of(local, domain)
        try:
            if state == State.MOVING and not maildir.exists():  # its first move has not begun
                about["nothing is here yet"] = True
            else:
                about |= _mailbox(number, maildir)
        except (OSError, sqlite3.Error) as error:
            about["trouble"] = error.strerror if isinstance(error, OSError) else hiding.text(str(error))
        found.append(about)
    return found


def _mailbox(number: int, maildir: Path) -> dict[str, Any]:
    with looked_into(index_path(maildir)) as connection:
        found: dict[str, Any] = {"schema": revision(connection), "integrity": integrity(connection)}
        found["ledger"] = dict(connection.execute(_OUTCOMES, (number,)))
        found["in the index"] = connection.execute(_INDEXED, (number,)).fetchone()[0]
    return found | {"files": files_in(maildir)}


def files_in(maildir: Path) -> int:
    """How many messages there are in the folders. Raises OSError."""
    with os.scandir(maildir) as entries:
        folders = [maildir, *(Path(each) for each in entries if each.name.startswith(".") and each.is_dir())]
    count = 0
    for folder in folders:
        for sub in ("new", "cur"):
            if (folder / sub).is_dir():
                with os.scandir(folder / sub) as entries:
                    count += sum(not entry.name.startswith(".") for entry in entries)
    return count
