"""The tree of Maildirs, for commands that look at it without the daemon, and change nothing of the accounts."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from proxy.cli.options import give_up

if TYPE_CHECKING:
    from mailstore.mooring import Mooring
    from proxy.config import Config


def mooring_of(config: Config) -> Mooring:
    """What tells whether the disk with the Maildirs is there."""
    from mailstore.mooring import Mooring  # noqa: PLC0415 - SQLAlchemy takes a third of a second

    return Mooring(config.state, config.maildir_root, config.maildir_layout, lambda: _has_mail(config))


def see_that_mail_is_there(config: Config) -> None:
    """Before a command looks for mailboxes: one that is not where it should be is not there at all, else. Ends the
    command."""
    from mailstore.errors import StorageFailed  # noqa: PLC0415 - as above

    try:
        mooring_of(config).look()
    except StorageFailed as error:
        raise give_up(f"{config.maildir_root}: {error}") from None


def crowds(config: Config) -> dict[str, int]:
    """How many accounts each domain has. Nothing is made; of a database that cannot be asked nothing is known."""
    if config.storage.server:
        return _crowds_by_the_server(config)
    from mailstore.copying import read_only  # noqa: PLC0415

    try:
        with closing(read_only(config.accounts_file)) as connection:
            return dict(connection.execute("SELECT domain, sum(accounts) FROM figures GROUP BY domain").fetchall())
    except sqlite3.Error:
        return {}


def _crowds_by_the_server(config: Config) -> dict[str, int]:
    from mailstore.errors import MailstoreError  # noqa: PLC0415 - SQLAlchemy takes a third of a second
    from mailstore.overview import Overview  # noqa: PLC0415
    from proxy.admin import databases  # noqa: PLC0415

    try:
        with closing(databases.accounts(config, check=False)) as database:
            return {domain: figures.accounts for domain, figures in Overview(database).domains().items()}
    except MailstoreError:
        return {}


def _has_mail(config: Config) -> bool:
    """Has any account had mail carried over? A database that cannot be asked is told of elsewhere."""
    if config.storage.server:
        return _has_mail_by_the_server(config)
    from mailstore.copying import read_only  # noqa: PLC0415

    try:
        with closing(read_only(config.accounts_file)) as connection:
            return connection.execute("SELECT 1 FROM accounts WHERE messages_done > 0 LIMIT 1").fetchone() is not None
    except sqlite3.Error:
        return False


def _has_mail_by_the_server(config: Config) -> bool:
    from mailstore.accounts import Accounts  # noqa: PLC0415 - SQLAlchemy takes a third of a second
    from mailstore.errors import MailstoreError  # noqa: PLC0415
    from proxy.admin import databases  # noqa: PLC0415

    try:
        with closing(databases.accounts(config, check=False)) as database:
            return Accounts(database).any_mail()
    except MailstoreError:
        return False
