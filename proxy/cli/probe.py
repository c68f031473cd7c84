"""`mailferry probe`: a look at a legacy server with a test account, in two logins at most.

Status 0 where the account was let in and looked at to the end. Nothing is changed at the legacy server, and here only
the configuration, with `--write`.
"""

from __future__ import annotations

import json
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import click

from proxy.cli.options import config_file, config_option, configuration, give_up
from proxy.cli.store import cannot_open, is_there

if TYPE_CHECKING:
    from proxy.admin.probing.finding import Probed
    from proxy.admin.probing.known import Known
    from proxy.admin.probing.outcome import Outcome
    from proxy.admin.probing.run import Probe
    from proxy.config import Config
    from proxy.login.names import Name
    from proxy.wire.door import Secret


@click.command()
@click.argument("account")
@click.option("--password-stdin", is_flag=True, help="Take the password from a line of standard input.")
@click.option("--lock", is_flag=True, help="Spend the second login on whether two sessions may share the mailbox.")
@click.option("--write", is_flag=True, help="Put into the configuration what was found to be otherwise.")
@click.option(
    "--timeout",
    type=click.FloatRange(1, 600),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long an answer is waited for; a listing three times as long.",
)
@click.option("--json", "as_json", is_flag=True, help="All that was found, as one JSON object.")
@config_option
def probe(account: str, *, password_stdin: bool, lock: bool, write: bool, timeout: float, as_json: bool) -> None:
    """Log ACCOUNT in at its legacy server, and say what that can do and how long a move would take.

    At most two logins are tried: as the configuration says, and in the other usual form if that is refused as wrong and
    as nothing else. Nothing is changed there.
    """
    config = configuration()
    from proxy.admin.chosen import NotServed, account_name  # noqa: PLC0415

    try:
        name = account_name(config, account)
    except NotServed as error:
        raise give_up(str(error)) from None
    here = _known(config, name)
    from twisted.internet import reactor  # noqa: PLC0415 - installs Twisted's reactor

    from proxy.admin.probing.run import Probe  # noqa: PLC0415

    with _shown(quiet=as_json) as told:
        work = Probe(config, name, reactor, told.say, own_login=here.own_login, lock=lock, timeout=timeout)
        click.echo(_promise(work, lock=lock), err=True)
        password = _password(name, from_stdin=password_stdin)
        told.begin()
        found = _run(reactor, work, password)
    found.figures = here.figures
    ended = _tell(config, found, as_json=as_json)
    if write and found.mailbox is not None:
        _write(config, ended)
    if found.trouble:
        raise give_up(found.trouble)


def _known(config: Config, name: Name) -> Known:
    """What the database has of the account and its domain, where there is one yet."""
    from proxy.admin.probing.known import Known, Paused, known  # noqa: PLC0415

    if not is_there(config):
        return Known()
    from mailstore.errors import MailstoreError  # noqa: PLC0415
    from proxy.admin import databases  # noqa: PLC0415

    try:
        database = databases.accounts(config)
        try:
            return known(database, name)
        finally:
            database.close()
    except Paused as error:
        raise give_up(f"{error}; `mailferry resume` ends that") from None
    except MailstoreError as error:
        raise give_up(f"{config.accounts_place}: {error}") from None
    except PermissionError as error:
        raise cannot_open(config, error, "probe") from None


def _promise(work: Probe, *, lock: bool) -> str:
    first, *others = [f'"{form.user}"' for form in work.forms]
    text = f"At most two logins are tried at {work.found.host}: as {first}"
    if others:
        text += f", and as {others[0]} only if that is refused as a wrong password"
    if lock:
        text += "; where the first is let in, once more while it is there"
    return f"{text}. Mail there is only read."


def _password(name: Name, *, from_stdin: bool) -> Secret:
    from proxy.admin.probing.run import can_be_sent  # noqa: PLC0415
    from proxy.wire.door import Secret  # noqa: PLC0415

    if from_stdin:
        line = sys.stdin.buffer.readline()
        password = Secret(line.removesuffix(b"\n").removesuffix(b"\r"))
    elif sys.stdin.isatty():
        typed = click.prompt(f"Password of {name} at the legacy server", hide_input=True, err=True)
        password = Secret(typed.encode())
    else:
        raise click.UsageError("there is no terminal to ask for the password: give it with --password-stdin")
    if not can_be_sent(password):
        raise click.UsageError("the password is empty, too long, or holds what no mail server can be told")
    return password


def _shown(*, quiet: bool) -> AbstractContextManager[Any]:
    from proxy.cli.probe_screen import Silent, Steps  # noqa: PLC0415

    return nullcontext(Silent()) if quiet or not sys.stderr.isatty() else Steps()


def _run(reactor: Any, work: Probe, password: Secret) -> Probed:
    """What is found; after Ctrl-C, what was found by then."""
    from proxy.cli.running import run_to_end  # noqa: PLC0415

    ended = interrupted = False

    async def to_its_end() -> None:
        nonlocal ended
        await work.run(password)
        ended = True

    def stopping() -> None:
        nonlocal interrupted
        interrupted = not ended

    reactor.addSystemEventTrigger("before", "shutdown", stopping)  # connections are dropped behind that
    run_to_end(reactor, to_its_end())
    if interrupted:
        work.found.trouble = "interrupted: what was found by then is told"
    return work.found


def _tell(config: Config, found: Probed, *, as_json: bool) -> Outcome:
    """Print it; gives back what follows from it."""
    from proxy.admin.probing.exported import as_json as exported  # noqa: PLC0415
    from proxy.admin.probing.outcome import outcome  # noqa: PLC0415
    from proxy.cli.probe_screen import report  # noqa: PLC0415

    ended = outcome(config.domains[found.domain], found)
    if as_json:
        click.echo(json.dumps(exported(found, ended.estimated, ended.new, ended.advice), ensure_ascii=False))
    else:
        for line in report(ended):
            click.echo(line)
    return ended


def _write(config: Config, ended: Outcome) -> None:
    from proxy.admin.settling import of_probe  # noqa: PLC0415
    from proxy.config import ConfigErrors  # noqa: PLC0415

    file = config_file()
    if not ended.new:
        click.echo(f"{file} has it right already: nothing to write", err=True)
        return
    try:
        of_probe(config, ended).edit(file).write()
    except ConfigErrors as error:
        raise give_up(f"{file} is unchanged, since it would not be right:\n{error}") from None
    except OSError as error:
        raise give_up(f"{file} is unchanged: {error.strerror}") from None
    lines = ", ".join(f"{each.key} = {json.dumps(each.value)}" for each in ended.new)
    click.echo(
        f"{file} now says {lines}; it takes effect when mailferry serve is reloaded (SIGHUP) or started again", err=True
    )
