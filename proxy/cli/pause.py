"""`mailferry pause` and `mailferry resume`: leave a legacy server alone for a while.

A pause is about the legacy server: nothing is asked of it for a paused account, or for any account of a paused domain.
Moves that are under way end at their last barrier, within a second or two. Mail that is here is served as usual; a
user whose mailbox is not here yet, or whose password only the legacy server could check, is told to come back later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from proxy.cli import acting
from proxy.cli.options import config_option, configuration, give_up
from proxy.cli.store import made

if TYPE_CHECKING:
    from mailstore.accounts import Accounts
    from mailstore.queue import Queue
    from proxy.admin.chosen import Chosen

_names = click.argument("names", nargs=-1, metavar="ACCOUNT…|DOMAIN…")
_all = click.option("--all", "everything", is_flag=True, help="All domains.")


@click.command()
@_names
@_all
@config_option
def pause(names: tuple[str, ...], *, everything: bool) -> None:
    """Ask the legacy server nothing for an ACCOUNT or a DOMAIN until `resume`.

    Moves end at their last barrier and go on later. Mail that is here is served. Whoever needs the legacy server, as
    for a first login, is told to come back later.
    """
    _apply(names, everything=everything, paused=True)


@click.command()
@_names
@_all
@config_option
def resume(names: tuple[str, ...], *, everything: bool) -> None:
    """End the pause of an ACCOUNT, or of a DOMAIN and of all its accounts."""
    _apply(names, everything=everything, paused=False)


def _apply(names: tuple[str, ...], *, everything: bool, paused: bool) -> None:
    if not (names or everything):
        raise click.UsageError("name accounts or domains, or give --all")
    config = configuration()
    from mailstore.accounts import Accounts  # noqa: PLC0415 - SQLAlchemy takes a third of a second
    from mailstore.queue import Queue  # noqa: PLC0415
    from proxy.admin.chosen import NotServed, choose  # noqa: PLC0415

    try:
        chosen = choose(config, names, everything=everything)
    except NotServed as error:
        raise give_up(str(error)) from None
    with made(config) as database:
        acting.begin(config, "pause" if paused else "resume", **_said(chosen))
        unknown = _carry_out(chosen, Accounts(database), Queue(database), paused=paused)
    if unknown:
        raise give_up(f"not known here: {', '.join(unknown)}; a domain can be paused before its users log in")


def _said(chosen: Chosen) -> dict[str, Any]:
    from proxy.admin.acts import some  # noqa: PLC0415

    return {"domains": list(chosen.domains), **some([str(name) for name in chosen.names])}


def _carry_out(chosen: Chosen, accounts: Accounts, queue: Queue, *, paused: bool) -> list[str]:
    """Gives back the names that nobody has here."""
    what = "paused" if paused else "resumed"
    for domain in chosen.domains:
        queue.pause_domain(domain, paused=paused)
        click.echo(f"{domain}  {what}")
    closed = queue.paused_domains()
    unknown = []
    for name, account in chosen.named(accounts):
        if account is None:
            unknown.append(str(name))
            continue
        queue.pause([account.id], paused=paused)
        still = not paused and name.domain in closed
        click.echo(f"{name}  {what}" + (f", but its domain {name.domain} is paused" if still else ""))
    return unknown
