"""`mailferry storage`: where mail, accounts, indexes and ledgers are kept."""

from __future__ import annotations

from itertools import islice
from typing import Final

import click

from proxy.cli import acting
from proxy.cli.options import config_option, configuration, give_up
from proxy.cli.rehash import missing, rehash
from proxy.cli.storage_copy import copy
from proxy.cli.store import opened, see_to_the_owner

_MOST_NAMED: Final = 5


@click.group()
def storage() -> None:
    """Where mail, accounts, indexes and ledgers are kept."""


storage.add_command(rehash)
storage.add_command(copy)


@storage.command()
@click.option("--force", is_flag=True, help="Also where mailboxes are missing: their users' mail is given up.")
@config_option
def claim(*, force: bool) -> None:
    """Say that the mail is where storage.maildir says: after it was brought there by hand, for instance to a new disk.

    Refused where an account that has mail has no mailbox there.
    """
    from mailstore.accounts import Accounts  # noqa: PLC0415 - SQLAlchemy takes a third of a second
    from mailstore.errors import MailstoreError  # noqa: PLC0415
    from proxy.login.whereabouts import mooring_of  # noqa: PLC0415

    config = configuration()
    see_to_the_owner(config)
    with opened(config) as database:
        if database is None:
            raise give_up("there are no accounts yet, and so no mail")
        try:
            accounts = Accounts(database)
            mooring = mooring_of(config, accounts)
            found = list(islice(missing(config, accounts), _MOST_NAMED + 1))
            if found and not force:
                more = ", and more" if len(found) > _MOST_NAMED else ""
                place = config.maildir_for(*found[0].rsplit("@", 1))
                raise give_up(
                    f"{', '.join(found[:_MOST_NAMED])}{more}: they have mail, and nothing is where storage.maildir "
                    f"says ({place}); nothing was changed"
                )
            acting.begin(config, "storage claim", top=str(config.maildir_root), layout=config.maildir_layout)
            mooring.claim()
        except (MailstoreError, OSError) as error:
            raise give_up(str(error)) from None
    click.echo(f"{config.maildir_root} is where the mail is, as {config.maildir_layout}")
