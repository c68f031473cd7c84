"""One database in PostgreSQL for many tests of accounts, one after the other."""

from __future__ import annotations

from typing import Final

import psycopg
from psycopg import sql

from mailstore.accounts_server import AccountsServer
from mailstore.database import AccountsDatabase
from mailstore.postgres import address, postgres_engine
from mailstore.schema import accounts_metadata
from tests.postgres.server import PostgresServer

BOTH: Final = ("file", "server")


class Emptied:
    """Its tables are made once."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self.name = server.make_database()
        self.url = server.url(self.name)
        self._open(check=True).close()
        self._direct = self._connected()
        names = sql.SQL(", ").join(sql.Identifier(table) for table in accounts_metadata.tables)
        self._empty = sql.SQL("TRUNCATE {} RESTART IDENTITY").format(names)

    def _open(self, *, check: bool) -> AccountsDatabase:
        engine = postgres_engine(address(self.url), connections=8, name="test")
        return AccountsDatabase(AccountsServer(engine, check=check))

    def _connected(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.server.dsn(self.name), autocommit=True)

    def opened(self) -> AccountsDatabase:
        """Without any accounts."""
        try:
            self._direct.execute(self._empty)
        except psycopg.OperationalError:  # the server was restarted for another test
            self._direct.close()
            self._direct = self._connected()
            self._direct.execute(self._empty)
        return self.opened_again()

    def opened_again(self) -> AccountsDatabase:
        """As it is."""
        return self._open(check=False)

    def close(self) -> None:
        self._direct.close()
