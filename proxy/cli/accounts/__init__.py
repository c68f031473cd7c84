"""`mailferry accounts`: the list of accounts, and each of them.

A file for each kind of command; they ask and show, and `proxy.admin` does it.
"""

from __future__ import annotations

import click

from proxy.cli.accounts.exporting import export
from proxy.cli.accounts.importing import compare, import_
from proxy.cli.accounts.looking import list_, show, tree
from proxy.cli.accounts.single import add, passwd


@click.group()
def accounts() -> None:
    """Import, export, list and change the accounts."""


for command in (import_, export, list_, show, add, passwd, tree, compare):
    accounts.add_command(command)
