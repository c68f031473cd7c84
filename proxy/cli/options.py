"""What all commands share: which configuration they use, and how they say what went wrong."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from proxy.config import Config

F = TypeVar("F", bound=Callable[..., Any])

USUAL: Final = Path("/etc/mailferry/mailferry.toml")
VARIABLE: Final = "MAILFERRY_CONFIG"
_KEY: Final = "proxy.cli.config"


def _remember(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.find_root().meta[_KEY] = value


def config_option(command: F) -> F:
    """`--config FILE`, before or after the command's name; the last one counts."""
    option = click.option(
        "--config",
        metavar="FILE",
        expose_value=False,
        callback=_remember,
        help=f"The configuration; otherwise ${VARIABLE}, otherwise {USUAL}.",
    )
    return option(command)


def config_file() -> Path:
    """The file that is meant."""
    named = click.get_current_context().find_root().meta.get(_KEY)
    return Path(named or os.environ.get(VARIABLE) or USUAL)


def configuration() -> Config:
    """The configuration, loaded; with mistakes in it the command ends with status 2 and all of them listed."""
    from proxy.config import ConfigErrors, load  # noqa: PLC0415 - pydantic takes a tenth of a second

    try:
        return load(config_file())
    except ConfigErrors as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(2) from None


def give_up(reason: str) -> click.exceptions.Exit:
    """To be raised: the reason on standard error, and status 1."""
    click.echo(f"mailferry: {reason}", err=True)
    return click.exceptions.Exit(1)
