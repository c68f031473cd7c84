"""Accounts held against their legacy servers, on the reactor that runs: for `verify`, and for `finalize`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mailstore.accounts import Account
from proxy.admin.verify.account import Surroundings
from proxy.admin.verify.outcome import AccountOutcome
from proxy.admin.verify.passwords import Passwords
from proxy.admin.verify.run import Run, Told, connections_for
from proxy.admin.verify.sample import How
from proxy.config import Config
from proxy.daemon.threads import THREADS, Threads
from proxy.login.legacy import LegacyDoor


async def compare(
    config: Config,
    accounts: Sequence[Account],
    passwords: Passwords,
    how: How,
    told: Told,
    *,
    reactor: Any,
    daemon: bool,
    connections: int | None = None,
) -> list[AccountOutcome]:
    """By name. `daemon`: is one at work, whose logins come first? `connections`: the administrator's own number."""
    threads = Threads(THREADS, reactor.callFromThread)
    try:
        logins = {(account.local, account.domain): account.legacy_login for account in accounts}
        door = LegacyDoor(config, reactor, logins=lambda local, domain: logins.get((local, domain), ""))
        around = Surroundings(how, door, reactor, threads.run, daemon)
        domains = {account.domain for account in accounts}
        most = {name: connections_for(config.domains[name], connections, daemon=daemon) for name in domains}
        return await Run(config, passwords, around, told, connections=most).run(accounts)
    finally:
        threads.stop()
