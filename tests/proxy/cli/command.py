"""Run `mailferry` in this process, and make what it looks at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner, Result

from mailstore.accounts import Accounts
from mailstore.database import AccountsDatabase
from proxy.cli.main import main


def mailferry(*arguments: str | Path, env: dict[str, str | None] | None = None) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments], env=env or {"MAILFERRY_CONFIG": None})


def configuration(directory: Path, *, listen: str = 'imap = ["tcp:10143:interface=127.0.0.1"]', more: str = "") -> Path:
    """A small configuration whose state is in `directory`."""
    file = directory / "mailferry.toml"
    file.write_text(
        f'hostname = "mail.123.com"\nstate = "{directory}/state"\n[listen]\n{listen}\n{more}\n'
        '[domain."123.com".legacy]\nhost = "127.0.0.1"\n[domain."456.com".legacy]\nhost = "127.0.0.1"\n'
    )
    return file


def with_accounts(directory: Path, fill: Callable[[Accounts], object]) -> None:
    """An accounts database as the daemon leaves it."""
    database = AccountsDatabase(directory / "state" / "accounts.db")
    fill(Accounts(database, clock=lambda: 1_700_000_000))
    database.close()
