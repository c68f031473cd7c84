"""What a daemon tries when it starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from mailstore.errors import StorageFailed
from mailstore.mailbox_database import MailboxEngine
from mailstore.postgres_mailbox import PostgresMailboxes
from mailstore.rehearsal import PLACE, rehearse
from mailstore.schema import mailbox_metadata
from tests.mailstore.store_rig import full_disk
from tests.postgres.kept import Kept


def test_it_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / PLACE / "Maildir" / "cur").mkdir(parents=True)  # what a daemon that was killed left
    (tmp_path / PLACE / "Maildir.db").write_bytes(b"half")
    rehearse(MailboxEngine(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_it_is_nobodys_mailbox_in_a_database_of_many(in_postgres: Kept, tmp_path: Path) -> None:
    rehearse(PostgresMailboxes(in_postgres.engine), tmp_path)
    assert list(tmp_path.iterdir()) == []
    with in_postgres.engine.connect() as connection:
        left = [t.name for t in mailbox_metadata.sorted_tables if connection.execute(select(t)).first() is not None]
    assert left == []


def test_a_disk_that_takes_nothing(tmp_path: Path) -> None:
    with full_disk(0), pytest.raises(StorageFailed):
        rehearse(MailboxEngine(), tmp_path)
    assert list(tmp_path.iterdir()) == []
