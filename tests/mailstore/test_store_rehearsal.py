"""What a daemon tries when it starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailstore.errors import StorageFailed
from mailstore.mailbox_database import MailboxEngine
from mailstore.rehearsal import PLACE, rehearse
from tests.mailstore.store_rig import full_disk


def test_it_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / PLACE / "Maildir" / "cur").mkdir(parents=True)  # what a daemon that was killed left
    (tmp_path / PLACE / "Maildir.db").write_bytes(b"half")
    rehearse(MailboxEngine(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_takes_nothing(tmp_path: Path) -> None:
    with full_disk(0), pytest.raises(StorageFailed):
        rehearse(MailboxEngine(), tmp_path)
    assert list(tmp_path.iterdir()) == []
