"""`mailferry admin`: who may use the console."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from proxy.admin.moments import iso, iso_or_none
from proxy.cli import acting
from proxy.cli.options import config_option, configuration, give_up, typed_password
from proxy.cli.store import made, opened

if TYPE_CHECKING:
    from proxy.admin.administrators import Console
    from proxy.config import Config


@click.group()
def admin() -> None:
    """Who may use the console in the browser."""


@admin.command()
@click.argument("name")
@config_option
def add(name: str) -> None:
    """Make NAME an administrator. The password is asked for, or is a line of standard input."""
    config = configuration()
    with _console(config) as console:
        if console.known(name):
            raise give_up(f'"{name}" is an administrator already: `mailferry admin passwd {name}` sets a password')
        password = _password()
        acting.begin(config, "admin add", name=name)
        console.add(name, password)
        click.echo(f"{name.strip().lower()} may use the console")


@admin.command()
@click.argument("name")
@config_option
def passwd(name: str) -> None:
    """Give NAME another password. Its sessions end."""
    config = configuration()
    with _console(config) as console:
        if not console.known(name):
            raise give_up(f'"{name}" is no administrator here: `mailferry admin list` shows who is')
        password = _password()
        acting.begin(config, "admin passwd", name=name)
        console.set_password(name, password)
        click.echo(f"{name.strip().lower()} has a new password; its sessions have ended")


@admin.command()
@click.argument("name")
@config_option
def remove(name: str) -> None:
    """Let NAME use the console no longer. Its sessions end at once."""
    config = configuration()
    with _console(config) as console:
        acting.begin(config, "admin remove", name=name)
        console.remove(name)
        click.echo(f"{name.strip().lower()} is no administrator any more; its sessions have ended")
        if not console.administrators.any():
            click.echo("there is none left: the console answers this machine alone, and says how to add one")


@admin.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@config_option
def list_(*, as_json: bool) -> None:
    """Say who may use the console. Makes nothing."""
    from mailstore.administrators import Administrators  # noqa: PLC0415 - SQLAlchemy takes a third of a second

    with opened(configuration()) as database:
        found = [] if database is None else Administrators(database).list()
    if as_json:
        listed = [
            {"name": one.name, "created": iso(one.created), "last_login": iso_or_none(one.last_login)} for one in found
        ]
        click.echo(json.dumps({"administrators": listed}))
        return
    for one in found:
        click.echo(f"{one.name}  added {iso(one.created)}  last login {iso_or_none(one.last_login) or 'never'}")
    if not found:
        click.echo("none yet: mailferry admin add NAME")


@contextmanager
def _console(config: Config) -> Iterator[Console]:
    from proxy.admin.administrators import Console, NotPossible  # noqa: PLC0415 - SQLAlchemy takes a third of a second

    with made(config) as database:
        try:
            yield Console(database)
        except NotPossible as error:
            raise give_up(str(error)) from None


def _password() -> str:
    """From a terminal, twice; otherwise the first line of standard input."""
    if sys.stdin.isatty():
        return typed_password("Password", "Once more")
    try:
        line = sys.stdin.readline()
    except UnicodeDecodeError:
        raise give_up("the password on standard input is not UTF-8 text") from None
    if not line:
        raise give_up("no password: give it as a line of standard input, or run this on a terminal")
    return line.rstrip("\r\n")
