"""`mailferry status`: how far it is, who failed and why.

Reads the accounts database and nothing else: works while the daemon runs, while it does not, and before it ever
did. Makes nothing.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import click

from proxy.cli.options import config_option, configuration, give_up

if TYPE_CHECKING:
    from mailstore.database import AccountsDatabase
    from proxy.cli.report import Report, Wanted
    from proxy.config import Config

INTERVAL: Final = 2.0  # seconds between two looks of --watch


@click.command()
@click.argument("domain", required=False)
@click.option("--watch", is_flag=True, help="Look again every two seconds, until Ctrl-C.")
@click.option("--accounts", "with_accounts", is_flag=True, help="Each account as well.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object; with --watch one a line.")
@config_option
def status(domain: str | None, *, watch: bool, with_accounts: bool, as_json: bool) -> None:
    """Say how far the move of each DOMAIN is, who failed and why."""
    config = configuration()
    from mailstore.errors import MailstoreError  # noqa: PLC0415 - SQLAlchemy takes a third of a second

    only = _known(config, domain)
    wanted: Wanted = "all" if with_accounts else "none" if as_json else "troubled"
    looker = _Looker(config, only, wanted)
    try:
        if watch:
            _watch(looker, as_json=as_json, with_accounts=with_accounts)
        else:
            _show(looker.look(), as_json=as_json, with_accounts=with_accounts)
    except MailstoreError as error:
        raise give_up(f"{config.accounts_file}: {error}") from None
    except PermissionError as error:
        raise give_up(f"{config.accounts_file}: {error.strerror}; run status as the user of serve") from None
    except KeyboardInterrupt:
        click.echo()
    finally:
        looker.close()


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

    def __init__(self, config: Config, only: str | None, wanted: Wanted) -> None:
        self._config = config
        self._only = only
        self._wanted = wanted
        self._database: AccountsDatabase | None = None

    def look(self) -> Report:
        """Raises MailstoreError, PermissionError."""
        from mailstore.accounts import Accounts  # noqa: PLC0415
        from mailstore.database import AccountsDatabase  # noqa: PLC0415
        from mailstore.proofs import Proofs  # noqa: PLC0415
        from mailstore.queue import Queue  # noqa: PLC0415
        from proxy.admin.proving import standings  # noqa: PLC0415
        from proxy.cli.report import report  # noqa: PLC0415

        if self._database is None and self._config.accounts_file.exists():
            self._database = AccountsDatabase(self._config.accounts_file)
        accounts = Accounts(self._database) if self._database is not None else None
        paused = Queue(self._database).paused_domains() if self._database is not None else {}
        stands = standings(self._config, Proofs(self._database) if self._database is not None else None)
        return report(sorted(self._config.domains), accounts, self._only, self._wanted, paused, stands)

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

    with Live(_table(looker.look(), with_accounts=with_accounts), auto_refresh=False) as live:
        while True:
            time.sleep(INTERVAL)
            live.update(_table(looker.look(), with_accounts=with_accounts), refresh=True)


def _table(found: Report, *, with_accounts: bool) -> Any:
    from proxy.cli.tables import render  # noqa: PLC0415 - rich, only where there is a terminal

    return render(found, with_accounts=with_accounts)
