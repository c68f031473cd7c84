"""`mailferry serve`: the daemon, in the foreground."""

from __future__ import annotations

import click

from proxy.cli.options import config_option, configuration, mistakes_told


@click.command()
@config_option
def serve() -> None:
    """Run the daemon in the foreground, until SIGTERM or Ctrl-C."""
    from proxy.daemon.passed import from_systemd  # noqa: PLC0415 - Twisted takes the variables away when it is loaded

    sockets = from_systemd()
    from proxy.daemon import succession  # noqa: PLC0415 - installs Twisted's reactor

    handed_on = succession.handed_on()
    handed = None
    if handed_on is None:
        config = configuration()
    else:
        what, handed = handed_on
        with mistakes_told():
            config = succession.configuration_in(handed)
        if what == "trial":
            raise click.exceptions.Exit(succession.trial(config, handed))
    from proxy.daemon import service  # noqa: PLC0415 - all that a daemon is made of

    raise click.exceptions.Exit(service.serve(config, sockets, handed))
