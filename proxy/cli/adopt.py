"""`mailferry adopt`: another server's Maildirs become accounts here. See `proxy.admin.adopting`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from proxy.cli import acting
from proxy.cli.options import Text, config_option, configuration, give_up
from proxy.cli.store import made

if TYPE_CHECKING:
    from proxy.admin.adopting import Adopted, Adopting, Passwords
    from proxy.config import Config
    from proxy.login.names import Name


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--account", type=Text(), help="Whose DIRECTORY is, which is a Maildir.")
@click.option("--tree", metavar="PATTERN", help='Maildirs below DIRECTORY: "{domain}/{local}/Maildir".')
@click.option("--domain", type=Text(), help="The domain, where PATTERN has none.")
@click.option("--in-place", is_flag=True, help="Move the files, within their file system, in place of copying them.")
@click.option(
    "--passwords", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Dovecot's passwd-file."
)
@click.option(
    "--names",
    type=click.Choice(["auto", "utf-7", "utf-8"]),
    default="auto",
    show_default=True,
    help="How folders' names are written on the disk.",
)
@click.option("--escape", default="", metavar="CHARACTER", help="The listescape_char of Dovecot.")
@click.option(
    "--uidl-format",
    default="%08Xu%08Xv",
    show_default=True,
    help="The pop3_uidl_format of Dovecot 2.3: %u, %v and %f can be told from a Maildir.",
)
@click.option("--dry-run", is_flag=True, help="Only say what is there.")
@click.option("--json", "as_json", is_flag=True, help="What was done, as one JSON object.")
@config_option
def adopt(
    directory: Path,
    *,
    account: str | None,
    tree: str | None,
    domain: str | None,
    in_place: bool,
    passwords: Path | None,
    names: str,
    escape: str,
    uidl_format: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Take Dovecot's or Courier's Maildir DIRECTORY for an account, or each Maildir below it.

    Clients see what they saw there: UIDs, UIDVALIDITY, flags, keywords, POP3's UIDLs, dates, subscriptions. The other
    server has to be stopped, or to let these users in no more. The accounts are final. It may be interrupted at any
    time: run it again.
    """
    if (account is None) == (tree is None):
        raise click.UsageError("say whose it is by --account, or by --tree")
    config = configuration()
    from mailstore.errors import MailstoreError  # noqa: PLC0415 - SQLAlchemy takes a third of a second
    from mailstore.inheritance.tree import Manner  # noqa: PLC0415
    from proxy.admin.adopting import CannotAdopt, Passwords, read_passwords  # noqa: PLC0415

    try:
        chosen, left = _chosen(config, directory.absolute(), account, tree, domain)
        known = Passwords({}, {}) if passwords is None else read_passwords(passwords, config)
    except (CannotAdopt, OSError) as error:
        raise give_up(str(error)) from None
    with made(config) as database:
        from mailstore.accounts import Accounts  # noqa: PLC0415
        from mailstore.custody import Custody  # noqa: PLC0415
        from proxy.admin.adopting import Adopting  # noqa: PLC0415
        from proxy.admin.databases import mailboxes  # noqa: PLC0415
        from proxy.login.whereabouts import mooring_of  # noqa: PLC0415

        accounts = Accounts(database)
        mooring = mooring_of(config, accounts)
        adopting = Adopting(
            config,
            accounts,
            Custody(database),
            mailboxes(database),
            manner=Manner(names, escape, uidl_format),
            in_place=in_place,
            passwords=known.hashes,
            clock=database.time,
        )
        if not dry_run:
            acting.begin(config, "adopt", directory=str(directory), in_place=in_place, **_about(chosen))
        try:
            mooring.look()
            if not dry_run:
                mooring.hold()
            done = list(_each(adopting, chosen, known, dry_run=dry_run, quiet=as_json))
        except MailstoreError as error:
            raise give_up(str(error)) from None
    _end(done, left, as_json=as_json, dry_run=dry_run)


def _about(chosen: list[tuple[Path, Name]]) -> dict[str, Any]:
    from proxy.admin.acts import some  # noqa: PLC0415

    return some([str(name) for _, name in chosen])


def _chosen(
    config: Config, directory: Path, account: str | None, tree: str | None, domain: str | None
) -> tuple[list[tuple[Path, Name]], list[Path]]:
    """The Maildirs with their accounts, and those that are of nobody who is served here."""
    from proxy.admin.adopting import in_tree  # noqa: PLC0415
    from proxy.admin.chosen import NotServed, account_name  # noqa: PLC0415

    if account is not None:
        try:
            return [(directory, account_name(config, account))], []
        except NotServed as error:
            raise give_up(str(error)) from None
    assert tree is not None
    chosen, left = [], []
    for path, name in in_tree(directory, tree, config, domain):
        if name is None:
            left.append(path)
        else:
            chosen.append((path, name))
    if not chosen:
        raise give_up(f"there is nothing below {directory} that is like {tree}, of a domain that is served here")
    return chosen, left


def _each(
    adopting: Adopting, chosen: list[tuple[Path, Name]], known: Passwords, *, dry_run: bool, quiet: bool
) -> Iterator[Adopted]:
    for path, name in chosen:
        one = adopting.rehearse(path, name) if dry_run else adopting.adopt(path, name)
        scheme = known.unusable.get(str(name))
        if scheme is not None and not one.why:
            one.remarks.append(f"its password is kept as {scheme}, which is of no use here")
        if not quiet:
            click.echo(f"{one.name}  {one.why or _figures(one, dry_run=dry_run)}")
            for remark in one.remarks:
                click.echo(f"  {remark}")
        yield one


def _figures(one: Adopted, *, dry_run: bool) -> str:
    text = "to be adopted" if dry_run else "adopted"
    text += f": {one.folders:,} folders, {one.messages:,} messages"
    lists = ", ".join(sorted(one.kinds)) or "no list of UIDs"
    new = f", {one.unnumbered:,} with new UIDs" if one.unnumbered else ""
    password = "" if one.password else "; no password is known: `mailferry accounts passwd`"
    return f"{text}{new} ({lists}){password}"


def _end(done: list[Adopted], left: list[Path], *, as_json: bool, dry_run: bool) -> None:
    failed = sum(bool(one.why) for one in done)
    if as_json:
        values = [asdict(one) | {"source": str(one.source), "kinds": dict(one.kinds)} for one in done]
        click.echo(json.dumps({"accounts": values, "left": list(map(str, left))}, indent=2, ensure_ascii=False))
    else:
        for path in left:
            click.echo(f"{path}  left: its domain is not served here, or its name can be no account's")
    if failed or left:
        what = "would not be adopted" if dry_run else "were not adopted"
        raise give_up(f"{failed + len(left):,} of {len(done) + len(left):,} Maildirs {what}")
