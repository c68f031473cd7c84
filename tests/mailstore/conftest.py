"""Fixtures for tests of the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstore.mailhome import MailHome
from tests.mailstore.store_rig import kept_in, open_home
from tests.postgres.kept import Kept


@pytest.fixture
def in_postgres(kept_in_postgres: Kept) -> Iterator[Kept]:
    """For tests whose mailboxes are in PostgreSQL."""
    kept_in_postgres.empty()
    with kept_in(kept_in_postgres):
        yield kept_in_postgres


@pytest.fixture(params=["sqlite", "postgres"])
def either(request: pytest.FixtureRequest) -> None:
    """For tests that hold wherever mailboxes are kept."""
    if request.param == "postgres":
        request.getfixturevalue("in_postgres")


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
