"""`mailferry accounts add` and `mailferry accounts passwd`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click

from proxy.cli import acting
from proxy.cli.options import config_option, configuration, give_up, typed_password
from proxy.cli.store import key, made

if TYPE_CHECKING:
    from mailstore.roster import Entry
    from proxy.config import Config
    from proxy.wire.door import Secret

_NOT_SET: Final = {
    "known": "the old server takes the password that is known here",
    "empty": "the password is empty",
    "short": "the password is too short: it needs 10 characters at least",
    "long": "the password is too long",
}


@click.command()
@click.argument("account")
@click.option("--name", "full_name", default="", help="The user's name.")
@click.option("--department", default="", metavar="PATH", help='Such as "Sales/North".')
@click.option("--quota", default="", metavar="SIZE", help="500M, 2G, or 0 for no limit; otherwise the domain's.")
@click.option("--alias", "aliases", multiple=True, metavar="ADDRESS", help="May be given again.")
@click.option("--legacy-login", default="", metavar="LOGIN", help="What it is called at the old server, if otherwise.")
@config_option
def add(
    account: str, *, full_name: str, department: str, quota: str, aliases: tuple[str, ...], legacy_login: str
) -> None:
    """Make ACCOUNT, which waits for its user's first login."""
    config = configuration()
    entry = _entry(config, account, full_name, department, quota, aliases, legacy_login)
    from mailstore.accounts import Accounts  # noqa: PLC0415 - SQLAlchemy takes a third of a second
    from proxy.admin import roster  # noqa: PLC0415

    with made(config) as database:
        acting.begin(config, "accounts add", account=str(entry.name))
        try:
            roster.add(roster.kept(config, database), Accounts(database), entry)
        except roster.Refused as error:
            raise give_up(str(error)) from None
    click.echo(f"{entry.name}  waiting")


def _entry(
    config: Config,
    account: str,
    full_name: str,
    department: str,
    quota: str,
    aliases: tuple[str, ...],
    legacy_login: str,
) -> Entry:
    """What was written is usage."""
    from mailstore.roster import Entry  # noqa: PLC0415
    from proxy.admin.chosen import NotServed, account_name  # noqa: PLC0415
    from proxy.admin.spreadsheet import values  # noqa: PLC0415
    from proxy.config.mistakes import Unfit  # noqa: PLC0415

    try:
        domain = account_name(config, account).domain
        name = values.address(account, config.spellings, domain)
        others = [values.address(alias, config.spellings, domain) for alias in aliases]
        return Entry(
            name.local,
            name.domain,
            values.person(full_name),
            values.path(values.levels(department)),
            values.quota(quota),
            values.login(legacy_login),
            tuple(dict.fromkeys((other.local, other.domain) for other in others if other != name)),
        )
    except (NotServed, Unfit) as error:
        raise click.UsageError(str(error)) from None


@click.command()
@click.argument("account")
@config_option
def passwd(account: str) -> None:
    """Set ACCOUNT's password, asked for on a terminal, or the first line of standard input.

    While the legacy server is asked for the account it is the password there, tried once with the next move; it is
    not taken beside one that the legacy server takes. Of a final account it is the password here.
    """
    config = configuration()
    from mailstore.accounts import Accounts, State  # noqa: PLC0415 - SQLAlchemy takes a third of a second
    from mailstore.web_sessions import WebSessions  # noqa: PLC0415
    from proxy.admin import passwords  # noqa: PLC0415
    from proxy.admin.chosen import NotServed, account_name  # noqa: PLC0415

    try:
        name = account_name(config, account)
    except NotServed as error:
        raise give_up(str(error)) from None
    with made(config) as database:
        accounts = Accounts(database)
        found = accounts.known_as(name.local, name.domain)
        if found is None:
            raise give_up(f"{name} is not known here: `mailferry accounts add {name}` makes it")
        password = _asked(found.name)
        sealer = key(config, make=True)
        assert sealer is not None
        acting.begin(config, "accounts passwd", account=found.name)
        try:
            passwords.give(accounts, sealer, found, password)
        except passwords.CannotSet as error:
            raise give_up(f"{found.name}: {_NOT_SET[error.why.value]}; nothing was changed") from None
        if found.state is State.FINAL:  # whoever is in the portal has to know it
            WebSessions(database).end_all("portal", found.name)
    if found.state is State.FINAL:
        click.echo(f"{found.name}  this is its password here from now on")
    else:
        click.echo(f"{found.name}  tried at the legacy server with its next move: mailferry migrate {found.name}")


def _asked(name: str) -> Secret:
    from proxy.admin.passwords import LONGEST  # noqa: PLC0415
    from proxy.wire.door import Secret  # noqa: PLC0415

    if sys.stdin.isatty():
        octets = typed_password(f"Password of {name}").encode()
    else:
        octets = sys.stdin.buffer.readline(4 * LONGEST + 2).rstrip(b"\r\n")
    return Secret(octets)
