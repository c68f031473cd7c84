"""`mailferry notify`: tell a domain's users what is going to happen, or remind those who have not logged in yet.

Says what would be sent to how many; with --preview, --write or --send it does it. See `proxy.admin.noticing`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from proxy.cli.options import config_option, configuration, give_up

if TYPE_CHECKING:
    from mailstore.accounts import Account
    from mailstore.notices import Notices, Recipient
    from proxy.admin.noticing.facts import Facts, When
    from proxy.admin.noticing.sending import Counts, Standings
    from proxy.admin.noticing.texts import Texts
    from proxy.config import Config, Domain

_ANYBODY = "*"  # of --preview without a name


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line says."""

    domain: str | None
    reminder: bool
    to: tuple[str, ...]
    department: str | None
    preview: str | None
    write: Path | None
    send: bool
    relay: str | None
    again: bool
    since: str | None
    language: str
    date: str | None
    same_names: bool | None
    yes: bool
    as_json: bool

    @property
    def kind(self) -> Any:
        return "reminder" if self.reminder else "notice"

    @property
    def languages(self) -> Sequence[Any]:
        return ("zh", "en") if self.language == "both" else (self.language,)

    def check(self) -> None:
        """What makes no sense together is usage."""
        deeds = [self.preview is not None, self.write is not None, self.send]
        wrong = {
            "name the DOMAIN whose users are meant": self.domain is None,
            "--preview, --write and --send: give one of them": sum(deeds) > 1,
            "--date: say when the mail moves, such as --date 2026-12-05": any(deeds)
            and not self.reminder
            and self.date is None,
            "nobody is here to be asked: --yes says that it is to be sent": self.send
            and not self.yes
            and not sys.stdin.isatty(),
        }
        for text, is_so in wrong.items():
            if is_so:
                raise click.UsageError(text)

    def day(self) -> When | None:
        from proxy.admin.noticing.facts import when  # noqa: PLC0415

        if self.date is None:
            return None
        try:
            found = when(self.date)
        except ValueError as error:
            raise click.UsageError(f"--date: {error}") from None
        if found.day < datetime.now().date():
            raise click.UsageError(f"--date: {self.date} is over")
        return found

    def since_when(self) -> int:
        """Seconds since 1970; 0: what was sent counts whenever it was."""
        from proxy.config.durations import parse_duration  # noqa: PLC0415
        from proxy.config.mistakes import Unfit  # noqa: PLC0415

        if self.since is None:
            return 0
        try:
            return int(datetime.now(UTC).timestamp()) - parse_duration(self.since)
        except Unfit as error:
            raise click.UsageError(f"--since: {error}") from None


def _relay(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    from proxy.config.mistakes import Unfit  # noqa: PLC0415
    from proxy.config.names import check_relay  # noqa: PLC0415

    try:
        return None if value is None else check_relay(value)
    except Unfit as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.argument("domain", required=False)
@click.option("--reminder", is_flag=True, help="Remind those who have not logged in here yet.")
@click.option("--to", multiple=True, metavar="ACCOUNT", help="Only this user; may be given again.")
@click.option("--department", metavar="PATH", help="Only this department, with all that are below it.")
@click.option(
    "--preview",
    is_flag=False,
    flag_value=_ANYBODY,
    metavar="[ACCOUNT]",
    help="Show it as the first user would get it, or ACCOUNT.",
)
@click.option(
    "--write",
    type=click.Path(path_type=Path),
    metavar="DIRECTORY",
    help="Write it to a file for each user (.eml), in a new directory.",
)
@click.option("--send", is_flag=True, help="Send it, by the relay of the configuration.")
@click.option("--relay", callback=_relay, metavar="HOST:PORT", help="… or by this one.")
@click.option("--again", is_flag=True, help="Also to those who have had it, or of whom that is not known.")
@click.option(
    "--since", metavar="DURATION", help="What was sent longer ago (7d) does not count: for the next reminder."
)
@click.option("--language", type=click.Choice(["zh", "en", "both"]), default="both", help="Both, if not said.")
@click.option("--date", metavar="DATE", help="When the mail moves; of a reminder, when the old server is closed.")
@click.option(
    "--same-names/--new-names",
    default=None,
    help="Do users keep the server names that they have set? If not said: only if the old host is our own name.",
)
@click.option("--yes", is_flag=True, help="Do not ask before sending.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@config_option
def notify(**options: Any) -> None:
    """Tell the users of DOMAIN by mail when their mail moves, and what they have to do.

    Without --preview, --write or --send: say what would be sent to how many. Each sending is recorded, and nobody is
    sent the same twice, whatever ends the command: a second --send is to those who did not get it.
    """
    if options["domain"] is None and options["preview"] not in {None, _ANYBODY}:
        options |= {"domain": options["preview"], "preview": _ANYBODY}  # `--preview 123.com`
    wanted = Wanted(**options)
    wanted.check()
    day, since = wanted.day(), wanted.since_when()
    config = configuration()
    from mailstore.database import AccountsDatabase  # noqa: PLC0415 - SQLAlchemy takes a third of a second
    from mailstore.errors import MailstoreError  # noqa: PLC0415

    if not config.accounts_file.exists():
        raise give_up(f"{config.accounts_file} is not there: no accounts are known here yet; import them first")
    try:
        database = AccountsDatabase(config.accounts_file)
    except (MailstoreError, OSError) as error:
        raise give_up(f"{config.accounts_file}: {error}; run notify as the user of serve") from None
    try:
        _Errand(config, wanted, day, since, database).run()
    except MailstoreError as error:
        raise give_up(str(error)) from None
    finally:
        database.close()


class _Errand:
    """One command, once its options are understood."""

    def __init__(self, config: Config, wanted: Wanted, day: When | None, since: int, database: Any) -> None:
        from mailstore.accounts import Accounts  # noqa: PLC0415
        from mailstore.notices import Notices  # noqa: PLC0415
        from proxy.admin.chosen import NotServed, choose  # noqa: PLC0415

        self._config = config
        self._wanted = wanted
        self._day = day
        self._since = since
        self._accounts = Accounts(database)
        self._notices: Notices = Notices(database)
        try:
            chosen = choose(config, (), [wanted.domain or ""])
        except NotServed as error:
            raise give_up(str(error)) from None
        self._domain: Domain = config.domains[chosen.domains[0]]

    def run(self) -> None:
        wanted = self._wanted
        if wanted.preview is not None:
            self._preview(wanted.preview)
            return
        known = self._notices.mark()
        found = self._standings(self._names(wanted.to) if wanted.to else None)
        if wanted.write is not None:
            self._write(found, wanted.write)
        elif wanted.send:
            self._send(found, known)
        else:
            self._say(found)

    # Who is meant

    def _names(self, texts: Sequence[str]) -> list[str]:
        """Local parts. What is not known is told all at once."""
        from proxy.admin.chosen import NotServed, account_name  # noqa: PLC0415

        names, wrong = [], []
        for text in texts:
            try:
                name = account_name(self._config, text if "@" in text else f"{text}@{self._domain.name}")
            except NotServed as error:
                wrong.append(str(error))
                continue
            if name.domain != self._domain.name:
                wrong.append(f"{name} is not of {self._domain.name}")
            elif self._accounts.find(name.local, name.domain) is None:
                wrong.append(f"{name} is not known here")
            names.append(name.local)
        if wrong:
            raise give_up("; ".join(wrong))
        return names

    def _recipients(self, names: Sequence[str] | None) -> Any:
        from mailstore.notices import Choice  # noqa: PLC0415

        wanted = self._wanted
        department = "/".join(part.strip() for part in (wanted.department or "").split("/") if part.strip())
        choice = Choice(self._domain.name, names, department, newcomers=wanted.reminder)
        return self._notices.recipients(choice, wanted.kind, self._since)

    def _standings(self, names: Sequence[str] | None) -> Standings:
        from proxy.admin.noticing.sending import sort  # noqa: PLC0415

        return sort(self._recipients(names), again=self._wanted.again)

    # What they are told

    def _material(self) -> tuple[Facts, Texts]:
        from proxy.admin.noticing.facts import NothingToSay, facts  # noqa: PLC0415
        from proxy.admin.noticing.texts import BadTemplate, Texts  # noqa: PLC0415

        try:
            said = facts(self._config, self._domain, self._day, same_names=self._wanted.same_names)
            return said, Texts(self._wanted.kind, self._wanted.languages, self._config.notices.templates)
        except (NothingToSay, BadTemplate) as error:
            raise give_up(str(error)) from None

    def _checked(self, found: Standings) -> tuple[Facts, Texts, list[Account]]:
        """Every user's text rendered once: what is wrong for one of them is sent to nobody."""
        from proxy.admin.noticing.sending import check  # noqa: PLC0415
        from proxy.admin.noticing.texts import BadTemplate  # noqa: PLC0415

        if self._config.notices.sender is None:
            raise give_up('it is not said whom notices are from: add sender = "IT help desk <it@…>" to [notices]')
        said, texts = self._material()
        try:
            return said, texts, list(check(said, texts, (one.account for one in found.wanted)))
        except BadTemplate as error:
            raise give_up(f"{error}; nothing was sent or written") from None

    def _preview(self, who: str) -> None:
        from proxy.admin.noticing.message import body  # noqa: PLC0415
        from proxy.admin.noticing.texts import BadTemplate  # noqa: PLC0415

        said, texts = self._material()
        account = self._somebody(who)
        try:
            rendered = texts.render(said, account)
        except BadTemplate as error:
            raise give_up(str(error)) from None
        subject = " / ".join(text.subject for text in rendered)
        sender = self._config.notices.sender or "(notices.sender is not set)"
        if self._wanted.as_json:
            found = {"account": account.name, "from": sender, "subject": subject, "text": body(rendered)}
            click.echo(json.dumps({**found, "templates": texts.files}, ensure_ascii=False))
            return
        to = f"{account.full_name} <{account.name}>" if account.full_name else account.name
        click.echo(f"From: {sender}\nTo: {to}\nSubject: {subject}\n\n{body(rendered)}", nl=False)

    def _somebody(self, who: str) -> Account:
        if who == _ANYBODY:
            names = self._names(self._wanted.to) if self._wanted.to else None
            found: Recipient | None = next(self._recipients(names), None)
            if found is None:
                raise give_up(f"nobody of {self._domain.name} is to be told anything: {self._nobody()}")
            return found.account
        (local,) = self._names([who])
        account = self._accounts.find(local, self._domain.name)
        assert account is not None
        return account

    def _nobody(self) -> str:
        return "all have logged in" if self._wanted.reminder else "no such accounts are known here"

    # Files, and the relay

    def _write(self, found: Standings, directory: Path) -> None:
        from proxy.admin.noticing.message import compose  # noqa: PLC0415
        from proxy.admin.noticing.written import NotWritten, write  # noqa: PLC0415

        said, texts, accounts = self._checked(found)
        now = datetime.now().astimezone()
        mails = ((a.name, compose(self._config, a, texts.render(said, a), now)) for a in accounts)
        try:
            count = write(directory, mails)
        except NotWritten as error:
            raise give_up(str(error)) from None
        if self._wanted.as_json:
            click.echo(json.dumps({**self._figures(found), "written": count, "directory": str(directory)}))
        else:
            click.echo(f"{count} written to {directory}; nothing was sent, and nothing is recorded as sent")

    def _send(self, found: Standings, known: int) -> None:
        from proxy.admin.noticing.relay import Relay, RelayError  # noqa: PLC0415
        from proxy.admin.noticing.sending import Sending  # noqa: PLC0415
        from proxy.cli.notify_screen import Patience, telling  # noqa: PLC0415

        said, texts, accounts = self._checked(found)
        try:
            relay = Relay(self._config.notices, self._config.hostname, self._wanted.relay)
        except RelayError as error:
            raise give_up(str(error)) from None
        if not self._wanted.as_json:
            self._say(found, texts=texts, told=said, relay=relay.address)
        if accounts and not self._wanted.yes:
            click.confirm(f"Send it to {_users(len(accounts))} of {self._domain.name}?", abort=True, err=True)
        told = telling(len(accounts), quiet=self._wanted.as_json)
        with told, Patience() as waiting:
            run = Sending(
                self._config, self._wanted.kind, said, texts, self._notices, relay, told=told, waiting=waiting
            )
            counts = run.run(accounts, known)
        self._conclude(found, counts, told.troubles)

    def _conclude(self, found: Standings, counts: Counts, troubles: Sequence[tuple[str, str, str]]) -> None:
        if self._wanted.as_json:
            ended = {"sent": counts.sent, "refused": counts.refused, "left": counts.left, "stopped": counts.stopped}
            listed = [{"account": name, "outcome": what, "reason": why} for name, what, why in troubles]
            click.echo(json.dumps({**self._figures(found), **ended, "troubles": listed}, ensure_ascii=False))
        else:
            click.echo(
                f"{counts.sent} sent, {counts.refused} refused, {counts.unknown} not known, {counts.left} not sent"
            )
        if counts.stopped:
            raise give_up(f"{counts.stopped}; what was sent is recorded: run it again for the others")
        if counts.refused or counts.unknown or counts.left:
            raise click.exceptions.Exit(1)

    # What would be done

    def _figures(self, found: Standings) -> dict[str, Any]:
        return {
            "domain": self._domain.name,
            "kind": self._wanted.kind,
            "users": len(found.wanted) + len(found.had) + len(found.unknown),
            "to_send": len(found.wanted),
            "had_it": len(found.had),
            "not_known": [one.account.name for one in found.unknown],
            "refused_before": [
                {"account": one.account.name, "reason": one.refusal} for one in found.wanted if one.refusal
            ],
        }

    def _say(
        self, found: Standings, *, texts: Texts | None = None, told: Facts | None = None, relay: str | None = None
    ) -> None:
        from proxy.cli.notify_screen import summary  # noqa: PLC0415

        if self._wanted.as_json:
            click.echo(json.dumps(self._figures(found), ensure_ascii=False))
            return
        sending = texts is not None
        if texts is None and (self._day is not None or self._wanted.reminder):
            told, texts = self._material()
        for line in summary(
            found,
            kind=self._wanted.kind,
            domain=self._domain.name,
            languages=self._wanted.languages,
            date=self._day,
            sender=self._config.notices.sender,
            relay=relay or self._wanted.relay or self._config.notices.relay,
            rate=self._config.notices.rate,
            texts=texts,
            told=told,
        ):
            click.echo(line)
        if not sending:
            click.echo("nothing was sent: --preview shows it, --write DIRECTORY makes files of it, --send sends it")


def _users(count: int) -> str:
    return f"{count:,} user" + ("" if count == 1 else "s")
