"""The one place that opens databases: for the daemon, its workers and every command.

Accounts are in a file below `state`, or in PostgreSQL (`storage.database`); mailboxes are where `mailboxes` says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mailstore import opening
from mailstore.database import AccountsDatabase
from mailstore.errors import MailstoreError, StorageFailed
from mailstore.opening import Mailboxes
from mailstore.refusals import in_detail, storage_errors
from proxy.admin.secret_file import SecretUnusable, read_secret
from proxy.config import Config, Storage

if TYPE_CHECKING:
    from sqlalchemy import Engine

SELF: Final = "mailferry"  # in pg_stat_activity


def accounts(config: Config, *, check: bool = True) -> AccountsDatabase:
    """The accounts of the installation, opened or made. `check`: False for a process whose parent has looked already; a
    server is then not spoken to yet. Raises StorageFailed."""
    if not config.storage.server:
        return AccountsDatabase(config.accounts_file)
    with storage_errors():
        config.state.mkdir(mode=0o700, parents=True, exist_ok=True)  # what else is there: locks, keys
    from mailstore.accounts_server import AccountsServer  # noqa: PLC0415 - its driver is for those who use it

    return AccountsDatabase(AccountsServer(server(config.storage), check=check))


def reason(config: Config, error: MailstoreError) -> str:
    """What the administrator is told of it."""
    return f"{config.storage.shown}: {in_detail(error)}" if config.storage.server else str(error)


def server(storage: Storage, name: str = SELF) -> Engine:
    """PostgreSQL as it is configured; nothing is connected yet. Raises StorageFailed for a password that cannot be
    read."""
    from mailstore.postgres import address, postgres_engine  # noqa: PLC0415

    password = None
    if storage.password_file is not None:
        try:
            password = read_secret(storage.password_file, "the database's")
        except SecretUnusable as error:
            raise StorageFailed(str(error)) from None
    return postgres_engine(address(storage.database, password), connections=storage.connections, name=name)


def mailboxes(accounts: AccountsDatabase) -> Mailboxes:
    """What opens the mailboxes of these accounts. Those that are in PostgreSQL share the connections of `accounts`."""
    return opening.mailboxes(accounts.engine)
