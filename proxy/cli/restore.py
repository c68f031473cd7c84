"""`mailferry restore`: a backup into an empty state directory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxy.admin.moments import iso
from proxy.cli import acting
from proxy.cli.options import config_option, configuration, give_up
from proxy.cli.steps import Steps
from proxy.cli.store import of_a_server, see_to_the_owner

if TYPE_CHECKING:
    from mailstore.backups import Backup
    from proxy.config import Config


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False))
@config_option
def restore(directory: Path) -> None:
    """Bring the last backup of DIRECTORY, or the one that DIRECTORY is, into the empty state directory.

    It is checked first; all of it is brought back, or nothing. No daemon may run meanwhile.
    """
    from mailstore.backups import found  # noqa: PLC0415 - SQLAlchemy takes a third of a second
    from mailstore.errors import MailstoreError  # noqa: PLC0415

    config = configuration()
    if config.storage.server:
        raise of_a_server(config, "restored")
    see_to_the_owner(config)
    try:
        backup = found(directory.absolute())
        with _alone(config), Steps() as steps:
            acting.begin(config, "restore", directory=str(backup.path))
            _restore(config, backup, steps)
    except (MailstoreError, OSError) as error:
        raise give_up(f"nothing is restored: {error}") from None
    marker = backup.marker
    click.echo(
        f"{config.state} is as it was at {iso(marker['begun'])}: {marker['accounts']:,} accounts, "
        f"{marker['messages']:,} messages"
    )
    _see_to_the_keys(config)
    click.echo("look with mailferry check, then start the daemon")


def _see_to_the_keys(config: Config) -> None:
    """Do the keys that are here now open the passwords of then?"""
    from mailstore.errors import MailstoreError  # noqa: PLC0415
    from mailstore.rotation import lost  # noqa: PLC0415
    from mailstore.secrets import read_keys  # noqa: PLC0415
    from proxy.admin.sealing import lost_words  # noqa: PLC0415

    try:
        keys = read_keys(config.key_file) if config.key_file.exists() else b""
        count = lost(config.accounts_file, keys)
    except (MailstoreError, OSError, sqlite3.Error) as error:
        click.echo(f"mailferry: whether passwords open is not known: {error}", err=True)
        return
    if count:
        click.echo(f"mailferry: {config.key_file}: {': '.join(lost_words(count))}", err=True)


def _restore(config: Config, backup: Backup, steps: Steps) -> None:
    from mailstore.restoring import Target, restore  # noqa: PLC0415
    from proxy.admin.acts import NAME  # noqa: PLC0415
    from proxy.daemon.alone import LOCK  # noqa: PLC0415

    done = {"checking": 0, "copying": 0}

    def told(what: str, account: str) -> None:
        steps.at(what, account, done[what], int(backup.marker["mailboxes"]))
        done[what] += 1

    target = Target(config.state, config.maildir_root, config.maildir_for)
    restore(backup, target, told, ours=frozenset({LOCK, NAME}))


@contextmanager
def _alone(config: Config) -> Iterator[None]:
    """No daemon begins meanwhile."""
    from mailstore.copying import make_all  # noqa: PLC0415
    from proxy.daemon.alone import Alone, NotAlone  # noqa: PLC0415

    make_all(config.state)
    try:
        alone = Alone(config.state)
    except NotAlone as error:
        raise give_up(str(error)) from None
    try:
        yield
    finally:
        alone.end()
