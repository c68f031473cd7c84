"""The command `mailferry`: one group, a file for each command.

Commands import what they need when they run: `mailferry --help` loads click and nothing else, and a command that
needs no daemon loads none. Exit status (DESIGN.md, "The command line"): 0 done; 1 it did not work, with the
reason on standard error; 2 usage or configuration.
"""

from __future__ import annotations

import gc

import click

from proxy.cli.accounts import accounts
from proxy.cli.admin import admin
from proxy.cli.adopt import adopt
from proxy.cli.backup import backup
from proxy.cli.check import check
from proxy.cli.demo import demo
from proxy.cli.discover import discover
from proxy.cli.dns import dns
from proxy.cli.doctor import doctor
from proxy.cli.drain import drain
from proxy.cli.finalize import finalize, unfinalize
from proxy.cli.handoff import handoff
from proxy.cli.init import init
from proxy.cli.migrate import migrate, retry
from proxy.cli.notify import notify
from proxy.cli.options import config_option
from proxy.cli.pause import pause, resume
from proxy.cli.probe import probe
from proxy.cli.restore import restore
from proxy.cli.restore_legacy import restore_legacy
from proxy.cli.rotate_key import rotate_key
from proxy.cli.serve import serve
from proxy.cli.status import status
from proxy.cli.storage import storage
from proxy.cli.verify import verify


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mailferry", prog_name="mailferry")
@config_option
def main() -> None:
    """A POP3 and IMAP server that carries each user's old mailbox over at the first login."""
    # What a command loads stays, and is much: to look through it for garbage again and again is a tenth of its start.
    gc.set_threshold(20_000, 20, 20)


for command in (
    *(init, serve, check, accounts, discover, probe, dns, notify, status, migrate, pause, resume, retry, verify),
    *(finalize, unfinalize, handoff, adopt, restore_legacy, backup, restore, rotate_key, storage, drain, doctor),
    *(admin, demo),
):
    main.add_command(command)

if __name__ == "__main__":
    main(prog_name="mailferry")
