"""What tests of nodes stand on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from mailstore.postgres import address, postgres_engine
from mailstore.schema import accounts_metadata
from tests.postgres.server import PostgresServer


@pytest.fixture(scope="module")
def made(postgres: PostgresServer) -> Iterator[Engine]:
    """A database of its own for a file, with the tables of accounts."""
    engine = postgres_engine(address(postgres.url(postgres.make_database())), connections=5)
    accounts_metadata.create_all(engine)
    yield engine
    engine.dispose()
