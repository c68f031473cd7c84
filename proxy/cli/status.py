"""`mailferry status`: how far it is, who failed and why.

Reads the accounts database and nothing else: works while the daemon runs, while it does not, and before it ever
did. Makes nothing.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import click

from proxy.cli.options import Text, config_option, configuration, give_up
from proxy.cli.store import cannot_open

if TYPE_CHECKING:
    from mailstore.database import AccountsDatabase
    from mailstore.overview import Wanted
    from proxy.cli.report import Report
    from proxy.config import Config

INTERVAL: Final = 2.0  # seconds between two looks of --watch


STATES: Final = ("waiting", "moving", "moved", "final", "blocked", "attention", "paused")
CURVE: Final = 6 * 3600  # seconds that the curve of --watch goes back


@click.command()
@click.argument("domain", required=False)
@click.option("--watch", is_flag=True, help="Look again every two seconds, until Ctrl-C.")
@click.option("--accounts", "with_accounts", is_flag=True, help="Each account as well.")
@click.option(
    "--department", metavar="PATH", help='Accounts of a department and below it, and its figures; "" for all of them.'
)
@click.option("--state", type=click.Choice(STATES), help="Accounts of a state, paused ones, or what needs attention.")
@click.option(
    "--search", "text", type=Text(), metavar="TEXT", help="Accounts with this in their address, name or alias."
)
@click.option("--csv", "file", metavar="FILE", help="Write the accounts to a file for spreadsheets.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object; with --watch one a line.")
@config_option
def status(
    domain: str | None,
    *,
    watch: bool,
    with_accounts: bool,
    department: str | None,
    state: str | None,
    text: str | None,
    file: str | None,
    as_json: bool,
) -> None:
    """Say how far the move of each DOMAIN is, who failed and why, and what helps."""
    if watch and file is not None:
        raise click.UsageError("--csv writes once: leave out --watch")
    config = configuration()
    from mailstore.errors import MailstoreError  # noqa: PLC0415 - SQLAlchemy takes a third of a second
    from proxy.cli.status_file import CannotWrite, write_sheet  # noqa: PLC0415

    only = _known(config, domain)
    chosen = department is not None or state is not None or bool(text)
    with_accounts = with_accounts or chosen
    listed = _wanted(only, department, state, text) if with_accounts or file is not None else None
    if listed is None and not as_json:
        listed = _troubled(only)
    looker = _Looker(config, only, listed, since=CURVE if watch and not as_json else None)
    try:
        if file is not None and listed is not None:
            write_sheet(file, looker.database, listed)
        elif watch:
            _watch(looker, as_json=as_json, with_accounts=with_accounts)
        else:
            _show(looker.look(), as_json=as_json, with_accounts=with_accounts)
    except CannotWrite as error:
        raise give_up(str(error)) from None
    except MailstoreError as error:
        raise give_up(f"{config.accounts_place}: {error}") from None
    except PermissionError as error:
        raise cannot_open(config, error, "status") from None
    except KeyboardInterrupt:
        click.echo()
    finally:
        looker.close()


def _wanted(domain: str | None, department: str | None, state: str | None, text: str | None) -> Wanted:
    from mailstore.accounts import State  # noqa: PLC0415
    from mailstore.overview import Wanted  # noqa: PLC0415

    flag = state in {"attention", "paused"}
    return Wanted(
        domain,
        None if department is None else department.strip("/"),
        None if state is None or flag else State(state),
        attention=state == "attention",
        paused=state == "paused",
        text=text or "",
    )


def _troubled(domain: str | None) -> Wanted:
    from mailstore.overview import Wanted  # noqa: PLC0415

    return Wanted(domain, troubled=True)


def _known(config: Config, domain: str | None) -> str | None:
    if domain is None:
        return None
    name = domain.lower().rstrip(".")
    if name not in config.domains:
        from proxy.config.mistakes import meant  # noqa: PLC0415

        raise give_up(f'"{domain}" is not served here{meant(name, config.domains)}')
    return name


class _Looker:
    """Keeps the database open from one look to the next. Before the daemon's first start there is none."""

    def __init__(self, config: Config, only: str | None, listed: Wanted | None, since: int | None) -> None:
        """`since`: how many seconds the curve goes back; None: no curve."""
        self._config = config
        self._only = only
        self._listed = listed
        self._since = since
        self._database: AccountsDatabase | None = None

    @property
    def database(self) -> AccountsDatabase | None:
        """Raises MailstoreError, PermissionError."""
        from proxy.admin import databases  # noqa: PLC0415

        if self._database is None and (self._config.storage.server or self._config.accounts_file.exists()):
            self._database = databases.accounts(self._config)
        return self._database

    def look(self) -> Report:
        """Raises MailstoreError, PermissionError."""
        from mailstore.proofs import Proofs  # noqa: PLC0415
        from proxy.admin.proving import standings  # noqa: PLC0415
        from proxy.cli.drained import drain_of  # noqa: PLC0415
        from proxy.cli.report import report  # noqa: PLC0415

        database = self.database
        now = time.time() if database is None else database.time()
        since = None if self._since is None else int(now) - self._since
        stands = standings(self._config, Proofs(database) if database is not None else None)
        found = report(sorted(self._config.domains), database, self._only, self._listed, since, stands)
        return replace(found, drain=drain_of(self._config.state))

    def close(self) -> None:
        if self._database is not None:
            self._database.close()


def _show(found: Report, *, as_json: bool, with_accounts: bool) -> None:
    if as_json:
        click.echo(json.dumps(found.as_json(with_accounts=with_accounts), ensure_ascii=False))
    elif sys.stdout.isatty():
        from rich.console import Console  # noqa: PLC0415

        Console().print(_table(found, with_accounts=with_accounts))
    else:
        for line in found.lines(with_accounts=with_accounts):
            click.echo(line)


def _watch(looker: _Looker, *, as_json: bool, with_accounts: bool) -> None:
    if as_json or not sys.stdout.isatty():
        while True:
            _show(looker.look(), as_json=as_json, with_accounts=with_accounts)
            sys.stdout.flush()
            time.sleep(INTERVAL)
    from rich.live import Live  # noqa: PLC0415

    with Live(_table(looker.look(), with_accounts=with_accounts, curves=True), auto_refresh=False) as live:
        while True:
            time.sleep(INTERVAL)
            live.update(_table(looker.look(), with_accounts=with_accounts, curves=True), refresh=True)


def _table(found: Report, *, with_accounts: bool, curves: bool = False) -> Any:
    from proxy.cli.tables import render  # noqa: PLC0415 - rich, only where there is a terminal

    return render(found, with_accounts=with_accounts, curves=curves)
