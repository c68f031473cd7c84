"""`mailferry storage rehash`: mailboxes to the places that the configuration says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from proxy.cli import acting
from proxy.cli.options import config_option, configuration, give_up
from proxy.cli.steps import Steps
from proxy.cli.store import opened, see_to_the_owner

if TYPE_CHECKING:
    from mailstore.accounts import Accounts
    from mailstore.database import AccountsDatabase
    from mailstore.rehashing import Result, Way
    from proxy.config import Config

_MOST_NAMED: Final = 20
_MAY_BE_STARTED: Final = (
    "mailferry: the daemon may be started, on every node that has the new key: who comes first has his mailbox carried"
)


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--from", "before", metavar="TEMPLATE", help="Where mail lies until now, if nothing notes that.")
@click.option("--json", "as_json", is_flag=True, help="What was done as one JSON object.")
@config_option
def rehash(*, dry_run: bool, before: str | None, as_json: bool) -> None:
    """Carry all mailboxes to the places that storage.maildir says, by renaming, from those that it said before.

    No daemon may run when it begins, on any node; it says when they may be started again, and users are served while it
    goes on. Who is interrupted runs it again. The way back is the same, with the key as it was.
    """
    from mailstore.errors import MailstoreError  # noqa: PLC0415 - SQLAlchemy takes a third of a second

    config = configuration()
    before = None if before is None else _checked(config, before)
    with opened(config) as database:
        if database is None:
            raise give_up("there are no accounts yet, and so nothing is to be carried")
        try:
            result, way = _carry(config, database, before, dry_run=dry_run)
        except (MailstoreError, OSError) as error:
            raise give_up(f"{error}") from None
    _show(config, way, result, dry_run=dry_run, as_json=as_json)
    if result.failed:
        raise click.exceptions.Exit(1)


def _checked(config: Config, before: str) -> str:
    from proxy.config.mistakes import Unfit  # noqa: PLC0415
    from proxy.config.places import check_maildir, maildir_layout, maildir_root  # noqa: PLC0415

    try:
        check_maildir(before)
    except Unfit as error:
        raise click.BadParameter(str(error), param_hint="--from") from None
    return f"{maildir_root(before, config.state)}/{maildir_layout(before)}"


@contextmanager
def alone(config: Config, database: AccountsDatabase) -> Iterator[None]:
    """No daemon of this state directory begins meanwhile; while one runs, or another node, the command ends."""
    from mailstore import rehashing  # noqa: PLC0415 - SQLAlchemy takes a third of a second
    from proxy.daemon.alone import Alone, NotAlone  # noqa: PLC0415

    try:
        held = Alone(config.state)
    except NotAlone as error:
        raise give_up(f"{error}: stop it first, on every node (systemctl stop mailferry)") from None
    try:
        if nodes := rehashing.nodes(database):
            raise give_up(
                f"nodes are at work: {', '.join(nodes)}: stop them first (one that was killed counts for half a minute)"
            )
        yield
    finally:
        held.end()


def _carry(
    config: Config, database: AccountsDatabase, before: str | None, *, dry_run: bool
) -> tuple[Result, Way | None]:
    from mailstore import rehashing  # noqa: PLC0415
    from mailstore.accounts import Accounts  # noqa: PLC0415
    from mailstore.overview import Overview  # noqa: PLC0415
    from proxy.login.whereabouts import mooring_of  # noqa: PLC0415

    accounts = Accounts(database)
    mooring = mooring_of(config, accounts)
    way = rehashing.find_way(mooring, before)
    if way is None:
        return rehashing.Result(), None
    rehashing.see_to_one_disk(way, mooring)
    names = ((account.local, account.domain) for account in accounts.list())
    old, new = _place_of(config, way.before), config.maildir_for
    if dry_run:
        return rehashing.would(names, old, new), way
    acting.begin(config, "storage rehash", before=way.before, now=way.now)
    see_to_the_owner(config)
    whole = sum(each.accounts for each in Overview(database).domains().values())
    with ExitStack() as held, Steps() as steps:
        if not (way.begun and way.served):
            held.enter_context(alone(config, database))
            way = rehashing.begin(mooring, way)
        if way.served:
            held.close()
            click.echo(_MAY_BE_STARTED, err=True)
        told: Callable[[int, str], None] = lambda done, account: steps.at("carrying", account, done, whole)  # noqa: E731
        return rehashing.rehash(mooring, way, names, old, new, told), way


def _place_of(config: Config, template: str) -> Callable[[str, str], Path]:
    from proxy.config.places import maildir  # noqa: PLC0415

    return lambda local, domain: maildir(template, config.state, local, domain)


def _show(config: Config, way: Way | None, result: Result, *, dry_run: bool, as_json: bool) -> None:
    from mailstore.placing import Carried  # noqa: PLC0415

    if as_json:
        about: dict[str, Any] = {
            "before": None if way is None else way.before,
            "now": f"{config.maildir_root}/{config.maildir_layout}",
            "dry_run": dry_run,
            **{what.value: result.count[what] for what in Carried},
            "failed": result.failed,
        }
        click.echo(json.dumps(about, ensure_ascii=False))
        return
    if way is None:
        click.echo(f"all mail is where storage.maildir says: {config.maildir_root}/{config.maildir_layout}")
        return
    would = "would be carried" if dry_run else "carried"
    click.echo(
        f"{way.before} -> {way.now}: {result.count[Carried.CARRIED]:,} mailboxes {would}, "
        f"{result.count[Carried.THERE]:,} were there, {result.count[Carried.NOTHING]:,} accounts have none"
    )
    for account, reason in list(result.failed.items())[:_MOST_NAMED]:
        click.echo(f"mailferry: {account}: {reason}", err=True)
    if len(result.failed) > _MOST_NAMED:
        click.echo(f"mailferry: and {len(result.failed) - _MOST_NAMED:,} more: --json has them", err=True)
    if result.failed and not dry_run:
        click.echo("mailferry: run it again, to its end, when that is mended", err=True)


def missing(config: Config, accounts: Accounts) -> Iterator[str]:
    """Accounts that have mail and no mailbox in its place."""
    from mailstore.placing import is_there  # noqa: PLC0415

    for account in accounts.list():
        if account.messages_done and not is_there(config.maildir_for(account.local, account.domain)):
            yield account.name
