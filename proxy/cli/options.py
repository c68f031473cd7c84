"""What all commands share: which configuration they use, and how they say what went wrong."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from proxy.config import Config

F = TypeVar("F", bound=Callable[..., Any])

USUAL: Final = Path("/etc/mailferry/mailferry.toml")
VARIABLE: Final = "MAILFERRY_CONFIG"
_KEY: Final = "proxy.cli.config"

NO_TEXT: Final = "is no text in this terminal's character set"


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


class Text(click.ParamType[str]):
    """Text that can be looked for: a command line may have octets that are none."""

    name = "text"

    def convert(self, value: str, parameter: click.Parameter | None, context: click.Context | None) -> str:
        if any("\ud800" <= character <= "\udfff" for character in value):
            self.fail(f"this {NO_TEXT}", parameter, context)
        return value


def typed_password(prompt: str, again: str | bool = True) -> str:
    """On a terminal, twice, without being shown."""
    while True:
        try:
            typed = click.prompt(prompt, type=Text(), hide_input=True, confirmation_prompt=again, err=True)
            return str(typed)
        except UnicodeDecodeError:
            click.echo(f"Error: this {NO_TEXT}", err=True)


def config_file() -> Path:
    """The file that is meant."""
    named = click.get_current_context().find_root().meta.get(_KEY)
    return Path(named or os.environ.get(VARIABLE) or USUAL)


def configuration() -> Config:
    """The configuration, loaded; with mistakes in it the command ends with status 2 and all of them listed."""
    from proxy.config import load  # noqa: PLC0415 - pydantic takes a tenth of a second

    with mistakes_told():
        return load(config_file())


@contextmanager
def mistakes_told() -> Iterator[None]:
    """Ends the command with status 2 where a configuration has mistakes, with all of them listed."""
    from proxy.config import ConfigErrors  # noqa: PLC0415 - as above

    try:
        yield
    except ConfigErrors as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(2) from None


def give_up(reason: str) -> click.exceptions.Exit:
    """To be raised: the reason on standard error, and status 1."""
    click.echo(f"mailferry: {reason}", err=True)
    return click.exceptions.Exit(1)
