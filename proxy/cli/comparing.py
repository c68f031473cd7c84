"""Accounts held against their legacy servers by this process, whose reactor runs: for `verify`, and for `finalize`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mailstore.accounts import Account
from proxy.admin import databases
from proxy.admin.verify import comparing
from proxy.admin.verify.outcome import AccountOutcome
from proxy.admin.verify.passwords import Passwords
from proxy.admin.verify.run import Told
from proxy.admin.verify.sample import How
from proxy.config import Config
from proxy.daemon.threads import THREADS, Threads


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
    """See `proxy.admin.verify.comparing`: with threads, databases and a door of its own. Raises StorageFailed."""
    threads = Threads(THREADS, reactor.callFromThread)
    database = databases.accounts(config, check=False)
    try:
        return await comparing.compare(
            *(config, accounts, passwords, how, told),
            door=comparing.own_door(config, accounts, reactor),
            in_thread=threads.run,
            reactor=reactor,
            daemon=daemon,
            connections=connections,
            mailboxes=databases.mailboxes(database),
        )
    finally:
        threads.stop()
        database.close()
