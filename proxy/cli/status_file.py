"""`mailferry status --csv FILE`."""

from __future__ import annotations

from collections.abc import Iterator

import click

from mailstore.accounts import Account
from mailstore.database import AccountsDatabase
from mailstore.overview import Overview, Wanted
from mailstore.queue import Queue
from proxy.admin.filing import Filing, NotFiled
from proxy.admin.sheet import sheet


class CannotWrite(Exception):
    """The text says which file, and why."""


def write_sheet(file: str, database: AccountsDatabase | None, listed: Wanted) -> None:
    """The accounts that are wanted, whole or not at all. Raises CannotWrite, MailstoreError."""
    accounts = _Counted(iter(()) if database is None else Overview(database).each(listed))
    paused = {} if database is None else Queue(database).paused_domains()
    try:
        with Filing(file) as filing:
            for piece in sheet(accounts, "en", paused):
                filing.write(piece)
    except NotFiled as error:
        raise CannotWrite(str(error)) from None
    click.echo(f"{file}: {accounts.count:,} account{'' if accounts.count == 1 else 's'}")


class _Counted:
    """Accounts as they go by."""

    def __init__(self, accounts: Iterator[Account]) -> None:
        self.count = 0
        self._accounts = accounts

    def __iter__(self) -> Iterator[Account]:
        for account in self._accounts:
            self.count += 1
            yield account
