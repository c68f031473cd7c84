"""From what the daemon has to the sites that it opens: the one way into this package."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from mailstore.accounts import Accounts
from mailstore.database import AccountsDatabase
from mailstore.secrets import KEY_OCTETS, Sealer
from mailstore.web_sessions import WebSessions
from proxy.admin import sealing
from proxy.admin.tasks import Tasks
from proxy.config import Config
from proxy.login.gate import LoginGate
from proxy.login.homes import Homes
from proxy.login.legacy import LegacyDoor
from proxy.login.mover import Mover
from proxy.login.nodes import Nodes
from proxy.login.outcomes import Log
from proxy.web.pages import Pages
from proxy.web.sites import Sites
from proxy.web.visit import Web
from proxy.wire.in_thread import InThread


def open_sites(
    config: Config,
    database: AccountsDatabase,
    accounts: Accounts,
    sealer: Sealer,
    gate: LoginGate,
    homes: Homes,
    door: LegacyDoor,
    mover: Mover,
    *,
    tls: Any,
    health: Callable[[bytes], Deferred[tuple[int, bytes]]],
    nodes: Nodes | None,
    in_thread: InThread,
    reactor: Any,
    log: Log,
) -> Sites:
    """The sites that are configured. `tls` makes the server's side of TLS connections; None: HTTP. `nodes`:
    where there are others."""
    web = Web(
        config=config,
        database=database,
        accounts=accounts,
        sessions=WebSessions(database),
        sealer=sealer,
        gate=gate,
        homes=homes,
        door=door,
        mover=mover,
        tasks=Tasks(log.info),
        pages=Pages(),
        shown=lambda: None if tls is None else (tls.pair.certificate, tls.pair.key),
        health=health,
        # The same after a restart, with the same key: a login page that is open still works.
        forms_key=hmac.digest(sealing.keys(config)[:KEY_OCTETS], b"forms of the web", hashlib.sha256),
        nodes=nodes,
        in_thread=in_thread,
        reactor=reactor,
        log=log,
    )
    return Sites(web, tls)
