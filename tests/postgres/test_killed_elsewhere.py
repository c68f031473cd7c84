"""A node is killed at each step of a first login's move, and another one goes on with it.

The first one is a forked process that ends right before its n-th change of a disk or a database
(`tests.mailstore.killing`); the second one is here. They share PostgreSQL and the Maildirs, and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from twisted.internet.task import Clock

from mailstore import secrets
from mailstore.accounts import Accounts, State
from mailstore.accounts_server import AccountsServer
from mailstore.database import AccountsDatabase
from mailstore.index.folders import INBOX_ID
from mailstore.mailhome import MailHome
from mailstore.opening import mailboxes
from mailstore.postgres import address, postgres_engine
from mailstore.secrets import Sealer
from proxy import config
from proxy.login import leasing
from proxy.login.gate import LoginGate
from proxy.login.homes import Homes
from proxy.login.leasing import Leased
from proxy.login.legacy import LegacyHost
from proxy.login.mover import Mover
from proxy.migration import pull
from proxy.wire.door import Credentials, Hold, Secret
from tests.mailstore.killing import _killed
from tests.postgres.server import PostgresServer
from tests.postgres.test_leasing import ToldNodes, Wire, done
from tests.proxy.login.login_rig import CHEAP, CONFIG, PASSWORD, ScriptedLegacy
from tests.proxy.migration.scripted import direct, mail
from tests.proxy.recording import RecordingLog

MESSAGES = 9
BATCH = 4
STRIDE = int(os.environ.get("MAILFERRY_STRIDE", "9"))  # each so many steps: 1 for all of them
MOST = 600


class Node:
    """The gate, and all behind it but the network, upon a database that others have as well."""

    def __init__(self, url: str, state: Path, legacy: ScriptedLegacy) -> None:
        engine = postgres_engine(address(url), connections=4)
        self.database = AccountsDatabase(AccountsServer(engine, check=False))
        self.accounts = Accounts(self.database)
        self.log = RecordingLog()
        settings = config.parse(CONFIG.format(state=state, accounts="open", port=110, connections=20).encode())
        clock, told, door = Clock(), ToldNodes(Wire(), engine), legacy  # type: tuple[Any, Any, Any]
        sealer = Sealer(b"k" * secrets.KEY_OCTETS)
        about: dict[str, Any] = {"reactor": clock, "in_thread": direct, "log": self.log}
        homes = Homes(mailboxes(engine), in_thread=direct, from_thread=lambda call: call())
        self.leased = Leased(told, self.database, self.accounts, **about)
        legacy.serve(LegacyHost(list(settings.domains.values()), clock, self.log.warning))
        mover = Mover(settings, self.accounts, sealer, homes, door, leasing=self.leased, **about)
        self.gate = LoginGate(settings, self.accounts, sealer, homes, door, mover, **about)
        done(self.leased.start())
        self._told = told

    def log_in(self, user: str) -> list[bytes]:
        """What is in the mailbox."""
        credentials = Credentials(f"{user}@123.com".encode(), Secret(PASSWORD), "imap", "192.0.2.1")
        home: Any = done(self.gate.login(credentials, Hold()))

        def read(mailbox: MailHome) -> list[bytes]:
            messages = []
            for row in mailbox.maildrop():
                with mailbox.open(INBOX_ID, row.uid) as content:
                    messages.append(bytes(content.whole()))
            return messages

        found: list[bytes] = done(home.run(read))
        home.close()
        return found

    def close(self) -> None:
        done(self.leased.stop())
        self._told.connection.close()
        self.database.close()


@pytest.fixture
def url(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(secrets, "_hasher", CHEAP)
    monkeypatch.setattr(leasing, "LONG", 600.0)  # however long it takes: it is said who is dead
    monkeypatch.setattr(pull, "BATCH_MESSAGES", BATCH)
    made = postgres.url(postgres.make_database())
    AccountsDatabase(AccountsServer(postgres_engine(address(made), connections=1))).close()
    yield made


def kept_once(node: Node, user: str, maildir: Path) -> None:
    """In the index, in the ledger, in the Maildir and in the account."""
    account = node.accounts.find(user, "123.com")
    assert account is not None
    assert (account.state, account.messages_done, account.messages_total) == (State.MOVED, MESSAGES, MESSAGES)
    with node.database.read() as connection:
        about = {"a": account.id}
        files = connection.execute(text("SELECT file FROM messages WHERE account_id = :a"), about).scalars().all()
        uidls = connection.execute(text("SELECT uidl FROM messages WHERE account_id = :a ORDER BY uid"), about)
        assert len(set(uidls.scalars())) == len(files) == MESSAGES
        outcomes = connection.execute(text("SELECT outcome FROM ledger WHERE account_id = :a"), about).scalars().all()
        assert outcomes == ["stored"] * MESSAGES
        assert connection.execute(text("SELECT count(*) FROM leases")).scalar() == 0
    there = [path.name.partition(":")[0] for sub in ("cur", "new") for path in (maildir / sub).iterdir()]
    assert sorted(there) == sorted(files)


def test_another_node_goes_on_whatever_step_it_was_at(url: str, tmp_path: Path) -> None:
    legacy = ScriptedLegacy()
    messages = [mail(number) for number in range(1, MESSAGES + 1)]
    node = Node(url, tmp_path / "b", legacy)
    shared = tmp_path / "mail"
    shared.mkdir()
    for each in ("a", "b"):
        (tmp_path / each).mkdir(exist_ok=True)
        (tmp_path / each / "mail").symlink_to(shared)
    inherited = 0
    for steps in range(1, MOST, STRIDE):
        user = f"user{steps}"
        legacy.passwords[f"{user}@123.com"] = PASSWORD
        legacy.mailbox(f"{user}@123.com").add(*range(1, MESSAGES + 1))

        def first_login(user: str = user) -> None:
            assert Node(url, tmp_path / "a", legacy).log_in(user) == messages

        killed = _killed(steps, first_login)
        with node.database.write() as connection:
            died = text("UPDATE nodes SET until = 0 WHERE id <> :mine")
            connection.execute(died, {"mine": node.leased.number})
            held = connection.execute(text("SELECT count(*) FROM leases")).scalar()
        inherited += bool(held)
        assert node.log_in(user) == messages, steps
        kept_once(node, user, shared / "123.com" / user / "Maildir")
        assert node.log_in(user) == messages
        if not killed:
            break
    else:
        raise AssertionError(f"it takes more than {MOST} steps")
    assert inherited > 3  # it was in the midst of it
    assert "unexpected" not in node.log.events()
    node.close()
