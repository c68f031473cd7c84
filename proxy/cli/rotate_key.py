"""`mailferry rotate-key`: another key for sealed passwords."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from proxy.cli import acting
from proxy.cli.options import config_option, configuration, give_up
from proxy.cli.steps import Steps
from proxy.cli.store import opened

if TYPE_CHECKING:
    from mailstore.database import AccountsDatabase
    from proxy.admin.sealing import Change, Changing
    from proxy.config import Config


@click.command("rotate-key")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--key-file", type=click.Path(path_type=Path), help="Where the key is a credential: what it is made of.")
@click.option("--json", "as_json", is_flag=True, help="What was done as one JSON object.")
@config_option
def rotate_key(*, dry_run: bool, key_file: Path | None, as_json: bool) -> None:
    """Make a new key, seal every password anew under it, and remove the key before.

    Users are served meanwhile. One that was interrupted is gone on with; another key that was put behind the first, of
    a backup for instance, is dealt with in the same way. Backups hold the key of their time.
    """
    from mailstore.errors import MailstoreError  # noqa: PLC0415 - SQLAlchemy takes a third of a second
    from proxy.admin.sealing import Changing  # noqa: PLC0415

    config = configuration()
    with opened(config) as database:
        if database is None:
            raise give_up("there are no accounts yet, and so nothing is sealed")
        try:
            changing = Changing(config, database, key_file)
            change = changing.would() if dry_run else _make(config, changing)
        except (MailstoreError, OSError) as error:
            raise give_up(str(error)) from None
        scrubbed = change.rotated is None or _scrub(database)
    _show(change, as_json=as_json)
    if not scrubbed:
        click.echo("mailferry: what was sealed under the key before may still be in the database's log", err=True)


def _make(config: Config, changing: Changing) -> Change:
    from proxy.daemon.alone import at_work  # noqa: PLC0415

    acting.begin(config, "rotate-key")
    with Steps() as steps:
        return changing.make(lambda done, whole: steps.at("sealing", "", done, whole), daemon=at_work(config.state))


def _scrub(database: AccountsDatabase) -> bool:
    from mailstore.errors import StorageFailed  # noqa: PLC0415

    try:
        database.scrub()
    except StorageFailed:
        return False
    return True


def _show(change: Change, *, as_json: bool) -> None:
    from proxy.admin.sealing import without  # noqa: PLC0415

    if as_json:
        click.echo(json.dumps(_figures(change)))
    else:
        for line in _lines(change):
            click.echo(line)
    if warning := without(change.standing):
        click.echo(f"mailferry: {warning}", err=True)


def _figures(change: Change) -> dict[str, Any]:
    rotated = None if change.rotated is None else asdict(change.rotated)
    return {
        "result": change.next.value,
        "file": str(change.file),
        "key": change.key or None,
        "passwords": asdict(change.standing),
        "rotated": rotated,
    }


def _lines(change: Change) -> list[str]:
    from proxy.admin.sealing import Next  # noqa: PLC0415

    sealed = change.standing.first + change.standing.others
    if change.next is Next.NOTHING:
        what = f"go on to key {change.key}" if change.key else "make a new key"
        return [f"{change.file}: would {what}, and seal {_passwords(sealed)} anew; nothing was changed"]
    if change.next is Next.RESTART:
        return [
            f"{change.file}: key {change.key} is in it, and the daemon has not read it yet:",
            "systemctl restart mailferry, then run this once more",
        ]
    assert change.rotated is not None
    gone = " and ".join(change.rotated.gone)
    begun = "went on to" if change.rotated.resumed else "has the new"
    return [
        f"{change.file}: {begun} key {change.key}; {_passwords(change.rotated.sealed)} sealed anew",
        f"the key before, {gone}, is out of it",
    ]


def _passwords(count: int) -> str:
    return "1 password" if count == 1 else f"{count:,} passwords"
