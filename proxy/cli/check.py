"""`mailferry check`: is everything that the configuration names usable? Asks no legacy server, changes and
sends nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxy.cli.options import config_file, config_option, give_up

if TYPE_CHECKING:
    from proxy.cli.checks.finding import Finding

_TOKEN = re.compile("[A-Za-z0-9-]{1,64}")
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Findings as one JSON object.")
@click.option("--connect", is_flag=True, help="Also see whether the relay of [notices] answers; nothing is sent.")
@click.option(
    "--storage",
    "directory",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Try in DIR what is asked of the file system below the Maildirs, and nothing else. Leaves nothing behind.",
)
@click.option(
    "--with", "meeting", metavar="TOKEN", help="With --storage: together with another node that runs the same."
)
@config_option
def check(*, as_json: bool, connect: bool, directory: Path | None, meeting: str | None) -> None:
    """Say whether configuration, certificate, database, directories, ports and the users' notices are usable.

    The legacy servers are not contacted. Status 1 if something would keep the daemon from its work, 2 if the
    configuration has mistakes.
    """
    if directory is not None or meeting is not None:
        _storage(directory, meeting, as_json=as_json)
        return
    from proxy.cli.checks import all_findings, of_mistakes  # noqa: PLC0415 - loads cryptography and SQLAlchemy
    from proxy.config import ConfigErrors, load  # noqa: PLC0415

    path = config_file()
    try:
        findings = all_findings(load(path), str(path), connect=connect)
    except ConfigErrors as error:
        if as_json:
            _show(of_mistakes(error), as_json=True)
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(2) from None
    _show(findings, as_json=as_json)
    if any(finding.result == "fail" for finding in findings):
        raise click.exceptions.Exit(1)


def _storage(directory: Path | None, token: str | None, *, as_json: bool) -> None:
    from proxy.cli.checks.storage.whole import all_of  # noqa: PLC0415

    if directory is None:
        raise click.UsageError("--with is of no use without --storage DIR")
    if token is not None and _TOKEN.fullmatch(token) is None:
        raise click.BadParameter("a word of letters, digits and hyphens, the same on both nodes", param_hint="--with")
    if token is not None:
        click.echo(f"waiting for the other node: mailferry check --storage {directory} --with {token}", err=True)
    try:
        trial = all_of(directory, token)
    except OSError as error:
        raise give_up(f"{directory}: {error.strerror or error}; nothing can be kept there by this user") from None
    if as_json:
        about = {"directory": str(directory), **trial.figures}
        click.echo(json.dumps({"checks": _rows(trial.findings), "storage": about}, ensure_ascii=False))
    else:
        _show(trial.findings, as_json=False)
        if token is None:
            click.echo(f"of two nodes: run mailferry check --storage {directory} --with TOKEN on both at the same time")
    if any(finding.result == "fail" for finding in trial.findings):
        raise click.exceptions.Exit(1)


def _rows(findings: Sequence[Finding]) -> list[dict[str, str]]:
    return [
        {"check": f.check, "result": f.result, "subject": f.subject, "text": f.text, "remedy": f.remedy}
        for f in findings
    ]


def _show(findings: Sequence[Finding], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"checks": _rows(findings)}, ensure_ascii=False))
        return
    for finding in findings:
        word = click.style(f"{finding.result:4}", fg=_COLOURS[finding.result])
        remedy = f" ({finding.remedy})" if finding.remedy else ""
        click.echo(f"{word}  {finding.check:13}  {finding.subject}: {finding.text}{remedy}")
