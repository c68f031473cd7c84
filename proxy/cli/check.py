"""`mailferry check`: is everything that the configuration names usable? Asks no legacy server, changes and
sends nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from proxy.cli.options import config_file, config_option

if TYPE_CHECKING:
    from proxy.cli.checks.finding import Finding

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Findings as one JSON object.")
@click.option("--connect", is_flag=True, help="Also see whether the relay of [notices] answers; nothing is sent.")
@config_option
def check(*, as_json: bool, connect: bool) -> None:
    """Say whether configuration, certificate, database, directories, ports and the users' notices are usable.

    The legacy servers are not contacted. Status 1 if something would keep the daemon from its work, 2 if the
    configuration has mistakes.
    """
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


def _show(findings: Sequence[Finding], *, as_json: bool) -> None:
    if as_json:
        rows = [
            {"check": f.check, "result": f.result, "subject": f.subject, "text": f.text, "remedy": f.remedy}
            for f in findings
        ]
        click.echo(json.dumps({"checks": rows}, ensure_ascii=False))
        return
    for finding in findings:
        word = click.style(f"{finding.result:4}", fg=_COLOURS[finding.result])
        remedy = f" ({finding.remedy})" if finding.remedy else ""
        click.echo(f"{word}  {finding.check:13}  {finding.subject}: {finding.text}{remedy}")
