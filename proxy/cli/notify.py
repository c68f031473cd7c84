"""`mailferry notify`: tell a domain's users what is going to happen, or remind those who have not logged in yet.

Says what would be sent to how many; with --preview, --write or --send it does it. See `proxy.admin.noticing`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from proxy.cli.options import config_option, configuration, give_up

ANYBODY: Final = "*"  # of --preview without a name


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
    flag_value=ANYBODY,
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
    if options["domain"] is None and options["preview"] not in {None, ANYBODY}:
        options |= {"domain": options["preview"], "preview": ANYBODY}  # `--preview 123.com`
    from proxy.cli.wanted_notice import Wanted  # noqa: PLC0415 - what a usage error needs, and no more

    wanted = Wanted(**options)
    wanted.check()
    day, since = wanted.day(), wanted.since_when()
    config = configuration()
    from mailstore.errors import MailstoreError  # noqa: PLC0415
    from proxy.admin import databases  # noqa: PLC0415 - SQLAlchemy takes a third of a second
    from proxy.cli.notifying import Errand  # noqa: PLC0415
    from proxy.cli.store import cannot_open, is_there  # noqa: PLC0415

    if not is_there(config):
        raise give_up(f"{config.accounts_file} is not there: no accounts are known here yet; import them first")
    try:
        database = databases.accounts(config)
    except (MailstoreError, OSError) as error:
        raise cannot_open(config, error, "notify") from None
    try:
        Errand(config, wanted, day, since, database).run()
    except MailstoreError as error:
        raise give_up(str(error)) from None
    finally:
        database.close()
