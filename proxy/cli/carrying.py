"""What `migrate` and `retry` do: mark accounts in the queue, and watch until they are done.

Where a daemon runs, it does the moves, and goes on when nobody watches any more. Where none does, this process takes
its place for as long as it takes; nobody else can begin a daemon meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from mailstore.accounts import Account, Accounts, State
from mailstore.errors import MailstoreError
from mailstore.proofs import Proofs
from mailstore.queue import Queue
from proxy.admin import passwords
from proxy.admin.acts import some
from proxy.admin.chosen import Chosen, NotServed, choose, obstacle
from proxy.admin.handing import reasons
from proxy.admin.passwords import BadPasswordFile, Given
from proxy.admin.proving import NotProven, check
from proxy.admin.watch import Watch
from proxy.cli import acting
from proxy.cli.showing import Showing, showing
from proxy.cli.store import key, made
from proxy.config import Config
from proxy.daemon.alone import Alone, NotAlone, at_work
from proxy.wire import trace

if TYPE_CHECKING:
    from mailstore.database import AccountsDatabase
    from proxy.daemon.moving import Afterwards

INTERVAL: Final = 1.0  # seconds between two looks
ABSENT: Final = 5.0  # seconds that a daemon may take to be started again


class CannotCarry(Exception):
    """Nothing can be begun. The text is for the administrator."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted. `names` may be domains, too. `again`: what failed is tried again."""

    names: tuple[str, ...]
    domains: tuple[str, ...]
    everything: bool
    passwords: Path | None
    as_json: bool
    again: bool = False
    force: bool = False  # many of a domain, proven or not


def carry_out(config: Config, order: Order) -> int:
    """Do it; gives back the exit status. Raises CannotCarry."""
    try:
        given = passwords.read(config, order.passwords) if order.passwords is not None else []
        chosen = choose(config, order.names, order.domains, everything=order.everything)
    except (NotServed, BadPasswordFile) as error:
        raise CannotCarry(str(error)) from None
    with made(config) as database:
        accounts = Accounts(database)
        try:
            if not (order.again or order.force):
                _check_proven(config, database, accounts, chosen, given)
        except NotProven as error:
            raise CannotCarry(str(error)) from None
        meant = [*map(str, chosen.names), *(str(one.name) for one in given if one.name not in chosen.names)]
        about = {"domains": list(chosen.domains), **some(meant), "passwords": len(given)}
        acting.begin(config, "retry" if order.again else "migrate", **about)
        if given:
            _warn_of_readers(order.passwords)
            sealer = key(config, make=True)
            assert sealer is not None
            passwords.keep(accounts, sealer, given)
            chosen.names = list(dict.fromkeys([*chosen.names, *(one.name for one in given)]))
        return _Errand(config, database, accounts, order, chosen).run()


def _check_proven(
    config: Config, database: AccountsDatabase, accounts: Accounts, chosen: Chosen, given: Sequence[Given]
) -> None:
    """Nothing is begun, and no password kept, for many accounts of a domain that is not proven; those that are named
    may be moved. Raises NotProven."""
    unnamed = [one.name.domain for one in given if one.name not in chosen.names]
    check(config, Proofs(database), accounts, [*chosen.domains, *unnamed])


def _warn_of_readers(path: Path | None) -> None:
    if path is not None and path.stat().st_mode & 0o077:
        click.echo(f"mailferry: {path} may be read by others: chmod 600, and remove it when it is done", err=True)


class _Errand:
    """One order, once its names are understood."""

    def __init__(
        self, config: Config, database: AccountsDatabase, accounts: Accounts, order: Order, chosen: Chosen
    ) -> None:
        self._config = config
        self._database = database
        self._queue = Queue(database)
        self._again = order.again
        self._show: Showing = showing(as_json=order.as_json)
        paused = self._queue.paused_domains()
        self._ready: dict[int, Account] = {}
        self._unready: list[tuple[str, str]] = []  # accounts that were named, and why they cannot be moved
        self._others = 0  # accounts of the domains that cannot be, or need not
        for name, account in chosen.named(accounts):
            why = "there is no such account here yet: give its password with --passwords"
            if account is not None:
                why = self._obstacle(account, paused=account.domain in paused)
            if account is not None and not why:
                self._ready[account.id] = account
            else:
                self._unready.append((str(name), why))
        for account in self._of_domains(accounts, chosen):
            if self._obstacle(account, paused=account.domain in paused):
                self._others += 1
            else:
                self._ready.setdefault(account.id, account)

    def _of_domains(self, accounts: Accounts, chosen: Chosen) -> Iterator[Account]:
        for account in chosen.of_domains(accounts):
            if not self._again or _failed(account):
                yield account

    def _obstacle(self, account: Account, *, paused: bool) -> str:
        may_go_on = self._again and account.state is State.BLOCKED and account.reason not in reasons.ALL
        if may_go_on and account.sealed_password is not None:
            return ""
        return obstacle(account, paused=paused)

    def run(self) -> int:
        """Gives back the exit status."""
        self._show.begin(len(self._ready), self._unready, self._others)
        over = True
        if self._ready:
            ready = list(self._ready.values())
            self._ready.clear()  # a large company's are a hundred megabytes
            over = Carrying(self._config, self._database, self._show).run(ready, again=self._again)
        whole = self._show.end(over=over) and not self._unready
        return 0 if over and whole else 1


class Carrying:
    """Accounts that are moved now, by the daemon or by this process, and watched until they are done. `run` once."""

    def __init__(self, config: Config, database: AccountsDatabase, show: Showing) -> None:
        self._config = config
        self._database = database
        self._queue = Queue(database)
        self._show = show
        self._afterwards: Afterwards | None = None

    def run(self, ready: list[Account], *, again: bool = False, afterwards: Afterwards | None = None) -> bool:
        """Was all of it done? `ready` are accounts that can be moved; the list is emptied. `afterwards` is done on the
        reactor when that is so. Raises CannotCarry, MailstoreError."""
        self._afterwards = afterwards
        alone = self._alone()
        watch = Watch(self._queue, ready, self._database.time, time.monotonic)
        self._queue.ask((account.id for account in ready), again=again, trace=trace.current())
        ready.clear()
        try:
            return self._by_the_daemon(watch) if alone is None else self._here(watch)
        finally:
            if alone is not None:
                alone.end()

    def _alone(self) -> Alone | None:
        """The lock of a daemon, where none runs."""
        try:
            return Alone(self._config.state)
        except NotAlone:
            return None
        except OSError as error:
            raise CannotCarry(f"{self._config.state}: {error.strerror}; run it as the user of serve") from None

    def _look(self, watch: Watch) -> bool:
        progress = watch.look()
        self._show.progress(progress)
        return progress.over

    def _by_the_daemon(self, watch: Watch) -> bool:
        """Watch; is everything done?"""
        known = at_work(self._config.state)  # it may be in a container of its own
        seen = time.monotonic()  # when the daemon was last there
        try:
            while not self._look(watch):
                if not known or at_work(self._config.state):
                    seen = time.monotonic()
                elif time.monotonic() - seen > ABSENT:
                    self._show.say("mailferry serve has ended; the moves go on when it is started again")
                    return False
                time.sleep(INTERVAL)
        except KeyboardInterrupt:
            self._show.say("not waited for any longer; mailferry serve goes on with it")
            return False
        return self._then()

    def afterwards(self, work: Afterwards) -> bool:
        """The same where nothing is to be moved."""
        self._afterwards = work
        return self._then()

    def _then(self) -> bool:
        from twisted.internet import reactor  # noqa: PLC0415

        from proxy.cli.running import run_to_end  # noqa: PLC0415

        if self._afterwards is None:
            return True
        done = False

        async def work() -> None:
            nonlocal done
            assert self._afterwards is not None
            await self._afterwards()
            done = True

        run_to_end(reactor, work())
        return done

    def _here(self, watch: Watch) -> bool:
        from proxy.daemon.moving import move_asked  # noqa: PLC0415 - installs Twisted's reactor

        over = False
        try:
            over = move_asked(self._config, self._database, lambda: self._look(watch), self._afterwards)
        finally:
            if not over:
                with suppress(MailstoreError):
                    self._queue.no_longer(watch.pending)
        if not over:
            self._show.say("stopped; what has come is kept, and the next move goes on from there")
        return over


def _failed(account: Account) -> bool:
    """Is there something to be tried again?"""
    incomplete = account.messages_done < account.messages_total
    return account.state is State.BLOCKED or bool(account.tries or account.reason) or incomplete
