"""`mailferry finalize` and `mailferry unfinalize`: the end of a move, and the way back. See `proxy.admin.finishing`."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

import click

from proxy.cli import acting
from proxy.cli.options import config_option, configuration, give_up

if TYPE_CHECKING:
    from mailstore.database import AccountsDatabase
    from proxy.admin.chosen import Chosen
    from proxy.config import Config

FORMS: Final = (".txt", ".json", ".csv")
_named = click.argument("named", nargs=-1, required=True, metavar="DOMAIN|ACCOUNT…")


def _reports(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if PurePath(value).suffix.lower() not in FORMS:
            raise click.BadParameter(f'"{value}": its name says the form: end it with .txt, .json or .csv')
    return values


@click.command()
@_named
@click.option("--dry-run", is_flag=True, help="Only say who would be left behind: nothing is moved or changed.")
@click.option("--leave-behind", is_flag=True, help="Go on although something is left behind at the old server.")
@click.option(
    "--report",
    "reports",
    multiple=True,
    callback=_reports,
    metavar="FILE",
    help="The final report: .txt, .json or .csv; may be given again.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="The report as one JSON object.")
@config_option
def finalize(
    named: tuple[str, ...],
    *,
    dry_run: bool,
    leave_behind: bool,
    reports: tuple[str, ...],
    yes: bool,
    as_json: bool,
) -> None:
    """Ask the old server no longer for the accounts of DOMAIN, or for each ACCOUNT.

    First a last round carries over what came since, and everything is compared with the old server once more. Whoever
    would leave something behind there is named, with what can be done, and then nobody is made final, unless
    --leave-behind says so. Then logins are held against the passwords that are known here, and their sealed copies
    are wiped. It may be interrupted at any time: run it again.
    """
    if not (yes or dry_run or sys.stdin.isatty()):
        raise click.UsageError("nobody is here to be asked: --yes says that it is to be done")
    config = configuration()
    from mailstore.errors import MailstoreError  # noqa: PLC0415 - SQLAlchemy takes a third of a second
    from proxy.admin.acts import some  # noqa: PLC0415
    from proxy.admin.filing import Filing, NotFiled  # noqa: PLC0415
    from proxy.cli.carrying import CannotCarry  # noqa: PLC0415
    from proxy.cli.finishing import Errand, Order  # noqa: PLC0415

    order = Order(named, dry_run=dry_run, leave_behind=leave_behind, yes=yes, as_json=as_json)
    database = _database(config)
    if not dry_run:
        acting.begin(config, "finalize", **some(named), leave_behind=leave_behind)
    try:
        with ExitStack() as files:
            filings = [files.enter_context(Filing(report)) for report in reports]
            why = Errand(config, database, order, _chosen(config, named)).run(
                list(zip((PurePath(report).suffix.lower() for report in reports), filings, strict=True))
            )
    except (MailstoreError, CannotCarry, NotFiled) as error:
        raise give_up(str(error)) from None
    finally:
        database.close()
    if why:
        raise give_up(why)


@click.command()
@_named
@config_option
def unfinalize(named: tuple[str, ...]) -> None:
    """Ask the old server again, while it still stands, for the final accounts of DOMAIN, or for each ACCOUNT.

    It is asked at each user's next login, with the password of that login, which is then sealed anew.
    """
    config = configuration()
    from mailstore.accounts import Accounts  # noqa: PLC0415
    from mailstore.errors import MailstoreError  # noqa: PLC0415
    from mailstore.finishing import Finishing  # noqa: PLC0415
    from proxy.admin.acts import some  # noqa: PLC0415
    from proxy.admin.finishing.reopening import final_of  # noqa: PLC0415

    database = _database(config)
    try:
        finishing = Finishing(database)
        found = final_of(_chosen(config, named), Accounts(database), finishing)
        if found.unknown:
            raise give_up(f"not known here: {', '.join(found.unknown)}")
        acting.begin(config, "unfinalize", **some(named))
        count = finishing.reopen(found.numbers)
    except MailstoreError as error:
        raise give_up(str(error)) from None
    finally:
        database.close()
    if count:
        click.echo(f"{_accounts(count)} no longer final: the old server is asked at the next login of each")
        click.echo(
            "not brought back: the sealed passwords, which are wiped. Until its user has logged in, nothing that "
            "arrives at the old server is fetched for an account; `mailferry migrate --passwords FILE` does without."
        )
    if found.others:
        raise give_up(f"not final, and left as they are: {', '.join(found.others)}")
    if not count:
        raise give_up("none of these accounts is final")


def _chosen(config: Config, named: tuple[str, ...]) -> Chosen:
    from proxy.admin.chosen import NotServed, choose  # noqa: PLC0415

    try:
        return choose(config, named)
    except NotServed as error:
        raise give_up(str(error)) from None


def _database(config: Config) -> AccountsDatabase:
    from mailstore.errors import MailstoreError  # noqa: PLC0415
    from proxy.admin import databases  # noqa: PLC0415
    from proxy.cli.store import cannot_open, is_there  # noqa: PLC0415

    if not is_there(config):
        raise give_up(f"{config.accounts_file} is not there: no accounts are known here")
    try:
        return databases.accounts(config)
    except (MailstoreError, OSError) as error:
        raise cannot_open(config, error) from None


def _accounts(count: int) -> str:
    return f"{count:,} account is" if count == 1 else f"{count:,} accounts are"
