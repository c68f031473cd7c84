"""`mailferry accounts import` and `mailferry accounts compare`."""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from proxy.cli import acting
from proxy.cli.options import config_option, configuration, give_up
from proxy.cli.store import key, made, opened

if TYPE_CHECKING:
    from mailstore.roster import Comparison
    from proxy.admin.spreadsheet.checking import Listing, Mistake
    from proxy.config import Config

SHOWN: Final = 50  # mistakes

FREEZE: Final = """\
Freeze the accounts at the old server now: make none there any more, and rename none. Whoever comes or goes there
all the same is found, before the end, with a new list from there: mailferry accounts compare FILE"""


def _reading(command: Any) -> Any:
    """How a list is read."""
    for option in (
        click.option(
            "--charset", metavar="NAME", help="Of a text: gb18030, big5, utf-8, …; otherwise it is found out."
        ),
        click.option("--sheet", "sheets", multiple=True, metavar="NAME", help="Of a workbook; may be given again."),
        click.option("--domain", metavar="DOMAIN", help="Of accounts that are written without one."),
    ):
        command = option(command)
    return command


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Show what would happen, and change nothing.")
@click.option("--expect", type=click.IntRange(0), metavar="N", help="Refuse a list that has not so many accounts.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask, on a terminal.")
@_reading
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@config_option
def import_(
    file: Path,
    *,
    dry_run: bool,
    expect: int | None,
    yes: bool,
    charset: str | None,
    sheets: tuple[str, ...],
    domain: str | None,
    as_json: bool,
) -> None:
    """Take over the list of accounts in FILE, CSV or XLSX.

    All of it or, where something is wrong, nothing. What is here and not in the list stays as it is, as do states,
    passwords that the legacy server has taken, and whatever the list has no column for. On a terminal you are asked
    before anything is written.
    """
    config = configuration()
    reading = Reading(config, file, charset, sheets, domain, as_json)
    listing = reading.listing()
    if expect is not None and len(listing.entries) != expect:
        raise give_up(f"{file}: has {_accounts(len(listing.entries))}, not {expect}: nothing was changed")
    if dry_run:
        with opened(config) as database:
            reading.show(reading.compared(database, key(config, make=False)), written=False, whole=True)
        return
    asking = sys.stdin.isatty() and sys.stdout.isatty() and not yes and not as_json
    with made(config) as database:
        done = reading.enrolled(database, key(config, make="password" in listing.fields), asking=asking)
    reading.show(done, written=True, whole=False)
    _warn_of_readers(file, listing)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@_reading
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@config_option
def compare(file: Path, *, charset: str | None, sheets: tuple[str, ...], domain: str | None, as_json: bool) -> None:
    """Say who is in FILE, the old server's list as it is now, and not here; and who is here and not in it.

    For the end of a move. Changes nothing.
    """
    config = configuration()
    reading = Reading(config, file, charset, sheets, domain, as_json)
    reading.listing()
    with opened(config) as database:
        found = reading.compared(database, key(config, make=False))
    if as_json:
        click.echo(json.dumps(_comparison_json(reading, found), ensure_ascii=False))
        return
    from proxy.cli.accounts.shown import then_and_now  # noqa: PLC0415

    then_and_now(found, str(file))


class Reading:
    """One list on its way in."""

    def __init__(
        self,
        config: Config,
        file: Path,
        charset: str | None,
        sheets: Sequence[str],
        domain: str | None,
        as_json: bool,
    ) -> None:
        self.file = file
        self._config = config
        self._charset = charset
        self._sheets = sheets
        self._domain = None if domain is None else _served(config, domain)
        self._as_json = as_json
        self._listing: Listing | None = None
        self._begun = False  # is it in the audit log?

    def listing(self) -> Listing:
        """Read it; what is wrong ends the command with status 1."""
        from proxy.admin import roster  # noqa: PLC0415

        try:
            self._listing = roster.read_file(
                self._config, self.file, charset=self._charset, sheets=self._sheets, domain=self._domain
            )
        except roster.BadList as error:
            self._tell_understood(error.understood, err=True)
            raise self.refuse(error.mistakes) from None
        if not self._as_json:
            self._tell_understood(self._listing.understood, err=False)
        return self._listing

    def _tell_understood(self, understood: Sequence[str], *, err: bool) -> None:
        if not self._as_json:
            for number, line in enumerate(understood):
                click.echo(f"  {line}" if number else f"{self.file}: {line}", err=err)

    def refuse(self, mistakes: Sequence[Mistake]) -> click.exceptions.Exit:
        """To be raised."""
        if self._as_json:
            found = [{"place": m.place, "account": m.account, "text": m.text} for m in mistakes]
            click.echo(json.dumps({"file": str(self.file), "written": False, "mistakes": found}, ensure_ascii=False))
        for mistake in mistakes[:SHOWN]:
            click.echo(f"{self.file}: {mistake}", err=True)
        if len(mistakes) > SHOWN:
            click.echo(f"{self.file}: and {len(mistakes) - SHOWN:,} more mistakes", err=True)
        return give_up("nothing was changed")

    def compared(self, database: Any, sealer: Any) -> Comparison:
        """What would happen; what is wrong ends the command with status 1."""
        from mailstore.roster import Comparison  # noqa: PLC0415
        from proxy.admin import roster  # noqa: PLC0415

        assert self._listing is not None
        if database is None:
            return Comparison(new=list(self._listing.entries.values()))
        try:
            return roster.compare(roster.kept(self._config, database, sealer), self._listing)
        except roster.BadList as error:
            raise self.refuse(error.mistakes) from None

    def enrolled(self, database: Any, sealer: Any, *, asking: bool) -> Comparison:
        """Take it over; with `asking`, just what was shown and agreed to. What is wrong ends the command with status
        1."""
        from mailstore.roster import Otherwise  # noqa: PLC0415
        from proxy.admin import importing, roster  # noqa: PLC0415

        assert self._listing is not None
        seen = self.compared(database, sealer) if asking else None
        while True:
            if seen is not None and (seen.new or seen.changed):
                self.show(seen, written=False, whole=True)
                click.confirm("Write this?", abort=True)
            if not self._begun:
                acting.begin(self._config, "accounts import", file=self.file.name, count=len(self._listing.entries))
                self._begun = True
            try:
                return roster.enrol(roster.kept(self._config, database, sealer), self._listing, importing.same_as(seen))
            except roster.BadList as error:
                raise self.refuse(error.mistakes) from None
            except Otherwise as error:
                click.echo("What is here has changed in the meantime, and nothing was written yet. As it is now:")
                seen = error.found

    def show(self, found: Comparison, *, written: bool, whole: bool) -> None:
        """`whole`: each account, and not only how many."""
        if self._as_json:
            click.echo(json.dumps({**_comparison_json(self, found), "written": written}, ensure_ascii=False))
            return
        from proxy.cli.accounts import shown  # noqa: PLC0415

        if whole:
            shown.each(found)
        click.echo(shown.summary(found, written=written))
        for line in shown.absent(found):
            click.echo(line)
        assert self._listing is not None
        for line in shown.about_passwords(found, self._listing.spaced_passwords):
            click.echo(line)
        if written and (found.new or found.changed):
            click.echo(FREEZE)

    @property
    def understood(self) -> Sequence[str]:
        return () if self._listing is None else self._listing.understood


def _served(config: Config, domain: str) -> str:
    from proxy.admin.chosen import NotServed, choose  # noqa: PLC0415

    try:
        return choose(config, (), [domain]).domains[0]
    except NotServed as error:
        raise give_up(str(error)) from None


def _accounts(count: int) -> str:
    return "1 account" if count == 1 else f"{count:,} accounts"


def _comparison_json(reading: Reading, found: Comparison) -> dict[str, Any]:
    from proxy.cli.accounts.shown import as_json  # noqa: PLC0415

    return {"file": str(reading.file), "understood": list(reading.understood), **as_json(found)}


def _warn_of_readers(file: Path, listing: Listing) -> None:
    if "password" in listing.fields and stat.S_IMODE(file.stat().st_mode) & 0o077:
        text = f"{file} has passwords in it and may be read by others: chmod 600, and remove it when it is done"
        click.echo(f"mailferry: {text}", err=True)
