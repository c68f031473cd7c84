"""`mailferry backup`: a copy of everything, of one moment, while the daemon serves."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxy.cli.options import config_option, configuration, give_up
from proxy.cli.steps import Steps
from proxy.cli.store import of_a_server

if TYPE_CHECKING:
    from mailstore.backup import Source, Summary
    from proxy.config import Config

_MOST_NAMED = 20


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--keep", type=click.IntRange(1), help="Remove the oldest afterwards, so that so many are left.")
@click.option("--check", "only_check", is_flag=True, help="Write nothing: is the last one as it was written?")
@click.option("--json", "as_json", is_flag=True, help="What is in it as one JSON object.")
@config_option
def backup(directory: Path, *, keep: int | None, only_check: bool, as_json: bool) -> None:
    """Add a backup of accounts, passwords, mail and indexes to DIRECTORY, while the daemon serves.

    Each is a directory of its own, named by the time in UTC, and whole by itself; what the one before it has as well is
    not copied again. One that was interrupted does not count, and is gone on with. `mailferry restore` brings it back.
    """
    from mailstore.errors import MailstoreError  # noqa: PLC0415 - SQLAlchemy takes a third of a second

    config = configuration()
    if config.storage.server and not only_check:
        raise of_a_server(config, "backed up")
    try:
        if only_check:
            _check(directory, as_json=as_json)
        else:
            _make(config, directory.absolute(), keep, as_json=as_json)
    except (MailstoreError, OSError) as error:
        raise give_up(f"no backup: {error}" if not only_check else str(error)) from None


def _make(config: Config, directory: Path, keep: int | None, *, as_json: bool) -> None:
    from mailstore.backup import make  # noqa: PLC0415
    from mailstore.backups import KEYS, thin  # noqa: PLC0415
    from proxy.config.sizes import size  # noqa: PLC0415

    with Steps() as steps:
        path, summary = make(
            _source(config), directory, lambda done, whole, name: steps.at("copying", name, done, whole)
        )
    removed = [] if keep is None else thin(directory, keep)
    if as_json:
        click.echo(json.dumps({"backup": str(path), **_figures(summary), "removed": [str(each) for each in removed]}))
    else:
        click.echo(
            f"{path}: {summary.accounts:,} accounts, {summary.mailboxes:,} mailboxes, {summary.messages:,} messages, "
            f"{size(summary.octets)}, of which {size(summary.written)} were copied"
        )
        for each in removed:
            click.echo(f"{each}: removed")
    _remarks(summary)
    if config.key_file != config.state / KEYS:
        click.echo(f"mailferry: the sealing key is not in it: keep {config.key_file}, or what it is made of", err=True)


def _source(config: Config) -> Source:
    from mailstore.backup import Source  # noqa: PLC0415
    from proxy.cli.moored import mooring_of  # noqa: PLC0415
    from proxy.config.places import component, spread_of  # noqa: PLC0415

    def places(local: str, domain: str) -> list[Path]:
        """As large as directories may be where the Maildirs are: an earlier backup may have been made otherwise."""
        plain = Path(component(domain), component(local))
        found = [plain, spread_of(local, domain) / plain]
        return found[::-1] if "{hash}" in config.storage.maildir else found

    return Source(
        state=config.state,
        places_of=places,
        maildir_of=config.maildir_for,
        version=version("mailferry"),
        there=mooring_of(config).look,
    )


def _figures(summary: Summary) -> dict[str, object]:
    return {
        "accounts": summary.accounts,
        "mailboxes": summary.mailboxes,
        "messages": summary.messages,
        "files": summary.files,
        "bytes": summary.octets,
        "bytes_copied": summary.written,
        "missing": summary.missing,
        "damaged": summary.damaged,
    }


def _remarks(summary: Summary) -> None:
    """What was not as it should be before it was copied."""
    lines = [f"{name}: {count:,} messages have no file" for name, count in summary.missing.items()]
    lines += [f"{name}: the index is damaged; it is made anew at the next login" for name in summary.damaged]
    for line in lines[:_MOST_NAMED]:
        click.echo(f"mailferry: {line}", err=True)
    if len(lines) > _MOST_NAMED:
        click.echo(f"mailferry: and {len(lines) - _MOST_NAMED:,} more: --json has them", err=True)


def _check(directory: Path, *, as_json: bool) -> None:
    from mailstore.backups import found  # noqa: PLC0415

    last = found(directory.absolute())
    with Steps() as steps:
        whole = int(last.marker.get("mailboxes", 0))
        for done, name in enumerate(last.check()):
            steps.at("checking", name, done, whole)
    if as_json:
        click.echo(json.dumps({"backup": str(last.path), "whole": True}))
    else:
        click.echo(f"{last.path}: as it was written")
