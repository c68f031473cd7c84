"""Logins that wait for another node's moves: very many of them do not ask the database ever more often."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred

from mailstore.accounts import Account
from proxy.login.leasing import LOOKS, SELDOM, Leased
from proxy.login.names import Name
from proxy.wire.door import Hold
from tests.bench.simulating.clock import HeapClock
from tests.bench.simulating.day import DOMAIN, NoLog, at_once
from tests.bench.simulating.shared import Lines, Shared
from tests.bench.simulating.store import Memory

MANY = int(2 * LOOKS * SELDOM)  # twice as many as are looked at as often as it is wanted
SECONDS = 50


def begun(work: Coroutine[Deferred[Any], Any, Any]) -> list[Any]:
    """What comes of it, when it does."""
    came: list[Any] = []
    Deferred.fromCoroutine(work).addCallback(came.append)
    return came


async def never(_account: Account) -> bool:
    return False


def test_the_more_accounts_are_waited_for_the_less_often_each_is_looked_at() -> None:
    clock = HeapClock()
    shared: Any = Shared(clock.seconds)
    lines, accounts = Lines(shared, clock), Memory(DOMAIN, MANY, clock.seconds)
    line: Any = lines.line
    store: Any = accounts
    here, there = (Leased(line(), shared, store, reactor=clock, in_thread=at_once, log=NoLog()) for _ in range(2))
    for node in (here, there):
        node.name = f"node {node is there}"
        assert begun(node.start())
    names = [Name(f"u{number}", DOMAIN) for number in range(1, MANY + 1)]
    tenures = [begun(there.take(name)) for name in names]
    waiting = [begun(here.wait(name, accounts.find(name.local, name.domain), Hold(), never)) for name in names]
    clock.run(40)  # until all look as seldom as they ever do
    before = shared.counts["looks at a lease"]
    clock.run(40 + SECONDS)
    assert 0.8 * LOOKS * SECONDS < shared.counts["looks at a lease"] - before < 1.2 * LOOKS * SECONDS
    assert not any(waiting)
    tenures[0][0].leave()
    clock.run(clock.seconds() + 0.1)  # news of it comes as soon as ever
    assert [len(each) for each in waiting[:2]] == [1, 0]
