"""`mailferry storage copy`: from files to PostgreSQL."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from proxy.cli import acting
from proxy.cli.options import config_option, configuration, give_up
from proxy.cli.steps import Steps
from proxy.cli.store import is_there

if TYPE_CHECKING:
    from mailstore.transfer.course import Done
    from proxy.admin.copying_over import Copying
    from proxy.config import Config, Storage

_LOOK: Final = 1.0  # seconds between two looks whether the daemon has ended
_MOST_NAMED: Final = 20


@click.command()
@click.option("--to", "address", required=True, help="The database: postgresql+psycopg://USER@HOST/NAME.")
@click.option("--password-file", type=click.Path(path_type=Path), help="Its password, in a file with mode 0600.")
@click.option("--dry-run", is_flag=True, help="Change nothing: could it be copied there?")
@click.option("--json", "as_json", is_flag=True, help="What was copied as one JSON object.")
@config_option
def copy(address: str, *, password_file: Path | None, dry_run: bool, as_json: bool) -> None:
    """Copy accounts, indexes and ledgers from SQLite's files into an empty PostgreSQL database, and prove it.

    Mailboxes are copied while the daemon serves. Then it has to be stopped; what has changed since is copied, all of it
    has been read back and compared, and the configuration can be changed. Mail stays where it is, and the files stay as
    they are. A copy that was interrupted is gone on with by the same command.
    """
    config = configuration()
    where = _target(address, password_file)
    if config.storage.server:
        raise give_up(f"the accounts are in {config.storage.shown} already: there are no files to be copied")
    if not is_there(config):
        raise give_up(f"{config.accounts_file} is not there: there is nothing to be copied yet; just configure it")
    from mailstore.errors import MailstoreError  # noqa: PLC0415 - SQLAlchemy takes a third of a second
    from mailstore.refusals import in_detail  # noqa: PLC0415
    from proxy.admin.copying_over import Copying  # noqa: PLC0415

    try:
        with closing(Copying(config, where)) as copying:
            if dry_run:
                _dry(config, where, copying, as_json=as_json)
            else:
                _copy(config, where, copying, as_json=as_json)
    except MailstoreError as error:
        raise give_up(f"{where.shown}: {in_detail(error)}") from None
    except OSError as error:
        raise give_up(f"{error.filename or config.state}: {error.strerror}; run it as the user of serve") from None


def _target(address: str, password_file: Path | None) -> Storage:
    """Usage errors for what the configuration would refuse, too."""
    from proxy.config import Storage  # noqa: PLC0415
    from proxy.config.database import SQLITE, check_database, has_password  # noqa: PLC0415
    from proxy.config.mistakes import Unfit  # noqa: PLC0415

    try:
        check_database(address)
        twice = password_file is not None and has_password(address)
    except Unfit as error:
        raise click.UsageError(f"--to: {error}") from None
    if address == SQLITE:
        raise click.UsageError("--to: the files are where it is copied from")
    if twice:
        raise click.UsageError("--to has a password already: leave out --password-file")
    return Storage(database=address, password_file=None if password_file is None else password_file.absolute())


def _dry(config: Config, where: Storage, copying: Copying, *, as_json: bool) -> None:
    there, accounts = copying.look(), copying.count()
    if as_json:
        click.echo(json.dumps({"database": where.shown, "accounts": accounts, "mailboxes_there": there, "done": False}))
        return
    click.echo(f"{config.accounts_file}: {accounts:,} accounts could be copied to {where.shown}")
    if there:
        click.echo(f"{there:,} mailboxes are there from a copy that was begun")


def _copy(config: Config, where: Storage, copying: Copying, *, as_json: bool) -> None:
    from proxy.daemon.alone import at_work  # noqa: PLC0415

    say = (lambda _text: None) if as_json else click.echo
    acting.begin(config, "storage copy", to=where.shown)
    there, accounts = copying.begin(), copying.count()
    if there:
        say(f"{there:,} mailboxes are there from a copy that was begun")
    if at_work(config.state):
        with Steps() as steps:
            first = copying.mailboxes(lambda done, name: steps.at("copying", name, done, accounts))
        _tell_unreadable(first)
        say(f"{first.mailboxes:,} mailboxes with {first.rows:,} rows are in the database, as they were a moment ago")
        click.echo("mailferry: now stop the daemon (systemctl stop mailferry); the rest is copied then", err=True)
    with _alone(config), Steps() as steps:
        last = copying.finish(lambda done, name: steps.at("comparing", name, done, accounts))
    if as_json:
        click.echo(json.dumps(_figures(where, last)))
        return
    say(
        f"{where.shown}: {last.tables['accounts']:,} accounts, {last.mailboxes:,} mailboxes with {last.rows:,} rows "
        "are there, each read back and found to be the same"
    )
    say("")
    say("Put this into the configuration in the place of its [storage], on each node, then start the daemon:")
    say("")
    say("[storage]")
    say(f'database = "{where.shown}"')
    say(f'password_file = "{where.password_file or "/etc/mailferry/database.password"}"')
    say(f'maildir = "{config.storage.maildir}"')
    say("")
    say("The files stay as they are: until mail has come under the new configuration the old one can be gone back to.")


def _figures(where: Storage, done: Done) -> dict[str, Any]:
    return {
        "database": where.shown,
        "accounts": done.tables["accounts"],
        "mailboxes": done.mailboxes,
        "rows": done.rows,
        "tables": done.tables,
        "done": True,
    }


def _tell_unreadable(done: Done) -> None:
    for name, why in list(done.unreadable.items())[:_MOST_NAMED]:
        click.echo(f"mailferry: {name}: {why}; the next login makes a damaged index anew", err=True)


@contextmanager
def _alone(config: Config) -> Iterator[None]:
    """When the daemon has ended; and none begins meanwhile."""
    from proxy.daemon.alone import Alone, NotAlone  # noqa: PLC0415

    while True:
        try:
            held = Alone(config.state)
        except NotAlone:
            _wait()
        else:
            break
    try:
        yield
    finally:
        held.end()


def _wait() -> None:
    time.sleep(_LOOK)
