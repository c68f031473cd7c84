"""`mailferry accounts list`, `show` and `tree`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from proxy.admin.moments import iso_or_none
from proxy.cli.options import Text, config_option, configuration, give_up
from proxy.cli.store import opened

if TYPE_CHECKING:
    from mailstore.accounts import Account
    from mailstore.database import AccountsDatabase
    from mailstore.overview import Wanted
    from mailstore.people import Person
    from proxy.config import Config

F = TypeVar("F", bound=Callable[..., Any])

STATES: Final = ("waiting", "moving", "moved", "final", "blocked")


def choosing(command: F) -> F:
    """Which accounts."""
    for option in (
        click.option("--domain", metavar="DOMAIN", help="Only those of a domain."),
        click.option("--department", metavar="PATH", help='Only those below a department: "Sales/North"; "" is none.'),
        click.option("--state", type=click.Choice(STATES), help="Only those in a state."),
        click.option(
            "--search",
            type=Text(),
            default="",
            metavar="WORDS",
            help="Only those that have all of the words somewhere.",
        ),
    ):
        command = option(command)
    return command


def filtered(config: Config, domain: str | None, department: str | None, state: str | None, search: str) -> Wanted:
    """What is wanted; a domain that is not served ends the command with status 1."""
    from mailstore.accounts import State  # noqa: PLC0415 - SQLAlchemy takes a third of a second
    from mailstore.overview import Wanted  # noqa: PLC0415
    from proxy.admin.chosen import NotServed, choose  # noqa: PLC0415
    from proxy.admin.spreadsheet.values import levels  # noqa: PLC0415

    try:
        name = None if domain is None else choose(config, (), [domain]).domains[0]
    except NotServed as error:
        raise give_up(str(error)) from None
    path = None if department is None else "/".join(levels(department, hyphens=False))
    return Wanted(name, path, None if state is None else State(state), words=search)


@click.command("list")
@choosing
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@config_option
def list_(*, domain: str | None, department: str | None, state: str | None, search: str, as_json: bool) -> None:
    """List the accounts, with names, departments and states."""
    config = configuration()
    wanted = filtered(config, domain, department, state, search)
    from mailstore.people import People  # noqa: PLC0415

    with opened(config) as database:
        _tell_if_nobody(database)
        people: Iterable[Person] = () if database is None else People(database).each(wanted)
        if as_json:
            _json_list(people)
        elif sys.stdout.isatty():
            _table(people)
        else:
            for person in people:
                click.echo("  ".join(filter(None, _line(person))))


def _tell_if_nobody(database: AccountsDatabase | None) -> None:
    if database is None:
        click.echo(
            "mailferry: no accounts are known here yet: `mailferry accounts import FILE` takes a list over", err=True
        )


def _json_list(people: Iterable[Person]) -> None:
    """One object, written as it comes: there may be a hundred thousand."""
    click.echo('{"accounts": [', nl=False)
    for number, person in enumerate(people):
        click.echo((", " if number else "") + json.dumps(_person_json(person), ensure_ascii=False), nl=False)
    click.echo("]}")


def _person_json(person: Person) -> dict[str, Any]:
    from proxy.cli.report import account_json  # noqa: PLC0415

    account = person.account
    return {
        **account_json(account),
        "name": account.full_name,
        "department": account.department,
        "quota": account.quota,
        "aliases": list(person.aliases),
        "legacy_login": account.legacy_login,
        "password": _password(account)[0],
        "enrolled": iso_or_none(account.enrolled),
        "trace": account.trace,
    }


def _quota(account: Account) -> str:
    """The account's own."""
    from proxy.admin.spreadsheet.values import spelled_quota  # noqa: PLC0415

    return "no limit" if account.quota == 0 else spelled_quota(account.quota)


def _line(person: Person) -> Sequence[str]:
    account = person.account
    quota = f"quota {_quota(account)}" if account.quota is not None else ""
    login = account.legacy_login and f"legacy login {account.legacy_login}"
    also = f"alias {', '.join(person.aliases)}" if person.aliases else ""
    return account.name, account.state.value, account.full_name, account.department, quota, login, also


def _table(people: Iterable[Person]) -> None:
    from rich.console import Console  # noqa: PLC0415 - rich, only where there is a terminal
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table("account", "state", "name", "department", "quota", "aliases", box=None, header_style="bold")
    for person in people:
        account = person.account
        cells = (account.name, account.state.value, account.full_name, account.department, _quota(account))
        table.add_row(*map(Text, (*cells, "\n".join(person.aliases))))
    count = table.row_count
    if count:
        Console().print(table)
    click.echo("1 account" if count == 1 else f"{count:,} accounts")


# One account


@click.command()
@click.argument("account")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@config_option
def show(account: str, *, as_json: bool) -> None:
    """Say all that is known of ACCOUNT; one of its aliases will do."""
    config = configuration()
    person = _found(config, account)
    if as_json:
        click.echo(json.dumps(_person_json(person), ensure_ascii=False))
        return
    lines = list(_told(config, person))
    width = max(len(word) for word, _ in lines)
    for word, text in lines:
        click.echo(f"{word:{width}}  {text}")


def _found(config: Config, text: str) -> Person:
    from mailstore.accounts import Accounts  # noqa: PLC0415
    from mailstore.people import People, Person  # noqa: PLC0415
    from proxy.admin.chosen import NotServed, account_name  # noqa: PLC0415

    try:
        name = account_name(config, text)
    except NotServed as error:
        raise give_up(str(error)) from None
    with opened(config) as database:
        if database is not None:
            account = Accounts(database).known_as(name.local, name.domain)
            if account is not None:
                return Person(account, People(database).aliases(account.id))
    raise give_up(f"{name} is not known here: `mailferry accounts add` or `import` makes it, or its first login")


def _told(config: Config, person: Person) -> Iterable[tuple[str, str]]:
    from mailstore.accounts import State  # noqa: PLC0415
    from proxy.admin.spreadsheet.values import spelled_quota  # noqa: PLC0415
    from proxy.cli.report import remark  # noqa: PLC0415
    from proxy.config.sizes import size  # noqa: PLC0415

    account = person.account
    yield "account", account.name
    yield "name", account.full_name or "-"
    yield "department", account.department or "-"
    yield "aliases", ", ".join(person.aliases) or "-"
    domain = config.domains.get(account.domain)
    if account.quota is not None:
        yield "quota", _quota(account)
    else:
        own = domain.quota if domain is not None else None
        yield "quota", f"the domain's, {spelled_quota(own) or 'no limit'}"
    if account.legacy_login:
        yield "legacy login", account.legacy_login
    elif domain is not None:
        yield "legacy login", f"{domain.legacy.login_name(account.local, account.domain)}, as the domain has it"
    yield "state", account.state.value
    if said := remark(account):
        yield "reason", said
    if account.trace:
        yield "in the log", account.trace
    if account.state is State.FINAL:
        yield "final since", iso_or_none(account.finalized) or "not known: an earlier version made it final"
    yield "messages", f"{account.messages_done:,} of {account.messages_total:,}"
    yield "mail", f"{size(account.bytes_done)} of {size(account.bytes_total)}"
    yield "password", _password(account)[1]
    yield "last login", iso_or_none(account.last_login) or "never"
    yield "legacy server asked", iso_or_none(account.refreshed) or "never"
    yield "in a list", iso_or_none(account.enrolled) or "never"


def _password(account: Account) -> tuple[str, str]:
    """In one word, and in several."""
    from mailstore.accounts import PasswordState, State  # noqa: PLC0415

    if account.state is State.FINAL:
        known = account.password_hash is not None
        return ("own", "kept here") if known else ("none", "none: `mailferry accounts passwd` sets one")
    if account.sealed_password is None:
        return "none", "not known here: its user has to log in once"
    words: Mapping[PasswordState, str] = {
        PasswordState.KNOWN: "known: the legacy server took it",
        PasswordState.UNTRIED: "given by an administrator, and not tried yet",
        PasswordState.REJECTED: "the legacy server does not take it",
    }
    return account.password_state.value, words[account.password_state]


# Departments


@click.command()
@click.option("--domain", metavar="DOMAIN", help="Only those of a domain.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@config_option
def tree(*, domain: str | None, as_json: bool) -> None:
    """Show the departments as a tree: how many accounts each has, and how many of them are here."""
    config = configuration()
    name = filtered(config, domain, None, None, "").domain
    from proxy.admin.overview import trees  # noqa: PLC0415
    from proxy.cli.accounts import departments as shown  # noqa: PLC0415

    with opened(config) as database:
        _tell_if_nobody(database)
        domains = [] if database is None else trees(database, name)
    if as_json:
        click.echo(json.dumps({"domains": shown.as_json(domains)}, ensure_ascii=False))
    elif sys.stdout.isatty():
        shown.draw(domains)
    else:
        for line in shown.lines(domains):
            click.echo(line)
