"""What `mailferry notify` does: say what would be sent, show it, write it to files, or send it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from mailstore.accounts import Account, Accounts
from mailstore.database import AccountsDatabase
from mailstore.notices import Choice, Notices, Recipient
from proxy.admin.acts import some
from proxy.admin.chosen import NotServed, account_name, choose
from proxy.admin.noticing.facts import Facts, NothingToSay, When, facts
from proxy.admin.noticing.letter import letter
from proxy.admin.noticing.message import compose
from proxy.admin.noticing.relay import Relay, RelayError
from proxy.admin.noticing.sending import Counts, Sending, Standings, check, sort
from proxy.admin.noticing.texts import BadTemplate, Texts
from proxy.admin.noticing.written import NotWritten, write
from proxy.cli import acting
from proxy.cli.notify import ANYBODY
from proxy.cli.notify_screen import Patience, summary, telling
from proxy.cli.options import give_up
from proxy.cli.wanted_notice import Wanted
from proxy.config import Config


class Errand:
    """One command, once its options are understood."""

    def __init__(
        self, config: Config, wanted: Wanted, day: When | None, since: int | None, database: AccountsDatabase
    ) -> None:
        self._config = config
        self._wanted = wanted
        self._day = day
        self._since = 0 if since is None else int(database.time()) - since
        self._accounts = Accounts(database)
        self._notices = Notices(database)
        try:
            chosen = choose(config, (), [wanted.domain or ""])
        except NotServed as error:
            raise give_up(str(error)) from None
        self._domain = config.domains[chosen.domains[0]]

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

    def _recipients(self, names: Sequence[str] | None) -> Iterator[Recipient]:
        wanted = self._wanted
        department = "/".join(part.strip() for part in (wanted.department or "").split("/") if part.strip())
        choice = Choice(self._domain.name, names, department, newcomers=wanted.reminder)
        return self._notices.recipients(choice, wanted.kind, self._since)

    def _standings(self, names: Sequence[str] | None) -> Standings:
        return sort(self._recipients(names), again=self._wanted.again)

    # What they are told

    def _material(self) -> tuple[Facts, Texts]:
        try:
            said = facts(self._config, self._domain, self._day, same_names=self._wanted.same_names)
            return said, Texts(self._wanted.kind, self._wanted.languages, self._config.notices.templates)
        except (NothingToSay, BadTemplate) as error:
            raise give_up(str(error)) from None

    def _checked(self, found: Standings) -> tuple[Facts, Texts, list[Account]]:
        """Every user's text rendered once: what is wrong for one of them is sent to nobody."""
        if self._config.notices.sender is None:
            raise give_up('it is not said whom notices are from: add sender = "IT help desk <it@…>" to [notices]')
        said, texts = self._material()
        try:
            return said, texts, list(check(said, texts, (one.account for one in found.wanted)))
        except BadTemplate as error:
            raise give_up(f"{error}; nothing was sent or written") from None

    def _preview(self, who: str) -> None:
        said, texts = self._material()
        account = self._somebody(who)
        try:
            rendered = texts.render(said, account)
        except BadTemplate as error:
            raise give_up(str(error)) from None
        shown = letter(self._config, account, rendered)
        sender = shown.sender or "(notices.sender is not set)"
        if self._wanted.as_json:
            found = {"account": account.name, "from": sender, "subject": shown.subject, "text": shown.text}
            click.echo(json.dumps({**found, "templates": texts.files}, ensure_ascii=False))
            return
        click.echo(f"From: {sender}\nTo: {shown.to}\nSubject: {shown.subject}\n\n{shown.text}", nl=False)

    def _somebody(self, who: str) -> Account:
        if who == ANYBODY:
            names = self._names(self._wanted.to) if self._wanted.to else None
            found = next(self._recipients(names), None)
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
        said, texts, accounts = self._checked(found)
        try:
            relay = Relay(self._config.notices, self._config.hostname, self._wanted.relay)
        except RelayError as error:
            raise give_up(str(error)) from None
        if not self._wanted.as_json:
            self._say(found, texts=texts, told=said, relay=relay.address)
        if accounts and not self._wanted.yes:
            click.confirm(f"Send it to {_users(len(accounts))} of {self._domain.name}?", abort=True, err=True)
        if accounts:
            about = {"domain": self._domain.name, "kind": self._wanted.kind, **some([one.name for one in accounts])}
            acting.begin(self._config, "notify", **about)
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
            "languages": list(self._wanted.languages),
            "date": self._wanted.date,
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
