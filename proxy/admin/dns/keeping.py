"""Looks that the console begins and nobody waits for: one, or one after the other until all is right.

The work of a task (`proxy.admin.tasks`), of which a domain has one at a time. Whoever begins it is remembered for the
domain with what was asked for. Ended early, by an administrator or with the daemon, it asks nobody anything more.
Everything here is called in the reactor's thread; looking is done apart from it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.task import deferLater

from proxy.admin.dns.asked import Given, looker, remember
from proxy.admin.dns.delegation import NotFound
from proxy.admin.dns.looking import Look
from proxy.admin.tasks import Task, TaskFailed, Work, apart
from proxy.config import Config
from proxy.config.model import Domain

EVERY: Final = 30  # seconds between two looks
PORT: Final = 53  # of authoritative servers


@dataclass(frozen=True, slots=True)
class Last:
    """What is known of a domain. `trouble`: why a look since then came to nothing, in English; "" where none did."""

    look: Look | None = None
    trouble: str = ""


class Looks:
    """The last one of each domain, until the daemon ends."""

    def __init__(self, config: Config, reactor: Any, clock: Callable[[], float] = time.time) -> None:
        self._config = config
        self._reactor = reactor
        self._clock = clock
        self._last: dict[str, Last] = {}

    def last(self, domain: Domain) -> Last:
        return self._last.get(domain.name, Last())

    def work(self, domain: Domain, given: Given, *, keep: bool) -> Work:
        """Look at the domain; `keep`: until all is right. A task's `step` is "looking" or "waiting"."""

        async def look_on(task: Task) -> Look:
            task.step = "looking"
            await self._remember(domain, given)
            found = await self._look(domain, given)
            while keep and not found.right:
                task.step = "waiting"
                await deferLater(self._reactor, EVERY)
                task.step = "looking"
                try:
                    found = await self._look(domain, given)
                except TaskFailed:
                    continue  # nobody can be asked for a while: that is not the end
            return found

        return look_on

    async def _remember(self, domain: Domain, given: Given) -> None:
        """Raises TaskFailed."""
        try:
            await apart(self._reactor, remember, self._config.state, domain, given)
        except OSError as error:
            raise TaskFailed(f"what was asked for cannot be written down: {error.strerror}") from None

    async def _look(self, domain: Domain, given: Given) -> Look:
        """Raises TaskFailed."""
        abandoned = threading.Event()
        try:
            found = await apart(self._reactor, self._blocking, domain, given, abandoned)
        except NotFound as error:
            self._last[domain.name] = Last(self.last(domain).look, str(error))
            raise TaskFailed(str(error)) from None
        finally:
            abandoned.set()  # where this is no longer waited for
        self._last[domain.name] = Last(found)
        return found

    def _blocking(self, domain: Domain, given: Given, abandoned: threading.Event) -> Look:
        return looker(self._config, domain, given, port=PORT).look(int(self._clock()), abandoned)
