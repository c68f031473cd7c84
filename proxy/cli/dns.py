"""`mailferry dns`: what a domain's records should be, and whether they are, at who knows and at who asks them.

Changes nothing in DNS. What it saw it writes down beside the accounts database, to tell at the next look what was there
before. What was asked for in the console it goes by, too, where no flag says otherwise.
"""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import click

from proxy.cli.options import config_option, configuration, give_up

if TYPE_CHECKING:
    from proxy.admin.dns.asked import Given
    from proxy.admin.dns.looking import Look, Looker
    from proxy.admin.dns.records import Server
    from proxy.config import Config
    from proxy.config.model import Domain

EVERY: Final = 30  # seconds between two looks of --watch
FLAGS: Final = {"addresses": "--address", "hosts": "--host", "mx": "--mx", "spf": "--spf", "resolvers": "--resolver"}


@click.command()
@click.argument("domain")
@click.option(
    "--resolver", "resolvers", multiple=True, metavar="ADDR[:PORT]", help="Ask this one too; may be repeated."
)
@click.option(
    "--mx", multiple=True, metavar="HOST", help="Where MX should lead; the first is preferred. Else it stays."
)
@click.option("--spf", multiple=True, metavar="TEXT", help='What SPF should permit too, such as "ip4:192.0.2.1".')
@click.option(
    "--address", "addresses", multiple=True, metavar="ADDR", help="This server's address, as the world sees it."
)
@click.option(
    "--host", "hosts", multiple=True, metavar="NAME", help="A name that users have and that should lead here."
)
@click.option("--no-remembered", is_flag=True, help="Do not go by what was asked for in the console.")
@click.option("--zone", is_flag=True, help="What should be, to paste into the zone.")
@click.option("--watch", is_flag=True, help="Look again until all is as it should be.")
@click.option("--every", default=EVERY, type=click.IntRange(1, 3600), show_default=True, help="Seconds, for --watch.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object; with --watch one a line.")
@click.option("--authority", hidden=True, help="ADDR:PORT of a server that stands for all authoritative ones.")
@click.option("--authority-port", default=53, type=click.IntRange(1, 65_535), hidden=True)
@config_option
def dns(domain: str, *, zone: bool, watch: bool, every: int, as_json: bool, **options: Any) -> None:
    """Say what the records of DOMAIN should be, and whether they are.

    The authoritative servers are asked, each by itself, and the resolvers of the configuration (or this machine's).
    Status 0 when all is as it should be, 1 when not.
    """
    config = configuration()
    from proxy.admin.dns.delegation import NotFound  # noqa: PLC0415 - dnspython takes a tenth of a second

    looker = _looker(config, domain, caches=not zone, **options)
    try:
        if watch:
            _watch(looker, every, as_json=as_json)
            return
        look = looker.look(int(time.time()))
    except NotFound as error:
        raise give_up(str(error)) from None
    except KeyboardInterrupt:
        click.echo()
        raise click.exceptions.Exit(1) from None
    if zone:
        _paste(look, config)
        return
    _show(look, as_json=as_json)
    if not look.right:
        raise click.exceptions.Exit(1)


def _looker(
    config: Config,
    domain: str,
    *,
    authority: str | None,
    authority_port: int,
    no_remembered: bool,
    caches: bool,
    **given: tuple[str, ...],
) -> Looker:
    """What was asked for, understood; otherwise the command ends."""
    from proxy.admin.dns.asked import FIELDS, Given, looker, understood  # noqa: PLC0415
    from proxy.config.mistakes import meant  # noqa: PLC0415

    served = config.spellings.get(domain.lower().rstrip("."))
    if served is None:
        raise give_up(f'"{domain}" is not served here{meant(domain.lower(), config.domains)}')
    try:
        asked = Given(**{field: understood(field, given[field]) for field in FIELDS})
        fixed = _fixed(authority) if authority is not None else None
    except ValueError as error:  # NotMeant and Unfit are
        raise click.UsageError(str(error)) from None
    if not no_remembered:
        asked = _with_remembered(config, config.domains[served], asked)
    return looker(config, config.domains[served], asked, port=authority_port, fixed=fixed, caches=caches)


def _with_remembered(config: Config, domain: Domain, asked: Given) -> Given:
    """What the console was asked for beside that, which is said."""
    from proxy.admin.dns.asked import FIELDS, remembered  # noqa: PLC0415

    try:
        known = remembered(config.state, domain)
    except OSError as error:
        click.echo(f"mailferry: what was asked for in the console cannot be read: {error.strerror}", err=True)
        return asked
    added = [(FLAGS[field], text) for field in FIELDS if not asked.of(field) for text in known.of(field)]
    if added:
        flags = shlex.join(word for pair in added for word in pair)
        click.echo(f"mailferry: as asked for in the console: {flags} (--no-remembered goes without)", err=True)
    return asked.or_else(known)


def _fixed(text: str) -> Server:
    from proxy.admin.dns.records import Server  # noqa: PLC0415
    from proxy.config.names import resolver_address  # noqa: PLC0415

    address, port = resolver_address(text)
    return Server("authority", address, port, authority=True)


def _paste(look: Look, config: Config) -> None:
    """The snippet on standard output; on standard error what it could not hold."""
    from proxy.admin.dns.zone import snippet  # noqa: PLC0415

    click.echo(snippet(look, config.hostname), nl=False)
    mistakes = [remark.text for remark in look.remarks if remark.weight == "mistake"]
    for text in mistakes:
        click.echo(f"mailferry: {text}", err=True)


def _show(look: Look, *, as_json: bool) -> None:
    if as_json:
        from proxy.cli.dns_text import as_json as spelled  # noqa: PLC0415

        click.echo(json.dumps(spelled(look), ensure_ascii=False))
    elif sys.stdout.isatty():
        from rich.console import Console  # noqa: PLC0415

        from proxy.cli.dns_screen import render  # noqa: PLC0415

        Console().print(render(look))
    else:
        from proxy.cli.dns_text import lines  # noqa: PLC0415

        for line in lines(look):
            click.echo(line)


def _watch(looker: Looker, every: int, *, as_json: bool) -> None:
    """Until all is right. Raises NotFound where the first look finds nobody to ask; KeyboardInterrupt."""
    if not as_json and sys.stdout.isatty():
        from rich.live import Live  # noqa: PLC0415

        from proxy.cli.dns_screen import render, render_brief  # noqa: PLC0415

        with Live(auto_refresh=False, transient=True) as live:
            for look in _looks(looker, every):
                live.update(render_brief(look), refresh=True)
        live.console.print(render(look))
        return
    said: list[str] = []
    for look in _looks(looker, every):
        said = _show_changes(look, said, as_json=as_json)


def _looks(looker: Looker, every: int) -> Iterator[Look]:
    """One after the other; the last one is right. When nobody can be asked for a while, that is not the end."""
    from proxy.admin.dns.delegation import NotFound  # noqa: PLC0415

    look = looker.look(int(time.time()))
    yield look
    while not look.right:
        time.sleep(every)
        try:
            look = looker.look(int(time.time()))
        except NotFound as error:
            click.echo(f"mailferry: {error}", err=True)
            continue
        yield look


def _show_changes(look: Look, said: list[str], *, as_json: bool) -> list[str]:
    """One object a line; for a person the whole the first time, and then what is new. Gives back what is known now."""
    from proxy.cli.dns_text import headline, lines  # noqa: PLC0415

    now = list(lines(look))[1:]
    if as_json or not said:
        _show(look, as_json=as_json)
    elif now != said:
        click.echo(headline(look))
        for line in now:
            if line not in said and not line.startswith("    "):
                click.echo(line)
    sys.stdout.flush()
    return now
