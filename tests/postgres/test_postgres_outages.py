"""A database that is away, and clients who log in meanwhile: told that it is for now, and let in when it is back.

One daemon, and a PostgreSQL of its own; the account is final, so that nobody but the database is asked.
"""

from __future__ import annotations

import imaplib
import poplib
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
import pytest

from mailstore.accounts import Accounts
from mailstore.accounts_server import AccountsServer
from mailstore.database import AccountsDatabase
from mailstore.finishing import Finish, Finishing
from mailstore.postgres import address, postgres_engine
from mailstore.secrets import hash_password
from tests.legacy.dovecot import free_port
from tests.peers.daemon import Daemon
from tests.postgres.server import PostgresServer, until

ROLE: Final = "ferry"
SECRET: Final = "db-geheim"
PASSWORD: Final = "secret"


@dataclass
class Stage:
    """The daemon, its server, and what becomes of a login."""

    server: PostgresServer
    daemon: Daemon

    def imap(self) -> str:
        """ "in", or the words of the refusal."""
        with imaplib.IMAP4(*self.daemon.imap, timeout=120) as client:
            try:
                client.login("li@123.com", PASSWORD)
            except imaplib.IMAP4.error as error:
                return str(error)
            return "in"

    def pop3(self) -> str:
        with closing(poplib.POP3(*self.daemon.pop3, timeout=120)) as client:
            client.user("li@123.com")
            try:
                client.pass_(PASSWORD)
            except poplib.error_proto as error:
                return str(error)
            return "in"

    def is_refused_for_now(self) -> None:
        """Over both protocols."""
        assert "[UNAVAILABLE]" in self.imap()
        assert "[SYS/TEMP]" in self.pop3()

    def is_let_in_again(self) -> None:
        """Without anything being done about the daemon."""
        until(lambda: self.imap() == "in")
        until(lambda: self.pop3() == "in")  # whose lock is on a connection of its own

    def cut(self) -> None:
        """End all connections of the daemon's, and wait until they are."""
        its = f"pg_stat_activity WHERE usename = '{ROLE}'"
        ended = ", ".join(str(pid) for pid, _ in self.server.admin(f"SELECT pid, pg_terminate_backend(pid) FROM {its}"))
        until(lambda: not self.server.admin(f"SELECT 1 FROM pg_stat_activity WHERE pid IN ({ended or 0})"))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    root: Path = tmp_path_factory.mktemp("outages")
    server = PostgresServer()
    try:
        server.admin(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{SECRET}'")
        server.admin(f"CREATE DATABASE ferry OWNER {ROLE}")
        url = f"postgresql+psycopg://{ROLE}@127.0.0.1:{server.port}/ferry"
        engine = postgres_engine(address(url, SECRET), connections=2)
        with closing(AccountsDatabase(AccountsServer(engine))) as database:
            accounts = Accounts(database)
            account = accounts.admit("li", "123.com", b"sealed")
            accounts.moved(account.id)
            final = Finish(accounts.get(account.id), "", hash_password(PASSWORD.encode()))
            assert Finishing(database).finish([final]) == []
        secret = root / "secret"
        secret.write_text(f"{SECRET}\n")
        secret.chmod(0o600)
        daemon = Daemon(
            root,
            f'port = {free_port()}\ntls = "none"',
            workers=1,
            encrypted=False,
            ports={name: free_port() for name in ("imap", "pop3")},
            listen=f'[storage]\ndatabase = "{url}"\npassword_file = "{secret}"\nconnections = 3',
        )
        with _started_while_it_is_away(server, daemon):
            yield Stage(server, daemon)
    finally:
        server.remove()


class _started_while_it_is_away:
    """The daemon is begun first, and has to wait."""

    def __init__(self, server: PostgresServer, daemon: Daemon) -> None:
        self._server = server
        self._daemon = daemon

    def __enter__(self) -> None:
        self._server.stop()
        command = [sys.executable, "-m", *self._daemon.program, "serve", "--config", str(self._daemon.config)]
        with (self._daemon.root / "log").open("ab") as log:
            self._daemon.process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            self._daemon.logs("waiting for the database")
            assert "listening" not in self._daemon.log
            self._server.start()
            until(lambda: "listening" in self._daemon.log or self._ended())
            assert not self._ended(), self._daemon.log
        except BaseException:
            self._daemon.kill()
            raise

    def _ended(self) -> bool:
        return self._daemon.process is None or self._daemon.process.poll() is not None

    def __exit__(self, *_error: object) -> None:
        assert self._daemon.stop() == 0
        assert SECRET not in self._daemon.log


def test_stopped_for_a_while(stage: Stage) -> None:
    stage.server.stop()
    stage.is_refused_for_now()
    stage.server.start()
    stage.is_let_in_again()


def test_restarted_between_two_logins(stage: Stage) -> None:
    """Nobody notices: a connection that was ended is not used any more."""
    assert stage.imap() == "in"
    stage.server.restart()
    assert stage.imap() == "in"


def _no_connection_left(stage: Stage) -> Callable[[], object]:
    stage.server.admin(f"ALTER ROLE {ROLE} CONNECTION LIMIT 0")
    return lambda: stage.server.admin(f"ALTER ROLE {ROLE} CONNECTION LIMIT -1")


def _another_password(stage: Stage) -> Callable[[], object]:
    stage.server.admin(f"ALTER ROLE {ROLE} PASSWORD 'another'")
    return lambda: stage.server.admin(f"ALTER ROLE {ROLE} PASSWORD '{SECRET}'")


@pytest.mark.parametrize("trouble", [_no_connection_left, _another_password])
def test_it_lets_nobody_in(stage: Stage, trouble: Callable[[Stage], Callable[[], object]]) -> None:
    """… mailferry: that is not the user's password being wrong."""
    end = trouble(stage)
    try:
        stage.cut()
        stage.is_refused_for_now()
    finally:
        end()
    stage.is_let_in_again()


def test_read_only(stage: Stage) -> None:
    """Who needs nothing written is let in; what could not be written down is in the log, and is not lost for others."""
    stage.is_let_in_again()
    stage.server.admin("ALTER DATABASE ferry SET default_transaction_read_only = on")
    try:
        stage.cut()
        assert (stage.imap(), stage.pop3()) == ("in", "in")
        stage.daemon.logs("it is read-only")
    finally:
        stage.server.admin("ALTER DATABASE ferry RESET default_transaction_read_only")
        stage.cut()
    stage.is_let_in_again()


def test_a_lock_that_another_holds(stage: Stage) -> None:
    """A login waits for its end; all others who need no database are answered meanwhile."""
    with psycopg.connect(stage.server.dsn("ferry")) as holder:
        holder.execute("LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE")
        with imaplib.IMAP4(*stage.daemon.imap, timeout=120) as waiting:
            tag = waiting._new_tag()
            waiting.send(tag + f" LOGIN li@123.com {PASSWORD}\r\n".encode())
            until(lambda: stage.server.admin("SELECT 1 FROM pg_locks WHERE NOT granted"))
            with imaplib.IMAP4(*stage.daemon.imap, timeout=120) as other:
                assert other.noop()[0] == "OK"
            holder.rollback()
            line = waiting.readline()
            while not line.startswith(tag):
                line = waiting.readline()
            assert b" OK " in line
