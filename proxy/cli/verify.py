"""`mailferry verify`: is everything here that the legacy server has? Changes nothing, here or there, but for a note
of what is proven by it (`proxy.admin.proving`).

Works beside a running daemon and without one. Status 1 unless every account that was asked for is whole, and was
compared with its legacy server (or `--local` said not to).
"""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from proxy.cli.moored import see_that_mail_is_there
from proxy.cli.options import config_option, configuration, give_up

if TYPE_CHECKING:
    from mailstore.accounts import Account
    from mailstore.proofs import Proof
    from proxy.admin.filing import Filing
    from proxy.admin.verify.outcome import Verification
    from proxy.admin.verify.passwords import Passwords
    from proxy.admin.verify.sample import How
    from proxy.config import Config
    from proxy.wire.door import Secret


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line says."""

    named: tuple[str, ...]
    full: bool
    sample: int | None
    seed: int | None
    local: bool
    password_file: str | None
    ask_password: bool
    connections: int | None
    as_json: bool
    csv_file: str | None
    messages: bool
    output: str | None

    @property
    def to_stdout(self) -> bool:
        """Is what is printed for a program?"""
        return self.as_json or self.csv_file == "-"

    def check(self) -> None:
        """What makes no sense together is usage."""
        wrong = {
            "--full is every message, --sample some: give one of them": self.full and self.sample is not None,
            "--local asks no legacy server: leave out --full and --sample": self.local
            and (self.full or self.sample is not None),
            "--local asks no legacy server: it needs no password": self.local
            and (self.password_file or self.ask_password),
            "--password-file and --ask-password: give one of them": self.password_file and self.ask_password,
            "--ask-password is for one account": self.ask_password
            and (len(self.named) != 1 or "@" not in self.named[0]),
            "--messages is for --csv": self.messages and not self.csv_file,
            "--json and --csv - both go to standard output: give one of them": self.as_json and self.csv_file == "-",
        }
        for text, is_so in wrong.items():
            if is_so:
                raise click.UsageError(text)

    def how(self) -> How:
        from proxy.admin.verify.sample import how_for  # noqa: PLC0415

        return how_for(full=self.full, sample=self.sample, seed=self.seed, local=self.local)


@click.command()
@click.argument("named", metavar="DOMAIN|ACCOUNT…", nargs=-1, required=True)
@click.option("--full", is_flag=True, help="Have the legacy server give every message again, and compare its SHA-256.")
@click.option("--sample", type=click.IntRange(0), metavar="N", help="… or so many of each account (20 if not said).")
@click.option("--seed", type=click.IntRange(0), metavar="N", help="Choose the sample that a report with this seed had.")
@click.option("--local", is_flag=True, help="Compare what is here, and ask no legacy server.")
@click.option(
    "--password-file",
    metavar="FILE",
    help="Lines user@domain:password, for passwords that are not known here; - reads them from standard input.",
)
@click.option("--ask-password", is_flag=True, help="Ask for the password of the one account that is named.")
@click.option(
    "--connections",
    type=click.IntRange(1),
    metavar="N",
    help="To a legacy server at once; never more than its `connections`.",
)
@click.option("--json", "as_json", is_flag=True, help="The whole report as one JSON object.")
@click.option("--csv", "csv_file", metavar="FILE", help="A table with a row an account; - for standard output.")
@click.option("--messages", is_flag=True, help="With --csv: a row a message that there is something to say of.")
@click.option("--output", metavar="FILE", help="A report to be filed, as text.")
@config_option
def verify(**options: Any) -> None:
    """Compare what is here with the legacy server, message by message.

    For each account of DOMAIN, or for each ACCOUNT (user@domain): the ledger, the index, every file of the Maildir,
    and the legacy server's UIDLs, order and octets; and the SHA-256 of some messages (or with --full of all) as the
    legacy server gives them now.
    """
    wanted = Wanted(**options)
    wanted.check()
    config = configuration()
    from proxy.admin.filing import Filing, NotFiled  # noqa: PLC0415

    accounts, paused = _accounts(config, wanted.named)
    see_that_mail_is_there(config)
    passwords = _passwords(config, accounts, paused, wanted)
    try:
        with ExitStack() as files:
            report = files.enter_context(Filing(wanted.output)) if wanted.output else None
            to_file = wanted.csv_file if wanted.csv_file != "-" else None
            table = files.enter_context(Filing(to_file)) if to_file else None
            found = _run(config, accounts, passwords, wanted)
            _tell(found, _settle(config, found), report, table, wanted)
    except NotFiled as error:
        raise give_up(str(error)) from None
    if found.totals.shortcoming:
        raise give_up(found.totals.shortcoming)


def _accounts(config: Config, named: Sequence[str]) -> tuple[list[Account], Collection[str]]:
    """Those that are meant, each once, and the domains that are paused. What is not known is told all at once."""
    from mailstore.accounts import Accounts  # noqa: PLC0415
    from mailstore.errors import MailstoreError  # noqa: PLC0415
    from mailstore.queue import Queue  # noqa: PLC0415
    from proxy.admin import databases  # noqa: PLC0415
    from proxy.cli.store import cannot_open, is_there  # noqa: PLC0415

    if not is_there(config):
        raise give_up(f"{config.accounts_file} is not there: nobody has logged in here yet")
    try:
        database = databases.accounts(config)
        try:
            return _meant(config, named, Accounts(database)), Queue(database).paused_domains()
        finally:
            database.close()
    except MailstoreError as error:
        raise give_up(f"{config.accounts_place}: {error}") from None
    except PermissionError as error:
        raise cannot_open(config, error, "verify") from None


def _meant(config: Config, named: Sequence[str], accounts: Any) -> list[Account]:
    from proxy.config.mistakes import meant  # noqa: PLC0415

    found: dict[str, Account] = {}
    unknown = []
    for name in named:
        local, at, spelled = name.rpartition("@")
        domain = config.spellings.get(spelled.lower().rstrip("."))
        if domain is None:
            unknown.append(f'"{spelled}" is not served here{meant(spelled.lower(), config.domains)}')
        elif not at:
            found.update((account.name, account) for account in accounts.list(domain))
        elif (account := accounts.known_as(local.lower(), domain)) is not None:
            found[account.name] = account
        else:
            unknown.append(f'"{name}" is not known here: nobody has logged in by that name')
    if unknown:
        raise give_up("; ".join(unknown))
    if not found:
        raise give_up("there are no accounts yet: nobody has logged in here")
    return list(found.values())


def _passwords(config: Config, accounts: Sequence[Account], paused: Collection[str], wanted: Wanted) -> Passwords:
    from mailstore.errors import StorageFailed  # noqa: PLC0415
    from proxy.admin import sealing  # noqa: PLC0415
    from proxy.admin.verify.passwords import Passwords  # noqa: PLC0415
    from proxy.wire.door import Secret  # noqa: PLC0415

    given: dict[str, Secret] = {}
    if wanted.password_file is not None:
        given = _given(wanted.password_file)
    elif wanted.ask_password:
        typed = click.prompt(f"Password of {accounts[0].name} at the legacy server", hide_input=True, err=True)
        given = {accounts[0].name: Secret(typed.encode())}
    try:
        sealer = sealing.sealer(config) if config.key_file.exists() else None
    except StorageFailed as error:
        raise give_up(f"{error}; run verify as the user of serve") from None
    return Passwords(given, sealer, lambda account: account.paused or account.domain in paused)


def _given(file: str) -> dict[str, Secret]:
    from proxy.admin.verify.passwords import BadPasswordFile, parse, read  # noqa: PLC0415

    try:
        return parse(sys.stdin.read(), "standard input") if file == "-" else read(file)
    except BadPasswordFile as error:
        raise click.UsageError(str(error)) from None


def _run(config: Config, accounts: Sequence[Account], passwords: Passwords, wanted: Wanted) -> Verification:
    from twisted.internet import reactor as _installed_reactor  # noqa: PLC0415

    from proxy.admin.circumstances import origin  # noqa: PLC0415
    from proxy.admin.verify.outcome import Circumstances, verification  # noqa: PLC0415
    from proxy.cli.comparing import compare  # noqa: PLC0415
    from proxy.cli.running import run_to_end  # noqa: PLC0415
    from proxy.daemon.alone import at_work  # noqa: PLC0415

    reactor: Any = _installed_reactor
    daemon, how = at_work(config.state), wanted.how()
    domains = {account.domain for account in accounts}
    began = time.time()
    with _screen(len(accounts), quiet=wanted.to_stdout) as told:
        comparing = compare(
            *(config, accounts, passwords, how, told),
            reactor=reactor,
            daemon=daemon,
            connections=wanted.connections,
        )
        outcomes = run_to_end(reactor, comparing)
    if outcomes is None:
        raise give_up("interrupted: there is no report")
    return verification(Circumstances(**origin(config, wanted.named, domains, began), how=how), outcomes)


def _screen(accounts: int, *, quiet: bool) -> Any:
    from proxy.cli.verify_screen import Bars, Lines, Nothing  # noqa: PLC0415

    if quiet:
        return Nothing()
    return Bars(accounts) if sys.stdout.isatty() else Lines()


def _settle(config: Config, found: Verification) -> list[Proof]:
    """What is proven by it and was not before."""
    from mailstore.errors import MailstoreError  # noqa: PLC0415
    from mailstore.proofs import Proofs  # noqa: PLC0415
    from proxy.admin import databases  # noqa: PLC0415
    from proxy.admin.proving import settle  # noqa: PLC0415

    try:
        database = databases.accounts(config)
        try:
            return settle(config, Proofs(database), found)
        finally:
            database.close()
    except MailstoreError as error:
        click.echo(f"mailferry: what this proves cannot be written down: {error}", err=True)
        return []


def _tell(
    found: Verification, proven: Sequence[Proof], report: Filing | None, table: Filing | None, wanted: Wanted
) -> None:
    from proxy.admin.verify.exported import accounts_table, messages_table  # noqa: PLC0415
    from proxy.admin.verify.exported import as_json as exported  # noqa: PLC0415
    from proxy.admin.verify.text import report as lines  # noqa: PLC0415
    from proxy.cli.verify_screen import conclusion  # noqa: PLC0415

    rows: Iterable[Sequence[Any]] = messages_table(found) if wanted.messages else accounts_table(found)
    if report is not None:
        for line in lines(found):
            report.write(f"{line}\n")
    if table is not None:
        csv.writer(table).writerows(rows)
    if wanted.csv_file == "-":
        csv.writer(sys.stdout).writerows(rows)
    elif wanted.as_json:
        for piece in exported(found, proven):
            click.echo(piece, nl=False)
        click.echo()
    else:
        conclusion(found)
        for proof in proven:
            click.echo(f"{proof.domain} is proven with {proof.account}: its other accounts may be moved")
