"""The accounts database for the length of a command."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from click.exceptions import Exit

from mailstore.errors import MailstoreError
from proxy.cli.options import give_up

if TYPE_CHECKING:
    from mailstore.database import AccountsDatabase
    from mailstore.secrets import Sealer
    from proxy.config import Config


@contextmanager
def opened(config: Config) -> Iterator[AccountsDatabase | None]:
    """To be read; None where there is none yet. What goes wrong ends the command with status 1."""
    if not is_there(config):
        yield None
        return
    with made(config) as database:
        yield database


def is_there(config: Config) -> bool:
    """May there be accounts? Not, where their file is not made yet: nobody has logged in. Of a server one has to
    ask."""
    try:
        return config.storage.server or config.accounts_file.exists()
    except PermissionError as error:
        raise cannot_open(config, error) from None


def cannot_open(config: Config, error: Exception, command: str = "it") -> Exit:
    """What ends a command that has no database. A file is the daemon's: whoever else may not open it is told so."""
    from proxy.admin import databases  # noqa: PLC0415

    if config.storage.server and isinstance(error, MailstoreError):
        return give_up(databases.reason(config, error))
    why = (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)
    return give_up(f"{config.accounts_place}: {why}; run {command} as the user of serve")


def of_a_server(config: Config, what: str) -> Exit:
    """What ends `backup` and `restore` where the database is not ours to copy."""
    return give_up(
        f"{config.storage.shown} is {what} by its server's own means (pg_dump and pg_restore, or a backup of the "
        f"server), and {config.state} and the Maildirs by yours: see Backup and restore in the README for the order"
    )


@contextmanager
def made(config: Config) -> Iterator[AccountsDatabase]:
    """To be written, made where there is none. What goes wrong ends the command with status 1."""
    from mailstore.errors import MailstoreError  # noqa: PLC0415
    from proxy.admin import databases  # noqa: PLC0415 - SQLAlchemy takes a third of a second
    from proxy.daemon.alone import NotAlone, see_to_restoring  # noqa: PLC0415

    try:
        see_to_restoring(config.state)
    except NotAlone as error:
        raise give_up(str(error)) from None
    if not is_there(config):
        see_to_the_owner(config)
    try:
        database = databases.accounts(config)
    except (MailstoreError, OSError) as error:
        raise cannot_open(config, error) from None
    try:
        yield database
    except MailstoreError as error:
        raise give_up(f"{config.accounts_place}: {error}") from None
    finally:
        database.close()


def see_to_the_owner(config: Config) -> None:
    """What root makes in the daemon's directory the daemon could not open."""
    if not config.state.exists() or os.geteuid() != 0:
        return
    owner = config.state.stat().st_uid
    if owner != 0:
        try:
            name = pwd.getpwuid(owner).pw_name
        except KeyError:
            name = f"#{owner}"
        raise give_up(f"{config.state} belongs to {name}, and what is made in it must, too: run it as {name}")


def key(config: Config, *, make: bool) -> Sealer | None:
    """What seals passwords; None where there is no key yet, and none is to be made."""
    from mailstore.errors import StorageFailed  # noqa: PLC0415
    from proxy.admin import sealing  # noqa: PLC0415

    try:
        if not config.key_file.exists():
            if not make:
                return None
            see_to_the_owner(config)
        return sealing.sealer(config)
    except StorageFailed as error:
        raise give_up(f"{error}; run it as the user of serve") from None
    except PermissionError as error:
        raise give_up(f"{config.key_file}: {error.strerror}; run it as the user of serve") from None
