"""`mailferry restore-legacy`: mail that arrived here goes back to an IMAP server. See `proxy.admin.giving_back`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from proxy.cli import acting
from proxy.cli.options import Text, config_option, configuration, give_up
from proxy.cli.store import made

if TYPE_CHECKING:
    from mailstore.accounts import Account
    from mailstore.mailhome import MailHome
    from proxy.admin.giving_back.record import Record
    from proxy.admin.giving_back.run import GivenBack
    from proxy.config import Config
    from proxy.legacy.settings import Legacy
    from proxy.wire.door import Secret


@click.command("restore-legacy")
@click.argument("account", type=Text())
@click.option("--host", type=Text(), help="The server; otherwise the domain's old one.")
@click.option("--port", type=click.IntRange(1, 65_535), help="Its IMAP port; otherwise the old server's.")
@click.option("--tls", type=click.Choice(["none", "starttls", "implicit"]), help="Otherwise as for the old server.")
@click.option("--user", type=Text(), help="The name there; otherwise as at the old server.")
@click.option("--password-stdin", is_flag=True, help="Take the password from a line of standard input.")
@click.option(
    "--password-file", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="… from a file's first line."
)
@click.option("--all-mail", is_flag=True, help="Everything, also what came from the old server.")
@click.option("--dry-run", is_flag=True, help="Only say what would be put there: nobody is connected to.")
@click.option("--json", "as_json", is_flag=True, help="What was done, as one JSON object.")
@config_option
def restore_legacy(
    account: str,
    *,
    host: str | None,
    port: int | None,
    tls: str | None,
    user: str | None,
    password_stdin: bool,
    password_file: Path | None,
    all_mail: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Put mail that arrived here for ACCOUNT into its mailbox at an IMAP server, in the same folders.

    What came from the old server stays out: it is there. Flags and dates go along. Nothing is deleted, here or there.
    It may be interrupted at any time: run it again, and no message is there twice.
    """
    config = configuration()
    from mailstore.errors import MailstoreError  # noqa: PLC0415 - SQLAlchemy takes a third of a second

    with made(config) as database:
        from mailstore.accounts import Accounts  # noqa: PLC0415 - as above
        from proxy.login.whereabouts import mooring_of  # noqa: PLC0415

        found = _account(config, database, account)
        settings, name = _server(config, found, host, port, tls, user)
        try:
            mooring_of(config, Accounts(database)).look()
            with _home(config, database, found) as (home, record):
                if dry_run:
                    from proxy.admin.giving_back.run import rehearse  # noqa: PLC0415

                    done, why = rehearse(home, record(settings, name), everything=all_mail), ""
                else:
                    password = _password(found, from_stdin=password_stdin, file=password_file)
                    acting.begin(config, "restore-legacy", account=found.name, host=settings.host, all_mail=all_mail)
                    shown, written = _Shown(quiet=as_json), record(settings, name)
                    with written.alone():
                        done, why = _give(settings, name, password, home, written, shown, all_mail=all_mail)
        except MailstoreError as error:
            raise give_up(str(error)) from None
        except OSError as error:
            raise give_up(f"{error.filename or 'a file'}: {error.strerror or error}") from None
    _tell(found, done, dry_run=dry_run, as_json=as_json)
    if why or done.refused:
        raise give_up(why or f"{done.refused:,} messages were not taken; run it again to have them tried once more")


def _account(config: Config, database: Any, text: str) -> Account:
    from mailstore.accounts import Accounts  # noqa: PLC0415
    from proxy.admin.chosen import NotServed, account_name  # noqa: PLC0415

    try:
        name = account_name(config, text)
    except NotServed as error:
        raise give_up(str(error)) from None
    found = Accounts(database).known_as(name.local, name.domain)
    if found is None or found.domain not in config.domains:
        raise give_up(f"not known here: {name}")
    return found


def _server(
    config: Config, account: Account, host: str | None, port: int | None, tls: Any, user: str | None
) -> tuple[Legacy, str]:
    """How it is spoken to, and the account's name there."""
    from proxy.login.legacy import legacy_settings  # noqa: PLC0415

    domain = config.domains[account.domain]
    settings = legacy_settings(domain)
    there = replace(settings, tls=tls or settings.tls, port=domain.legacy.imap_port, bandwidth=None)
    if tls is not None and tls != settings.tls:
        there = replace(there, port=993 if tls == "implicit" else 143)
    if host is not None and host.lower() != settings.host.lower():
        there = replace(there, host=host, ca=None, fingerprints=(), verify=True)
    if port is not None:
        there = replace(there, port=port)
    name = user or account.legacy_login or domain.legacy.login_name(account.local, account.domain)
    return there, name


class _home:
    """The account's home, and its record for a server."""

    def __init__(self, config: Config, database: Any, account: Account) -> None:
        from mailstore.mailhome import MailHome  # noqa: PLC0415
        from proxy.admin.databases import mailboxes  # noqa: PLC0415

        self._maildir = config.maildir_for(account.local, account.domain)
        if not self._maildir.is_dir():
            raise give_up(f"{account.name} has no mail here")
        self._home = MailHome(mailboxes(database), account.id, self._maildir, clock=database.time)

    def _record(self, settings: Legacy, user: str) -> Record:
        from proxy.admin.giving_back.record import Record  # noqa: PLC0415

        return Record(self._maildir, f"{user} at {settings.host.lower()}")  # whichever port it is reached by

    def __enter__(self) -> tuple[MailHome, Any]:
        return self._home, self._record

    def __exit__(self, *_: object) -> None:
        self._home.close()


def _password(account: Account, *, from_stdin: bool, file: Path | None) -> Secret:
    from proxy.wire.door import Secret  # noqa: PLC0415

    if file is not None:
        with file.open("rb") as opened:
            line = opened.readline()
    elif from_stdin:
        line = sys.stdin.buffer.readline()
    elif sys.stdin.isatty():
        line = click.prompt(f"Password of {account.name} at the server", hide_input=True, err=True).encode()
    else:
        raise click.UsageError("there is no terminal to ask for the password: --password-stdin or --password-file")
    return Secret(line.removesuffix(b"\n").removesuffix(b"\r"))


class _Shown:
    """How far it is, while it goes on."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._last = ""

    def __call__(self, folder: str, messages: int) -> None:
        if not self._quiet and sys.stderr.isatty():
            click.echo(f"\r{messages:,} messages, {folder}\x1b[K", nl=False, err=True)
        elif not self._quiet and folder != self._last:
            click.echo(f"{folder}…", err=True)
        self._last = folder

    def end(self) -> None:
        if not self._quiet and sys.stderr.isatty() and self._last:
            click.echo(err=True)


def _give(
    settings: Legacy, user: str, password: Secret, home: MailHome, record: Record, shown: _Shown, *, all_mail: bool
) -> tuple[GivenBack, str]:
    """What was done, and why it did not come to an end."""
    from twisted.internet import reactor  # noqa: PLC0415 - installs Twisted's reactor

    from proxy.admin.giving_back.run import CannotGoOn, GivenBack, GivingBack  # noqa: PLC0415
    from proxy.cli.running import run_to_end  # noqa: PLC0415
    from proxy.imap.client.connection import connect  # noqa: PLC0415
    from proxy.legacy.errors import LegacyError  # noqa: PLC0415

    begun: list[GivingBack] = []

    async def work() -> bool:
        connection = await connect(reactor, settings)
        try:
            await connection.login(user.encode(), password)
            begun.append(GivingBack(home, record, connection, everything=all_mail, told=shown))
            await begun[0].run()
            await connection.logout()
            return True
        finally:
            connection.abort()
            await connection.gone()

    try:
        why = "" if run_to_end(reactor, work()) else "interrupted; run it again"
    except LegacyError as error:
        why = error.advice
    except CannotGoOn as error:
        why = str(error)
    finally:
        shown.end()
    return (begun[0].done if begun else GivenBack()), why


def _tell(account: Account, done: GivenBack, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"account": account.name, **asdict(done)}, indent=2, ensure_ascii=False))
        return
    for folder, count in done.folders.items():
        click.echo(f"{folder}  {count:,}")
    for remark in done.remarks:
        click.echo(f"  {remark}")
    what = "would be put there" if dry_run else "put there"
    there = done.before + done.found
    more = f"; {there:,} are there from before" if there else ""
    click.echo(f"{account.name}  {done.messages:,} messages, {done.octets:,} octets {what}{more}")
