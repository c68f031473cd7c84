"""`mailferry demo`: all of it on sample mail, on this machine.

An old POP3 server, mailferry in front of it, and a client that logs in for the first time: held until the whole
mailbox is here, then every message compared with the old server, byte for byte, over IMAP and over POP3. Then the
old server is stopped and the user logs in again.
"""

from __future__ import annotations

import contextlib
import ipaddress
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from proxy.cli.options import give_up

if TYPE_CHECKING:
    from proxy.cli.demo_clients import Mail
    from proxy.cli.demo_daemon import Ferry
    from proxy.cli.demo_legacy import OldServer

LOCAL: Final = "demo"
USER: Final = "demo@123.com"
PASSWORD: Final = "harbour-lights-42"  # noqa: S105 - the sample account's, shown to whoever runs the demo
HELD: Final = 6.5  # seconds that the first login is to take, so that there is something to see


def _ipv4(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    try:
        return str(ipaddress.IPv4Address(value))
    except ValueError:
        raise click.BadParameter(f'"{value}" is no IPv4 address of this machine') from None


@click.command()
@click.option("--once", is_flag=True, help="End when everything has been shown, instead of serving until Ctrl-C.")
@click.option(
    "--host",
    metavar="ADDRESS",
    default="127.0.0.1",
    show_default=True,
    callback=_ipv4,
    help="The IPv4 address at which mailferry listens; 0.0.0.0 for all.",
)
def demo(*, once: bool, host: str) -> None:
    """Show a first login on sample mail, on this machine, and compare every byte.

    Status 1 if one message is not what it was.
    """
    from proxy.cli.demo_clients import Refused  # noqa: PLC0415
    from proxy.cli.demo_daemon import NotStarted  # noqa: PLC0415

    signal.signal(signal.SIGTERM, _end)
    same = True
    try:
        with _stage(host) as (old, ferry):
            _first_login(old, ferry)
            click.echo("\nEvery message, compared with the old server byte for byte, in order:")
            original = _read_original(old)
            same = _compare(original, ferry)
            old.stop()
            click.echo("\nThe old server is stopped. Second login, compared again:")
            same = _compare(original, ferry) and same
            click.echo(f"The old server was asked to delete {old.deletions} messages.")
            _how_to_connect(ferry)
            if not once:
                _serve_on(old)
    except NotStarted as error:
        raise give_up(f"mailferry serve did not start:\n{error}") from None
    except (Refused, OSError) as error:
        raise give_up(f"the demo went wrong: {error}") from None
    except KeyboardInterrupt:
        click.echo()
    if not same:
        raise give_up("not every message is what it was")


def _end(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def _stage(host: str) -> Iterator[tuple[OldServer, Ferry]]:
    """The old server and mailferry, both running; stopped and swept away at the end."""
    from proxy.cli.demo_daemon import Ferry  # noqa: PLC0415
    from proxy.cli.demo_legacy import OldServer  # noqa: PLC0415
    from proxy.cli.demo_mail import samples  # noqa: PLC0415

    mailbox = samples()
    old = OldServer(mailbox, LOCAL, PASSWORD)
    directory = Path(tempfile.mkdtemp(prefix="mailferry-demo."))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        old.start()
        stack.callback(old.stop)
        octets = sum(len(sample.raw) for sample in mailbox)
        click.echo(f"The old POP3 server: 127.0.0.1 port {old.port}, {len(mailbox)} messages, {octets / 1e6:.1f} MB")
        ferry = Ferry(directory, host, old.port)
        stack.callback(ferry.stop)
        ferry.start()
        click.echo(f"mailferry in front:  {host} port {ferry.imap} (IMAP) and {ferry.pop3} (POP3)")
        yield old, ferry


def _first_login(old: OldServer, ferry: Ferry) -> None:
    from proxy.cli.demo_clients import ImapClient  # noqa: PLC0415
    from proxy.cli.demo_mail import samples  # noqa: PLC0415

    count = len(samples())
    click.echo(f"\nFirst login of {USER} over IMAP; it is held until the whole old mailbox is here.")
    started = time.monotonic()
    with old.slow(HELD / count), ImapClient((ferry.reachable, ferry.imap)) as client, _progress() as progress:
        client.login(USER, PASSWORD, progress)
    click.echo(f"Logged in after {time.monotonic() - started:.1f} s.")


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Shows the server's notices: a bar on a terminal, a line each in a pipe."""
    if not sys.stdout.isatty():
        yield lambda done, total: click.echo(f"  held: {done} of {total} messages")
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415

    with Progress(TextColumn("  held"), BarColumn(), MofNCompleteColumn(), TextColumn("messages")) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
        bar.update(task, completed=bar.tasks[0].total)


def _read_original(old: OldServer) -> Sequence[Mail]:
    from proxy.cli.demo_clients import Pop3Client  # noqa: PLC0415

    with Pop3Client(("127.0.0.1", old.port)) as client:
        client.login(LOCAL, PASSWORD)
        return client.inbox()


def _compare(original: Sequence[Mail], ferry: Ferry) -> bool:
    """Log in over both protocols and look at every message. Are all what they were?"""
    from proxy.cli.demo_clients import ImapClient, Pop3Client  # noqa: PLC0415

    with ImapClient((ferry.reachable, ferry.imap)) as imap:
        imap.login(USER, PASSWORD, lambda done, total: None)
        same = _tell(original, imap.inbox(), "over IMAP")
    with Pop3Client((ferry.reachable, ferry.pop3)) as pop3:
        pop3.login(USER, PASSWORD)
        return _tell(original, pop3.inbox(), "over POP3, and their UIDLs") and same


def _tell(original: Sequence[Mail], found: Sequence[Mail], how: str) -> bool:
    from proxy.cli.demo_clients import differences  # noqa: PLC0415

    same, told = differences(original, found)
    click.echo(f"  {same} of {len(original)} messages identical {how}")
    for line in told:
        click.echo(f"  {line}", err=True)
    return not told


def _how_to_connect(ferry: Ferry) -> None:
    click.echo(
        f"""
To look with a mail client (no encryption; "normal password"):
  IMAP      {ferry.reachable}, port {ferry.imap}
  POP3      {ferry.reachable}, port {ferry.pop3}
  user      {USER}
  password  {PASSWORD}"""
    )


def _serve_on(old: OldServer) -> None:
    old.start()
    click.echo("\nServing until Ctrl-C; the old server is up again. Everything is removed at the end.")
    threading.Event().wait()
