"""`mailferry drain`: take this node out of service so that no user notices, and `--undo`: put it back.

The daemon does it (`proxy.daemon.draining`); this command leaves the wish in the state directory, where it stays until
it is undone: also over a restart of the daemon, so that an upgraded node can be looked at before it gets clients.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Final

import click

from proxy.cli import acting
from proxy.cli.options import config_option, configuration, give_up

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.cli.drained import Drain
    from proxy.config import Config
    from proxy.daemon.drain_file import Wish

LOOK: Final = 0.5  # seconds


class _Duration(click.ParamType[int]):
    """As in the configuration: "15s", "5m"."""

    name = "duration"

    def convert(self, value: str, parameter: click.Parameter | None, context: click.Context | None) -> int:
        from proxy.config.durations import parse_duration  # noqa: PLC0415 - with pydantic's package around it
        from proxy.config.mistakes import Unfit  # noqa: PLC0415

        try:
            return parse_duration(value)
        except Unfit as error:
            self.fail(str(error), parameter, context)


@click.command()
@click.option("--undo", is_flag=True, help="Put it back into service.")
@click.option("--wait", is_flag=True, help="Wait until nobody is left on it.")
@click.option("--grace", type=_Duration(), help="For how long nothing changes but its health check's answer; 15s.")
@click.option("--within", type=_Duration(), help="… and in how long after that all sessions and moves are ended; 5m.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object: how far it is.")
@config_option
def drain(*, undo: bool, wait: bool, grace: int | None, within: int | None, as_json: bool) -> None:
    """Take this node out of service, so that no user notices: for an upgrade, or to switch it off.

    Its health check (/readyz) says so at once, and HAProxy sends new clients to other nodes. Sessions are ended when
    they idle, and moves at their last barriers; another node goes on with them. Then it can be stopped.
    """
    if undo and (wait or grace is not None or within is not None):
        raise click.UsageError("--undo is done at once: leave the other options out")
    config = configuration()
    try:
        if undo:
            acting.begin(config, "drain --undo")
            _undo(config.state, as_json=as_json)
            return
        from proxy.daemon.drain_file import GRACE, WITHIN, Wish, wish_of  # noqa: PLC0415

        asked = grace is not None or within is not None
        wish = Wish(int(time.time()), GRACE if grace is None else grace, WITHIN if within is None else within)
        if asked or wish_of(config.state) is None:
            _ask(config, wish, as_json=as_json)
        found = _waited(config.state) if wait else _now(config.state)
    except OSError as error:
        raise give_up(f"{config.state}: {error.strerror}; run it as the user of serve") from None
    except KeyboardInterrupt:
        raise give_up("it goes on draining; mailferry status says how far it is") from None
    _show(found, as_json=as_json)


def _ask(config: Config, wish: Wish, *, as_json: bool) -> None:
    from proxy.config.durations import spell  # noqa: PLC0415
    from proxy.daemon import drain_file  # noqa: PLC0415

    acting.begin(config, "drain", grace=wish.grace, within=wish.within)
    drain_file.wish(config.state, wish)
    if not as_json:
        click.echo("health checks (/readyz) are told that this node is drained")
        click.echo(
            f"in {spell(wish.grace)} sessions that idle begin to be ended, and all are {spell(wish.within)} later"
        )


def _undo(state: Path, *, as_json: bool) -> None:
    from proxy.daemon import drain_file  # noqa: PLC0415

    was = drain_file.undo(state)
    if as_json:
        click.echo(json.dumps({"draining": None}))
    else:
        click.echo("back in service" if was else "it was not being drained")


def _now(state: Path) -> Drain | None:
    from proxy.cli.drained import drain_of  # noqa: PLC0415

    return drain_of(state)


def _waited(state: Path) -> Drain | None:
    """How it stands when nobody is left; or when no daemon runs; or the wish was taken back."""
    from proxy.daemon.alone import at_work  # noqa: PLC0415

    shown = ""
    while (found := _now(state)) is not None and not found.done and at_work(state):
        if sys.stderr.isatty() and found.line() != shown:
            shown = found.line()
            click.echo(shown, err=True)
        time.sleep(LOOK)
    return found


def _show(found: Drain | None, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"draining": None if found is None else found.as_json()}))
    else:
        click.echo("it is in service: somebody has undone it" if found is None else found.line())
