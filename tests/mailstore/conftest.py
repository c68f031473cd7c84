"""Fixtures for tests of the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstore.mailhome import MailHome
from tests.mailstore.store_rig import kept_in, open_home
from tests.postgres.kept import Kept


@pytest.fixture(params=["sqlite", "postgres"])
def either(request: pytest.FixtureRequest) -> Iterator[str]:
    """For tests that hold wherever mailboxes are kept; gives back where this one's are."""
    if request.param == "sqlite":
        yield "sqlite"
        return
    server: Kept = request.getfixturevalue("kept_in_postgres")
    server.empty()
    with kept_in(server):
        yield "postgres"


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
