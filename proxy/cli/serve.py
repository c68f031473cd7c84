"""`mailferry serve`: the daemon, in the foreground."""

from __future__ import annotations

import click

from proxy.cli.options import config_option, configuration


@click.command()
@config_option
def serve() -> None:
    """Run the daemon in the foreground, until SIGTERM or Ctrl-C."""
    config = configuration()
    from proxy.daemon import service  # noqa: PLC0415 - installs Twisted's reactor

    raise click.exceptions.Exit(service.serve(config))
