"""Acts that change something are written down before they are done: see `proxy.admin.acts`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from proxy.cli.options import give_up

if TYPE_CHECKING:
    from proxy.admin.acts import Act
    from proxy.config import Config


def begin(config: Config, did: str, **about: Any) -> None:
    """To be called when everything is agreed to, and nothing is done yet. How it ends is written down when the command
    ends; what it asks of the daemon has the same `trace`. Where it cannot be written, the command ends."""
    from proxy.admin.acts import NAME, Act  # noqa: PLC0415

    try:
        act = Act(config.state, did, about)
    except OSError as error:
        path = config.state / NAME
        raise give_up(f"{path}: {error.strerror}; nothing was changed: what is done is written there first") from None
    click.get_current_context().with_resource(_ended(act))


@contextmanager
def _ended(act: Act) -> Iterator[None]:
    from proxy.wire import trace  # noqa: PLC0415

    status, before = 0, trace.current()
    trace.follow(act.trace)
    try:
        yield
    except click.exceptions.Exit as error:
        status = error.exit_code
        raise
    except BaseException:
        status = 1
        raise
    finally:
        trace.follow(before)
        try:
            act.end(status)
        except OSError as error:
            click.echo(f"mailferry: how it ended is not in the audit log: {error.strerror}", err=True)
