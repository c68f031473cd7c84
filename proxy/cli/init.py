"""`mailferry init`: ask what must be known of a domain, write the configuration, and say what comes next."""

from __future__ import annotations

import os
import shlex
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from proxy.cli.options import USUAL, VARIABLE, config_file, config_option, give_up

if TYPE_CHECKING:
    from proxy.admin.opening import Answers

_NEEDED: Final = {"domain": "--domain", "hostname": "--hostname", "legacy_host": "--legacy-host"}

INTRODUCTION: Final = """\
mailferry stands in for a domain's old mail server: it checks each user's password there once, and carries the mailbox
over. A few questions; Enter takes what is in brackets, and Ctrl-C ends this with nothing written.
"""


@click.command()
@click.option("--domain", metavar="DOMAIN", help="What is behind the @ of the users' addresses, which they keep.")
@click.option("--hostname", metavar="NAME", help="This machine's name, as mail programs connect to it.")
@click.option("--legacy-host", metavar="HOST", help="The old server's name or address.")
@click.option("--legacy-tls", type=click.Choice(["starttls", "implicit", "none"]), help="How it is encrypted.")
@click.option("--legacy-port", type=click.IntRange(1, 65_535), metavar="PORT", help="110, or 995 with implicit TLS.")
@click.option("--legacy-login", metavar="FORM", help="local (zhang), full (zhang@123.com), or a template.")
@click.option("--certificate", metavar="FILE", help="This machine's certificate, PEM, with its intermediates.")
@click.option("--key", metavar="FILE", help="Its private key, PEM.")
@click.option("--listed/--open", default=None, help="Only imported accounts, or whoever the old server accepts.")
@click.option("--folders", type=click.Choice(["en", "zh"]), help="The language of the users' folders.")
@click.option("--contact", metavar="TEXT", help="Whom users ask, in one line.")
@click.option("--submission", metavar="NAME:PORT", help="Where users hand in what they send.")
@click.option("--state", metavar="DIRECTORY", help="Where accounts, keys and mail are kept.")
@click.option("--force", is_flag=True, help="Replace a configuration that is there; it is kept beside the new one.")
@click.option("--yes", "-y", is_flag=True, help="Take it as it is, and ask nothing.")
@config_option
def init(*, listed: bool | None, force: bool, yes: bool, **options: Any) -> None:
    """Write the configuration for a DOMAIN that is to be moved.

    On a terminal you are asked for what the flags do not say. Nothing that is there is overwritten without --force.
    """
    path = config_file()
    if path.is_file() and not force:
        raise give_up(f"{path} is there already: --force replaces it, and keeps it beside the new one")
    said = {name: value for name, value in options.items() if value is not None}
    if listed is not None:
        said["accounts"] = "listed" if listed else "open"
    asking = sys.stdin.isatty() and sys.stdout.isatty() and not yes
    if not asking:
        missing = [flag for name, flag in _NEEDED.items() if name not in said]
        if missing:
            raise click.UsageError(f"nobody can be asked here: give {', '.join(missing)}")
    answers = _asked(said) if asking else _answers(said)
    _check(answers, path)
    _question(answers, asking=asking, yes=yes)
    _write(path, answers, force=force)


def _answers(said: dict[str, Any]) -> Answers:
    from proxy.admin.opening import Answers  # noqa: PLC0415

    for name, check in _checks().items():
        if name in said:
            said[name] = _right(name, check, said[name])
    return Answers(**said)


def _checks() -> dict[str, Callable[[str], str]]:
    """What each answer must be by itself. They raise Unfit."""
    from proxy.config import names  # noqa: PLC0415 - pydantic takes a tenth of a second

    def domain(text: str) -> str:
        name = text.strip().rpartition("@")[2].lower().rstrip(".")
        names.ascii_name(name)
        return name

    return {
        "domain": domain,
        "hostname": names.check_hostname,
        "legacy_host": names.check_host,
        "legacy_login": names.check_login_form,
        "submission": names.check_submission,
        "contact": lambda text: " ".join(text.split()),
        "certificate": lambda text: str(Path(text).absolute()),
        "key": lambda text: str(Path(text).absolute()),
        "state": lambda text: str(Path(text).absolute()),
    }


def _right(name: str, check: Callable[[str], str], text: str) -> str:
    from proxy.config.mistakes import Unfit  # noqa: PLC0415

    try:
        return check(text)
    except Unfit as error:
        raise click.UsageError(f"--{name.replace('_', '-')}: {error}") from None


# On a terminal


def _asked(said: dict[str, Any]) -> Answers:
    from proxy.admin.opening import TLS, Answers, usual_port  # noqa: PLC0415

    click.echo(INTRODUCTION)
    ask = _Asking(said)
    domain = ask.text("domain", "The domain: what is behind the @ of the users' addresses, which they keep.", "Domain")
    ask.text(
        "hostname",
        "This machine's name, as mail programs will connect to it. The certificate must be for it.",
        "This machine's name",
        _own_name(domain),
    )
    ask.text(
        "legacy_host",
        "The old server. Its address, or a name that will still be its own when DNS has been moved.",
        "Old server",
    )
    tls = ask.choice("legacy_tls", "How it is encrypted: starttls (STLS on port 110), implicit (port 995), none.", TLS)
    ask.number("legacy_port", "Its POP3 port.", "Port", usual_port(tls))
    ask.text(
        "legacy_login",
        f"What users log in as there: local (zhang), full (zhang@{domain}), or a template: {{local}}%{{domain}}.",
        "Login form",
        "local",
    )
    ask.choice(
        "accounts",
        "Who gets an account here: open (whoever the old server accepts) or listed (only those that you import).",
        ("open", "listed"),
    )
    ask.choice("folders", "The language of the folders that every account is given.", ("en", "zh"))
    ask.files()
    ask.text("contact", "Whom users ask, in one line; it stands in notices and on the portal.", "Contact", "")
    click.echo()
    return Answers(**said)


def _own_name(domain: str) -> str:
    name = socket.gethostname().lower()
    return name if name.endswith(f".{domain}") else f"mail.{domain}"


class _Asking:
    """Asks for what is not said yet, again until it is right; the answers are added to `said`."""

    def __init__(self, said: dict[str, Any]) -> None:
        self._said = said
        self._checks = _checks()
        for name, check in self._checks.items():
            if name in said:
                said[name] = _right(name, check, said[name])

    def text(self, name: str, why: str, prompt: str, default: str | None = None) -> str:
        if name not in self._said:
            click.echo(click.style(why, dim=True))
            shown = bool(default)
            self._said[name] = click.prompt(
                prompt, default=default, show_default=shown, value_proc=self._proper(self._checks[name])
            )
        return str(self._said[name])

    @staticmethod
    def _proper(check: Callable[[str], str]) -> Callable[[str], str]:
        from proxy.config.mistakes import Unfit  # noqa: PLC0415

        def proper(text: str) -> str:
            try:
                return check(text)
            except Unfit as error:
                raise click.UsageError(str(error)) from None  # which click shows, and asks again

        return proper

    def choice(self, name: str, why: str, words: tuple[str, ...]) -> str:
        if name not in self._said:
            click.echo(click.style(why, dim=True))
            prompt = name.rpartition("_")[2].capitalize() if name != "legacy_tls" else "Encryption"
            self._said[name] = click.prompt(prompt, default=words[0], type=click.Choice(words))
        return str(self._said[name])

    def number(self, name: str, why: str, prompt: str, default: int) -> None:
        if name not in self._said:
            click.echo(click.style(why, dim=True))
            self._said[name] = click.prompt(prompt, default=default, type=click.IntRange(1, 65_535))

    def files(self) -> None:
        """The certificate and its key."""
        if "certificate" in self._said or "key" in self._said:
            return
        click.echo(
            click.style(
                "This machine's certificate and its key, PEM files. Without them only clients on this machine can log "
                "in; they can be added later.",
                dim=True,
            )
        )
        certificate = click.prompt("Certificate", default="", show_default=False).strip()
        if certificate:
            self._said["certificate"] = self._checks["certificate"](certificate)
            self._said["key"] = self._checks["key"](click.prompt("Key").strip())


# What was said


def _check(answers: Answers, path: Path) -> None:
    """The whole, as the daemon would."""
    from proxy.admin.opening import compose  # noqa: PLC0415
    from proxy.config import ConfigErrors, parse  # noqa: PLC0415

    try:
        config = parse(compose(answers).encode(), str(path), path.parent)
    except ConfigErrors as error:
        click.echo(str(error), err=True)
        click.echo("mailferry: nothing was written", err=True)
        raise click.exceptions.Exit(2) from None
    for warning in config.warnings:
        click.echo(f"mailferry: {warning}", err=True)


def _question(answers: Answers, *, asking: bool, yes: bool) -> None:
    from proxy.admin.opening import doubts  # noqa: PLC0415

    found = list(doubts(answers))
    for doubt in found:
        if asking:
            click.confirm(click.style(doubt, fg="yellow"), abort=True)
        else:
            click.echo(f"mailferry: {doubt}", err=True)
    if found and not asking and not yes:
        raise give_up("nothing was written: if this is right as it is, say --yes")


def _write(path: Path, answers: Answers, *, force: bool) -> None:
    from proxy.admin.opening import NotPut, compose, put  # noqa: PLC0415

    try:
        kept = put(path, compose(answers), replace=force)
    except NotPut as error:
        raise give_up(str(error)) from None
    if kept is not None:
        click.echo(f"The configuration that was there is in {kept}.")
    click.echo(f"{path} is written, and right as far as it can be seen from here.")
    if not answers.certificate:
        click.echo("It has no certificate yet: until it has, only clients on this machine can log in.")
    click.echo("The user that serve runs as must be able to read it; it has mode 0640.")
    click.echo("\nWhat comes next:")
    config = "" if str(path) == (os.environ.get(VARIABLE) or str(USUAL)) else f" --config {shlex.quote(str(path))}"
    steps = (
        (f"mailferry check{config}", "certificate, database, directories and ports"),
        (f"mailferry accounts import{config} FILE", "the accounts, from a spreadsheet"),
        (f"mailferry notify{config} {answers.domain}", "tell the users"),
        (f"mailferry dns{config} {answers.domain}", "look at DNS, before anything is changed there"),
        (f"mailferry probe{config} USER@{answers.domain}", "the old server, with a test account"),
        (f"mailferry migrate{config} USER@{answers.domain}", "move the test account first"),
        (f"mailferry verify{config} USER@{answers.domain}", "it proves that all others can move"),
        (f"mailferry serve{config}", "let the users log in"),
    )
    width = max(len(command) for command, _ in steps)
    for command, what in steps:
        click.echo(f"  {command:{width}}  {what}")
