"""`mailferry doctor`: one file with what whoever helps would ask for, and no secret in it. See `proxy.admin.doctor`."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from proxy.cli.options import config_file, config_option, give_up

if TYPE_CHECKING:
    from proxy.admin.doctor.gathering import Source
    from proxy.admin.doctor.hiding import Hiding
    from proxy.config import Config

STDOUT: Final = "-"


@click.command()
@click.option("--to", "target", metavar="FILE", help="A .tar.gz; - is standard output. Otherwise named by the time.")
@click.option("--names", is_flag=True, help="Keep names and addresses, and the old servers' words.")
@click.option("--log", "log_file", type=click.Path(path_type=Path), help="Where the daemon's log is, if in a file.")
@click.option("--who", metavar="PSEUDONYM", help="Only say which accounts have this one in an archive.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of the file.")
@config_option
def doctor(*, target: str | None, names: bool, log_file: Path | None, who: str | None, as_json: bool) -> None:
    """Gather in one file what whoever helps would ask for, and say what looks wrong.

    Asks nobody and changes nothing; works while the daemon is down, with a configuration that is wrong and a database
    that is damaged. No password, no key and no mail is in it. Users, administrators and addresses are called by
    pseudonyms, which --who turns back here.
    """
    config, data, wrong = _configuration()
    hiding = _hiding(config, names=names)
    if who is not None:
        _tell_who(config, hiding, who)
        return
    if target == STDOUT and not as_json and sys.stdout.isatty():
        raise click.UsageError("the archive is no text: send it into a file")
    from proxy.admin.doctor.archive import packed, summary, usual_name  # noqa: PLC0415
    from proxy.admin.doctor.gathering import gather  # noqa: PLC0415
    from proxy.admin.doctor.judging import findings  # noqa: PLC0415

    facts = gather(_sources(config, hiding, log_file), hiding) | _of_the_file(data, wrong, hiding)
    found = findings(facts)
    if as_json:
        click.echo(json.dumps({**facts, "findings": found}, ensure_ascii=False))
        return
    now = time.time()
    name = usual_name(now)
    octets = packed(name, facts, found, now)
    if target == STDOUT:
        sys.stdout.buffer.write(octets)
    else:
        _write(Path(target or f"{name}.tar.gz"), octets)
    click.echo(summary(facts, found), nl=False, err=target == STDOUT)


def _configuration() -> tuple[Config | None, bytes, Any]:
    """What it says, or what is wrong with it."""
    from proxy.config import ConfigErrors, load  # noqa: PLC0415 - pydantic takes a tenth of a second

    path = config_file()
    try:
        config = load(path)
    except ConfigErrors as error:
        try:
            return None, path.read_bytes(), error
        except OSError:
            return None, b"", error
    return config, config.origin.data, None


def _of_the_file(data: bytes, wrong: Any, hiding: Hiding) -> dict[str, Any]:
    from proxy.admin.doctor.settings import mistakes, settings  # noqa: PLC0415

    found = {"configuration": settings(data, [] if wrong is None else [m.key for m in wrong.mistakes], hiding)}
    return found if wrong is None else found | {"mistakes": mistakes(wrong, hiding)}


def _hiding(config: Config | None, *, names: bool) -> Hiding:
    from proxy.admin.doctor.hiding import Hiding, key_of  # noqa: PLC0415

    if config is None:
        return Hiding(os.urandom(32), names=names)
    places = (config.maildir_root, config.state / "mail")
    return Hiding(key_of(config.key_file), config.domains, places, names=names)


def _sources(config: Config | None, hiding: Hiding, log_file: Path | None) -> dict[str, Source]:
    from proxy.admin.acts import NAME  # noqa: PLC0415
    from proxy.admin.doctor import gathering, log  # noqa: PLC0415
    from proxy.daemon.alone import holder  # noqa: PLC0415

    found = gathering.of_the_machine(None if config is None else holder(config.state))
    found["log"] = gathering.of_lines(log.of_journal if log_file is None else lambda: log.of_file(log_file), hiding)
    if config is not None:
        found |= gathering.of_the_installation(config, hiding)
        audit = config.state / NAME
        found["audit"] = gathering.of_lines(lambda: log.of_file(audit) if audit.exists() else [], hiding)
        found["check"] = lambda: _check(config, hiding)
    return found


def _check(config: Config, hiding: Hiding) -> list[dict[str, str]]:
    """What `mailferry check` says. A sender is written in words of the company's own."""
    from proxy.cli.checks import all_findings  # noqa: PLC0415

    return [
        {
            "check": each.check,
            "result": each.result,
            "subject": hiding.text(each.subject),
            "text": "is said" if each.subject == "notices.sender" and "@" in each.text else hiding.text(each.text),
        }
        for each in all_findings(config, str(config_file()))
    ]


def _tell_who(config: Config | None, hiding: Hiding, pseudonym: str) -> None:
    from mailstore.accounts import Accounts  # noqa: PLC0415 - SQLAlchemy takes a third of a second
    from proxy.cli.store import opened  # noqa: PLC0415

    if config is None:
        raise give_up("the configuration is wrong, and says no database to look in: mailferry check")
    wanted = pseudonym.lower().partition("@")[0]
    count = 0
    with opened(config) as database:
        for account in Accounts(database).list() if database is not None else ():
            if hiding.account(account.name).partition("@")[0] == wanted:
                click.echo(account.name)
                count += 1
    if not count:
        raise give_up(f"{pseudonym} is no account's pseudonym here")


def _write(path: Path, octets: bytes) -> None:
    """Never over another file, and for its owner alone."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(octets)
        except OSError:
            path.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise give_up(f"{path}: {error.strerror}; --to names another file, and - is standard output") from None
    click.echo(f"{path}: {len(octets):,} octets; look through it before you send it")
