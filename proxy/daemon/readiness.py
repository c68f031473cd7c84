"""What a load balancer asks: does the process live (`/healthz`), and should it be given clients (`/readyz`)?

Both are on the listeners of metrics and of the web, for everybody who reaches these: so an answer has no name, path or
figure of an account in it, and costs next to nothing, however often it is asked for. The store is looked at once a
second at most, by one thread. A look that takes longer is not waited for: the one before it counts, unless it takes so
long that the store must be said not to answer.

A node is not ready while it is drained or ends, which is known at once; while the store cannot be used; and while no
worker serves. One worker of several that is being replaced is no reason: the others take its clients.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.python.failure import Failure

from mailstore.database import AccountsDatabase
from mailstore.errors import MailstoreError
from mailstore.usable import check_usable
from proxy.config import Config
from proxy.migration.shared import Shared
from proxy.wire.in_thread import InThread

FRESH_SECONDS: Final = 1.0  # for which a look at the store counts
WAIT_SECONDS: Final = 1.0  # … and for which one that is under way is waited for
SILENT_SECONDS: Final = 10.0  # a writer of many accounts may hold the database for one
TYPE: Final = b"application/json"
ALIVE: Final = b'{"alive": true}\n'
PATHS: Final = (b"/healthz", b"/readyz")

Answer = tuple[int, bytes]  # HTTP's status, and a JSON object in a line


class Readiness:
    """One daemon's. `workers` tells how many processes serve, and how many should."""

    def __init__(
        self,
        config: Config,
        database: AccountsDatabase,
        *,
        draining: Callable[[], bool],
        workers: Callable[[], tuple[int, int]],
        in_thread: InThread,
        clock: Any,
    ) -> None:
        self.stopping = False
        self._config = config
        self._database = database
        self._draining = draining
        self._workers = workers
        self._in_thread = in_thread
        self._clock = clock
        self._look: Shared[str] | None = None
        self._looked = float("-inf")
        self._store = ""  # what is wrong with it, as the last look found

    def answer(self, path: bytes) -> Deferred[Answer]:
        """Of one of PATHS."""
        if path == b"/healthz":
            return succeed((200, ALIVE))
        if self.stopping or self._draining():
            return succeed(self._answer())
        return self._see_to_the_store().addCallback(lambda _: self._answer())

    async def end(self) -> None:
        """Wait for the look that is under way: it uses the database."""
        self.stopping = True
        if self._look is not None:
            await self._look.wait()

    def _answer(self) -> Answer:
        serving, wanted = self._workers()
        wrong = []
        if self.stopping:
            wrong.append({"what": "stopping", "why": "the daemon ends"})
        elif self._draining():
            wrong.append({"what": "draining", "why": "an administrator drains this node"})
        if not serving:
            wrong.append({"what": "workers", "why": "no process serves clients"})
        if self._store:
            wrong.append({"what": "store", "why": self._store})
        found = {"ready": not wrong, "wrong": wrong, "workers": {"serving": serving, "wanted": wanted}}
        return (503 if wrong else 200), json.dumps(found).encode() + b"\n"

    # The store

    def _see_to_the_store(self) -> Deferred[None]:
        """Fires when `_store` is as new as it has to be, or cannot be soon enough."""
        now = self._clock.seconds()
        look = self._look
        if look is None or (look.finished and not 0 <= now - self._looked < FRESH_SECONDS):
            self._looked = now
            look = self._look = Shared(self._in_thread(self._check))
        if look.finished:
            return look.wait().addCallback(self._seen)
        return look.wait().addTimeout(WAIT_SECONDS, self._clock).addCallbacks(self._seen, self._not_seen)

    def _check(self) -> str:
        try:
            check_usable(self._database, self._config.state, self._config.maildir_root)
        except MailstoreError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - whoever asks is told, whatever it was
            return f"unexpected: {type(error).__name__}"
        return ""

    def _seen(self, wrong: str) -> None:
        self._store = wrong

    def _not_seen(self, failure: Failure) -> None:
        failure.trap(DeferredTimeout)  # type: ignore[no-untyped-call]
        if self._clock.seconds() - self._looked >= SILENT_SECONDS:
            self._store = "it does not answer"
