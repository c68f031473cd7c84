"""An installation that is kept in files, copied into a PostgreSQL database: what `mailferry storage copy` does.

Which mailboxes there are is asked of the accounts at the beginning of each pass: somebody may log in for the first time
in between. `mailstore.transfer` copies and proves.
"""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

from sqlalchemy import select

from mailstore.database import AccountsDatabase
from mailstore.overview import Overview
from mailstore.schema import accounts as table
from mailstore.transfer.course import Done, Mailbox, Told, copy_mailboxes, finish
from mailstore.transfer.target import Target
from proxy.admin import databases
from proxy.config import Config, Storage


class Copying:
    """From this installation's files to that server. Raises MailstoreError, as its methods do."""

    def __init__(self, config: Config, storage: Storage) -> None:
        self._config = config
        self._target = Target(databases.server(storage, "mailferry storage copy"))
        self._there: dict[int, bytes] = {}

    def close(self) -> None:
        self._target.close()

    def look(self) -> int:
        """Could it be copied there? Gives back how many mailboxes are there already. Changes nothing."""
        self._there = self._target.claim(self._whose(), write=False)
        return len(self._there)

    def begin(self) -> int:
        """The same, and the database is this copy's from now on."""
        self.look()
        self._target.prepare()
        self._there = self._target.claim(self._whose())
        return len(self._there)

    def count(self) -> int:
        """How many accounts there are, each of which may have a mailbox."""
        with self._accounts() as accounts:
            return sum(found.accounts for found in Overview(accounts).domains().values())

    def mailboxes(self, told: Told) -> Done:
        """A pass over all of them, while the daemon serves or not."""
        with self._accounts() as accounts:
            return copy_mailboxes(self._each(accounts), self._target, self._there, told)

    def finish(self, told: Told) -> Done:
        """The last pass. Nobody serves."""
        with self._accounts() as accounts:
            done = copy_mailboxes(self._each(accounts), self._target, self._there, told)
            finish(accounts, self._target, done)
            return done

    @contextmanager
    def _accounts(self) -> Iterator[AccountsDatabase]:
        with closing(AccountsDatabase(self._config.accounts_file)) as database:
            yield database

    def _each(self, database: AccountsDatabase) -> Iterator[Mailbox]:
        """All accounts, a page at a time: what is read here goes on for long."""
        after, page = 0, 1_000
        while True:
            some = select(table.c.id, table.c.local, table.c.domain).where(table.c.id > after).order_by(table.c.id)
            with database.read() as connection:
                rows = connection.execute(some.limit(page)).all()
            for row in rows:
                yield Mailbox(row.id, f"{row.local}@{row.domain}", self._config.maildir_for(row.local, row.domain))
            if len(rows) < page:
                return
            after = rows[-1].id

    def _whose(self) -> str:
        """What tells this installation from others: the machine and the file."""
        file = self._config.accounts_file.resolve()
        return hashlib.sha256(f"{socket.gethostname()}\0{file}\0{file.stat().st_ino}".encode()).hexdigest()
