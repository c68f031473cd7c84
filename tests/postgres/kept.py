"""A PostgreSQL for many tests, one after the other: the tables are made once, and are empty when a test begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, make_url

from mailstore.postgres import postgres_engine
from mailstore.schema import mailbox_metadata
from tests.postgres.server import PostgresServer

CONNECTIONS = 8

Rows = dict[str, bytes]  # of a table, as COPY has them


class Kept:
    """A database with the tables of mailboxes, and what opens it."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self.name = server.make_database()
        self.engine: Engine = postgres_engine(make_url(server.url(self.name)), connections=CONNECTIONS)
        mailbox_metadata.create_all(self.engine)
        self._tables = [table.name for table in mailbox_metadata.sorted_tables]
        self._templates: dict[Path, Rows] = {}
        self._places: set[Path] = set()

    def empty(self) -> None:
        self._templates.clear()
        self._places.clear()
        self.delete_all()

    def begin(self, place: Path) -> None:
        """A store is opened there: if it is the first time, and it is a new one, it has no rows."""
        if place not in self._places:
            self._places.add(place)
            if not (place / "Maildir").exists():
                self.delete_all()

    def delete_all(self) -> None:
        with self.engine.begin() as connection:
            self._driver(connection).execute("; ".join(f"DELETE FROM {table}" for table in self._tables))

    def put_back(self, template: Path) -> None:
        """Have the rows be there that were when the first copy of a template was made."""
        with self.engine.begin() as connection:
            driver = self._driver(connection)
            if template not in self._templates:
                self._templates[template] = {table: self._out_of(driver, table) for table in self._tables}
                return
            driver.execute("; ".join(f"DELETE FROM {table}" for table in self._tables))
            for table, rows in self._templates[template].items():
                with driver.cursor().copy(f"COPY {table} FROM STDIN") as copy:
                    copy.write(rows)

    @staticmethod
    def _driver(connection: Any) -> Any:
        return connection.connection.driver_connection

    @staticmethod
    def _out_of(driver: Any, table: str) -> bytes:
        with driver.cursor().copy(f"COPY {table} TO STDOUT") as copy:
            return b"".join(copy)

    def close(self) -> None:
        self.engine.dispose()
