"""`mailferry migrate` and `mailferry retry`: move now, and watch it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxy.cli.options import config_option, configuration, give_up

if TYPE_CHECKING:
    from proxy.cli.carrying import Order


def _carry_out(order: Order) -> None:
    from proxy.cli.carrying import CannotCarry, carry_out  # noqa: PLC0415 - SQLAlchemy takes a third of a second

    try:
        status = carry_out(configuration(), order)
    except CannotCarry as error:
        raise give_up(str(error)) from None
    raise click.exceptions.Exit(status)


@click.command()
@click.argument("accounts", nargs=-1, metavar="ACCOUNT…")
@click.option("--all", "everything", is_flag=True, help="All accounts whose password is known.")
@click.option("--domain", "domains", multiple=True, metavar="DOMAIN", help="Those of a domain; may be given again.")
@click.option(
    "--passwords",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="CSV of account,password: for accounts whose password is not known yet. The legacy server is asked once.",
)
@click.option("--force", is_flag=True, help="Also the many of a domain that no verified test account has proven.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line.")
@config_option
def migrate(
    accounts: tuple[str, ...],
    *,
    everything: bool,
    domains: tuple[str, ...],
    passwords: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Move each ACCOUNT now, and show how far it is.

    By the daemon, if it is running; by this process if not. Status 1 if not all of it is here at the end.

    A domain's accounts are moved all together only when one of them was moved and verified before with the same
    settings of its legacy server; those that are named one by one always are.
    """
    if not (accounts or everything or domains or passwords):
        raise click.UsageError("name accounts, or a domain with --domain, or give --all or --passwords")
    from proxy.cli.carrying import Order  # noqa: PLC0415

    _carry_out(Order(accounts, domains, everything=everything, passwords=passwords, as_json=as_json, force=force))


@click.command()
@click.argument("names", nargs=-1, metavar="ACCOUNT…|DOMAIN…")
@click.option("--all", "everything", is_flag=True, help="All accounts.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line.")
@config_option
def retry(names: tuple[str, ...], *, everything: bool, as_json: bool) -> None:
    """Try at once what failed: messages in quarantine, moves that were interrupted, accounts that are blocked.

    Of a DOMAIN, those accounts that something failed for. Otherwise as `mailferry migrate`.
    """
    if not (names or everything):
        raise click.UsageError("name accounts or domains, or give --all")
    from proxy.cli.carrying import Order  # noqa: PLC0415

    _carry_out(Order(names, (), everything=everything, passwords=None, as_json=as_json, again=True))
