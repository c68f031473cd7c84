"""`mailferry handoff dovecot`: Dovecot takes finished mailboxes over, in place; and back. See `proxy.admin.handing`."""

from __future__ import annotations

import grp
import json
import os
import pwd
import shlex
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from proxy.cli import acting
from proxy.cli.moored import see_that_mail_is_there
from proxy.cli.options import Text, config_option, configuration, give_up
from proxy.cli.store import made

if TYPE_CHECKING:
    from mailstore.accounts import Account, Accounts
    from proxy.admin.handing.choosing import Candidate
    from proxy.admin.handing.filed import Filed
    from proxy.admin.handing.run import Done, Handing
    from proxy.config import Config


@click.group()
def handoff() -> None:
    """Let another mail server take finished mailboxes over."""


class _Owner(click.ParamType[tuple[int, int]]):
    name = "user[:group]"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> tuple[int, int]:
        user, _, group = str(value).partition(":")
        try:
            about = pwd.getpwnam(user)
            return about.pw_uid, grp.getgrnam(group).gr_gid if group else about.pw_gid
        except KeyError:
            self.fail(f'"{value}" is no user, or no user and group, of this machine', parameter, context)


@dataclass(frozen=True, slots=True)
class _Order:
    """What is wanted."""

    named: tuple[str, ...]
    to: Path | None
    every: bool
    dry_run: bool
    as_json: bool
    owner: tuple[int, int] | None
    wait: float
    doveadm: str | None


@handoff.command()
@click.argument("named", nargs=-1, type=Text(), metavar="[DOMAIN|ACCOUNT]…")
@click.option("--to", type=click.Path(path_type=Path, file_okay=False), help="Where files for Dovecot go.")
@click.option("--undo", is_flag=True, help="Take them back, with what Dovecot did to them.")
@click.option("--all", "every", is_flag=True, help="Also accounts whose old server is still asked.")
@click.option("--owner", type=_Owner(), help="Whose the Maildirs are to be; otherwise they stay mailferry's.")
@click.option(
    "--wait",
    type=click.FloatRange(0, 86_400),
    default=90.0,
    show_default=True,
    metavar="SECONDS",
    help="How long sessions and moves are waited for.",
)
@click.option("--doveadm", metavar="COMMAND", help="With --undo: how Dovecot is told to end its sessions.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--json", "as_json", is_flag=True, help="What was done, as one JSON object.")
@config_option
def dovecot(
    named: tuple[str, ...],
    *,
    to: Path | None,
    undo: bool,
    every: bool,
    owner: tuple[int, int] | None,
    wait: float,
    doveadm: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Let Dovecot serve the final accounts of each DOMAIN, each ACCOUNT, or all, from the Maildirs that they have.

    Clients see what they saw: UIDs, UIDVALIDITY, flags, keywords, POP3's UIDLs, subscriptions, passwords. From then on
    they are refused here until --undo takes them back. It may be interrupted at any time: run it again.
    """
    if owner is not None and os.geteuid() != 0:
        raise click.UsageError("only root can give Maildirs away: run it as root, or without --owner")
    config = configuration()
    order = _Order(named, to, every, dry_run, as_json, owner, wait, doveadm)
    with made(config) as database, _told():
        from mailstore.accounts import Accounts  # noqa: PLC0415 - SQLAlchemy takes a third of a second
        from mailstore.people import People  # noqa: PLC0415
        from proxy.admin.handing.filed import Filed  # noqa: PLC0415

        see_that_mail_is_there(config)
        accounts = Accounts(database)
        found = _chosen(config, accounts, named)
        directory = (to or config.state / "dovecot").absolute()
        errand = _Errand(config, order, _handing(config, database, accounts, order), directory)
        errand.filed = Filed(directory, config, accounts, People(database))
        if not dry_run:
            acting.begin(config, "handoff", **_about(found), to=str(directory), undo=undo)
        why = errand.undo(found) if undo else errand.hand_over(found)
    if why:
        raise give_up(why)


@contextmanager
def _told() -> Iterator[None]:
    from mailstore.errors import MailstoreError  # noqa: PLC0415

    try:
        yield
    except (MailstoreError, ValueError) as error:
        raise give_up(str(error)) from None
    except OSError as error:
        raise give_up(f"{error.filename or 'a file'}: {error.strerror or error}") from None


def _about(found: Sequence[Account]) -> dict[str, Any]:
    from proxy.admin.acts import some  # noqa: PLC0415

    return some([account.name for account in found])


def _chosen(config: Config, accounts: Accounts, named: tuple[str, ...]) -> list[Account]:
    """Those that were named, and all of the domains that were."""
    from proxy.admin.chosen import NotServed, choose  # noqa: PLC0415

    try:
        chosen = choose(config, named, everything=not named)
    except NotServed as error:
        raise give_up(str(error)) from None
    found, unknown = list(chosen.of_domains(accounts)), []
    for name, account in chosen.named(accounts):
        if account is None:
            unknown.append(str(name))
        else:
            found.append(account)
    if unknown:
        raise give_up(f"not known here: {', '.join(unknown)}")
    return list({account.id: account for account in found}.values())


def _handing(config: Config, database: Any, accounts: Accounts, order: _Order) -> Handing:
    from mailstore.custody import Custody  # noqa: PLC0415
    from proxy.admin.databases import mailboxes  # noqa: PLC0415
    from proxy.admin.handing.run import Handing  # noqa: PLC0415

    return Handing(config, accounts, Custody(database), mailboxes(database), owner=order.owner, wait=order.wait)


class _Errand:
    """The command, once."""

    filed: Filed

    def __init__(self, config: Config, order: _Order, handing: Handing, directory: Path) -> None:
        self._config = config
        self._order = order
        self._handing = handing
        self._directory = directory
        self._done: list[Done] = []

    def hand_over(self, found: Sequence[Account]) -> str:
        """Gives back why it did not work."""
        from proxy.admin.handing.choosing import to_hand_over  # noqa: PLC0415

        candidates = list(to_hand_over(self._config, found, every=self._order.every))
        if self._order.dry_run:
            self._tell(map(self._handing.rehearse, candidates), "would be handed over", "handed over already")
            return self._end("would not be handed over")
        self.filed.make()
        self._see_to_the_way()
        self._tell(self._handing.hand_over(candidates), "handed over", "handed over already")
        self._file()
        return self._end("are not handed over")

    def _see_to_the_way(self) -> None:
        """Can another user pass through to the Maildirs? Rights that only an ACL gives are not seen."""
        owner = self._order.owner
        root = self._config.maildir_root
        for path in [*reversed(root.parents), root] if owner is not None else ():
            about = path.stat()
            if not about.st_mode & 0o001 and owner is not None and owner[0] != about.st_uid:
                click.echo(f"mailferry: {path} may let the Maildirs' owner not pass: chmod o+x, or setfacl", err=True)

    def _file(self) -> None:
        new = {one.account.name: one.handed_over.after for one in self._done if one.handed_over is not None}
        before = {one.account.name: one.account for one in self._done if one.already}
        for name in self.filed.without_after(before):  # of a time that was interrupted
            new[name] = self._handing.survey_of_gone(before[name]).after
        self.filed.write_after(new)
        for name in self.filed.write_uses(each for folders in new.values() for each in folders):
            self._say(f"  what {name} is for its name keeps out of Dovecot's configuration")
        count = self.filed.write_users()
        self.filed.write_configurations(self._order.owner[0] if self._order.owner else self._config.state.stat().st_uid)
        self._say(f"{self._directory}/users has {count:,} accounts; dovecot-2.3.conf and dovecot-2.4.conf fit to it")
        if new:
            self._say(f"once Dovecot runs with it, as root: {self._directory}/after.sh")

    def undo(self, found: Sequence[Account]) -> str:
        from proxy.admin.handing.choosing import to_take_back  # noqa: PLC0415

        candidates = list(to_take_back(self._config, found))
        if self._order.named == ():
            candidates = [each for each in candidates if not each.done]
        if self._order.dry_run:
            self._tell(map(_as_it_would_be, candidates), "would be taken back", "not handed over")
            return self._end("would not be taken back")
        self.filed.make()
        ended = [self._handing.recall(candidate) for candidate in candidates]
        going = [each.account for each, done in zip(candidates, ended, strict=True) if done is None]
        self._tell(filter(None, ended), "", "not handed over")
        self.filed.write_users()
        self._end_sessions(going)
        self._tell(map(self._handing.take_back, going), "taken back", "not handed over")
        self.filed.write_after({}, [one.account.name for one in self._done if not one.why])
        return self._end("are not taken back")

    def _end_sessions(self, going: Sequence[Account]) -> None:
        """Dovecot lets nobody in any more; who is in must leave."""
        if not going:
            return
        if self._order.doveadm is None:
            click.echo(
                "mailferry: Dovecot must have ended its sessions of these accounts: `doveadm auth cache flush`, "
                "`doveadm kick ACCOUNT`; --doveadm does it",
                err=True,
            )
            return
        command = shlex.split(self._order.doveadm)
        for words in (["auth", "cache", "flush"], *(["kick", account.name] for account in going)):
            ran = subprocess.run([*command, *words], capture_output=True, text=True, check=False)  # noqa: S603
            # status 68: there was none (EX_NOHOST)
            if ran.returncode not in {0, 68}:
                raise ValueError(f"`{shlex.join([*command, *words])}`: {ran.stderr.strip() or ran.returncode}")

    # What is told

    def _tell(self, done: Iterable[Done], word: str, already: str) -> None:
        for one in done:
            self._done.append(one)
            text = one.why or (already if one.already else word + _figures(one))
            self._say(f"{one.account.name}  {text}")
            for remark in one.remarks:
                self._say(f"  {remark}")

    def _say(self, text: str) -> None:
        if not self._order.as_json:
            click.echo(text)

    def _end(self, what: str) -> str:
        left = sum(bool(one.why) for one in self._done)
        if self._order.as_json:
            values = {"directory": str(self._directory), "accounts": [_as_json(one) for one in self._done]}
            click.echo(json.dumps(values, indent=2, ensure_ascii=False))
        return f"{left:,} of {len(self._done):,} accounts {what}" if left else ""


def _as_it_would_be(candidate: Candidate) -> Done:
    from proxy.admin.handing.run import Done  # noqa: PLC0415

    return Done(candidate.account, candidate.why_not, already=candidate.done)


def _figures(one: Done) -> str:
    over, back = one.handed_over, one.inherited
    if over is not None:
        more = f", {over.keywords_left} keywords by after.sh" if over.keywords_left else ""
        return f": {over.folders:,} folders, {over.messages:,} messages, {over.octets:,} octets{more}"
    if back is not None:
        parts = {"new": back.messages, "removed": back.removed, "changed": back.flagged, "renumbered": back.renumbered}
        said = ", ".join(f"{count:,} {name}" for name, count in parts.items() if count)
        return f": {said or 'as it was'}"
    return ""


def _as_json(one: Done) -> dict[str, Any]:
    over, back = one.handed_over, one.inherited
    values: dict[str, Any] = {"account": one.account.name, "done": not one.why, "already": one.already, "why": one.why}
    if over is not None:
        values |= {"folders": over.folders, "messages": over.messages, "bytes": over.octets}
        values |= {"keywords_left": over.keywords_left}
    if back is not None:
        values |= {"new": back.messages, "removed": back.removed, "changed": back.flagged}
        values |= {"renumbered": back.renumbered, "unnumbered": back.unnumbered}
    return values | {"remarks": list(one.remarks)}
