"""A whole old mailbox from a real Dovecot into a daemon whose accounts and indexes are in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.legacy.dovecot import Dovecot
from tests.peers.daemon import Daemon
from tests.peers.mailboxes import assert_identical, original
from tests.peers.verifying import verify
from tests.postgres.server import PostgresServer

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def upon_postgres(legacy: Dovecot, ground: Path, postgres: PostgresServer) -> Iterator[Daemon]:
    url = postgres.url(postgres.make_database())
    daemon = Daemon(
        ground / "upon-postgres",
        f'port = {legacy.pop3}\ntls = "none"',
        'refresh = "0s"',
        listen=f'[storage]\ndatabase = "{url}"',
    )
    daemon.start()
    yield daemon
    daemon.stop()


def test_every_odd_message_is_there_and_verified(legacy: Dovecot, upon_postgres: Daemon, user: str) -> None:
    old = original(legacy, user)
    assert_identical(old, upon_postgres, user)
    assert not list(upon_postgres.root.rglob("Maildir.db"))
    status, found = verify(upon_postgres, f"{user}@123.com", "--full")
    (account,) = found["accounts"]
    assert (status, account["verdict"], set(account["counts"])) == (0, "whole with notes", {"octets-differ"})
    assert account["listed"] == account["contents"] == account["files"] == len(old)
    assert upon_postgres.stop() == 0
    upon_postgres.start()
    assert_identical(old, upon_postgres, user)
    assert upon_postgres.stop() == 0
    status, found = verify(upon_postgres, "123.com")
    assert (status, found["verdict"]) == (0, "whole with notes")
