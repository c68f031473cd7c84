"""Fixtures for tests of the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstore.mailhome import MailHome
from tests.mailstore.store_rig import open_home


@pytest.fixture
def announced() -> list[int]:
    """The folders in which something changed, in order."""
    return []


@pytest.fixture
def home(tmp_path: Path, announced: list[int]) -> Iterator[MailHome]:
    """An account's home in tmp_path/Maildir, without mail."""
    opened = open_home(tmp_path, announced)
    yield opened
    opened.close()
