"""`mailferry accounts export`: what `import` reads, to a file or to standard output."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from proxy.cli.accounts.looking import choosing, filtered
from proxy.cli.options import config_option, configuration, give_up
from proxy.cli.store import opened

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxy.admin.filing import Filing


@click.command()
@click.argument("file", required=False)
@choosing
@click.option("--no-bom", is_flag=True, help="CSV without the mark by which Excel knows UTF-8.")
@config_option
def export(
    file: str | None, *, domain: str | None, department: str | None, state: str | None, search: str, no_bom: bool
) -> None:
    """Write the accounts to FILE, as XLSX if it is called so and as CSV otherwise; to standard output without FILE.

    As `accounts import` reads it; importing it again changes nothing. Passwords are not in it.
    """
    config = configuration()
    xlsx = file is not None and file.lower().endswith((".xlsx", ".xlsm"))
    if file is not None and file.lower().endswith((".xls", ".ods")):
        raise click.UsageError(f"{file}: write .xlsx or .csv")
    from mailstore.people import People  # noqa: PLC0415 - SQLAlchemy takes a third of a second
    from proxy.admin import roster  # noqa: PLC0415
    from proxy.admin.filing import Filing, NotFiled  # noqa: PLC0415

    wanted = filtered(config, domain, department, state, search)
    with opened(config) as database:
        rows: Iterable[tuple[str, ...]] = [roster.TITLES]
        if database is not None:
            rows = roster.rows(People(database), wanted)
        if file is None or file == "-":
            _to_stdout(rows, mark=not no_bom)
            return
        try:
            with Filing(file, octets=xlsx) as filing:
                _write(filing, rows, xlsx=xlsx, mark=not no_bom)
        except NotFiled as error:
            raise give_up(str(error)) from None


def _write(filing: Filing, rows: Iterable[tuple[str, ...]], *, xlsx: bool, mark: bool) -> None:
    from proxy.admin.spreadsheet.writing import as_csv, as_xlsx  # noqa: PLC0415

    if xlsx:
        filing.write(as_xlsx(rows, "accounts"))
        return
    for piece in as_csv(rows, mark=mark):
        filing.write(piece)


def _to_stdout(rows: Iterable[tuple[str, ...]], *, mark: bool) -> None:
    """In UTF-8, whatever the locale is; a terminal is not given the mark."""
    from proxy.admin.spreadsheet.writing import as_csv  # noqa: PLC0415

    for piece in as_csv(rows, mark=mark and not sys.stdout.isatty()):
        sys.stdout.buffer.write(piece.encode())
    sys.stdout.buffer.flush()
