"""`mailferry discover`: find out how a domain's legacy server wants to be spoken to. Nobody is logged in anywhere."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from proxy.cli.options import config_file, config_option, give_up

if TYPE_CHECKING:
    from proxy.admin.discovering.found import Candidate, Discovery
    from proxy.config import Config


@click.command()
@click.argument("domain")
@click.option("--write", is_flag=True, help="Put the best one into the configuration.")
@click.option("--resolver", "given", multiple=True, metavar="ADDR[:PORT]", help="Ask this one; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--at", "ports", multiple=True, hidden=True, help="USUAL=PORT: where a port is, in tests.")
@config_option
def discover(domain: str, *, write: bool, given: tuple[str, ...], as_json: bool, ports: tuple[str, ...]) -> None:
    """Find the legacy server of DOMAIN: host, port, TLS and login form.

    From MX, SRV and autoconfig, hosted services that are known, and common names; then by what answers there. Works
    without a configuration, too. Status 1 where nothing answers.
    """
    config = _configuration(needed=write)
    from proxy.admin.discovering.found import discover as look  # noqa: PLC0415 - dnspython, OpenSSL
    from proxy.admin.discovering.places import World  # noqa: PLC0415
    from proxy.admin.dns.asking import NoAnswer  # noqa: PLC0415
    from proxy.admin.dns.looking import named, resolvers  # noqa: PLC0415
    from proxy.config.mistakes import Unfit  # noqa: PLC0415
    from proxy.config.names import ascii_name  # noqa: PLC0415

    try:
        name = ascii_name(domain)
        moved = {int(usual): int(port) for usual, _, port in (text.partition("=") for text in ports)}
        world = World(named(given) or resolvers(config, ()), ports=moved)
    except Unfit as error:
        raise click.UsageError(str(error)) from None
    try:
        found = look(name, world, config)
    except NoAnswer as error:
        raise give_up(f"{name} could not be looked up: {error.text}") from None
    except KeyboardInterrupt:
        click.echo()
        raise click.exceptions.Exit(1) from None
    _show(found, as_json=as_json)
    if found.best is None:
        raise click.exceptions.Exit(1)
    if write:
        _write(found.best, name, quiet=as_json)


def _configuration(*, needed: bool) -> Config | None:
    """The configuration, if there is one: to find a legacy server is part of writing it."""
    from proxy.cli.options import configuration  # noqa: PLC0415

    return configuration() if needed or config_file().exists() else None


def _show(found: Discovery, *, as_json: bool) -> None:
    from proxy.admin.discovering import text  # noqa: PLC0415

    if as_json:
        click.echo(json.dumps(text.as_json(found), ensure_ascii=False))
        return
    for line, bold in text.lines(found):
        click.echo(click.style(line, bold=True) if bold and sys.stdout.isatty() else line)


def _write(best: Candidate, domain: str, *, quiet: bool) -> None:
    """Into the file, checked before it counts."""
    from proxy.admin.settling import of_candidate  # noqa: PLC0415
    from proxy.config import ConfigErrors  # noqa: PLC0415

    path = config_file()
    try:
        of_candidate(best, domain).edit(path).write()
    except ConfigErrors as error:
        click.echo(str(error), err=True)
        raise give_up("nothing was written: the configuration would not be right with it") from None
    except OSError as error:
        raise give_up(f"{path}: {error.strerror}; nothing was written") from None
    if not quiet:
        click.echo(f"written into {path}; next: mailferry probe ACCOUNT@{domain}")
