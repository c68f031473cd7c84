"""What nodes share in the simulator answers as a server does: leases, places, wrong passwords, what the dead leave."""

from __future__ import annotations

import random
from itertools import count
from typing import Any

import pytest
from sqlalchemy import Engine, text

from mailstore import allotment, leases, membership, said_no
from mailstore.allotment import Allotted, Wish
from mailstore.errors import LeaseLost
from mailstore.leases import Lease
from tests.bench.simulating.shared import Shared

HOST = "pop.old.123.com:110"
LONG = 600_000


@pytest.fixture
def engine(made: Engine) -> Engine:
    with made.begin() as connection:
        for table in ("nodes", "leases", "places", "host_logins", "host_pauses", "said_no"):
            connection.execute(text(f"DELETE FROM {table}"))
    return made


class Side:
    """One of both; numbers are told apart by who came first."""

    def __init__(self, begin: Any, kill: Any) -> None:
        self._begin, self._kill = begin, kill
        self._nodes: list[int] = []
        self._leases: list[Lease] = []

    def play(self, what: str, which: int, name: str, number: int) -> Any:  # noqa: PLR0912
        """What came of it, in words that are the same on either side."""
        node = self._nodes[which % len(self._nodes)] if self._nodes else 0
        lease = self._leases[which % len(self._leases)] if self._leases else Lease(0)
        with self._begin() as connection:
            match what:
                case "join":
                    self._nodes.append(membership.join(connection, f"node {len(self._nodes)}", LONG))
                case "renew":
                    return membership.renew(connection, node, LONG)
                case "take":
                    return self._take(connection, name, node)
                case "give back":
                    leases.give_back(connection, lease)
                case "look":
                    return leases.holder(connection, "123.com", name)
                case "write":
                    return _lost(lease, connection)
                case "kept":
                    kept = leases.kept(connection, node, [each.fence for each in self._leases])
                    return [each.fence in kept for each in self._leases]
                case "allot":
                    wish = Wish(number, number // 2, min(number // 3, 2), number)
                    found = allotment.allot(connection, HOST, node, 5, wish, per_minute=30)
                    return _without_times(found)
                case "busy":
                    allotment.pause(connection, HOST, LONG)
                case "wrong":
                    said_no.add(connection, name)
                case "right":
                    said_no.forget(connection, name)
                case "count":
                    return said_no.count(connection, name, 60)
                case "bury":
                    found_dead = membership.bury(connection)
                    membership.sweep(connection)
                    said_no.sweep(connection, 60)
                    return sorted(found_dead)
                case "kill" if node:
                    self._kill(connection, node)
                case "leave":
                    membership.leave(connection, node)
        return None

    def _take(self, connection: Any, name: str, node: int) -> Any:
        try:
            taken = leases.take(connection, "123.com", name, node)
        except LeaseLost:
            return "lost"
        if not isinstance(taken, Lease):
            return taken
        newest = all(taken.fence > each.fence for each in self._leases)
        self._leases.append(taken)
        return newest, taken.inherited


def _lost(lease: Lease, connection: Any) -> str:
    try:
        lease.holds(connection)
        lease.still(connection)
    except LeaseLost:
        return "lost"
    return "held"


def _without_times(found: Allotted) -> Allotted:
    return found._replace(again=bool(found.again), paused=bool(found.paused))


def by_server(connection: Any, node: int) -> None:
    connection.execute(text("UPDATE nodes SET until = 0 WHERE id = :id"), {"id": node})


STEPS = [
    *("take",) * 6,
    *("give back", "look", "write", "allot", "allot", "allot", "wrong", "count", "bury", "renew", "kept"),
    *("join", "kill", "leave", "right"),
]


@pytest.mark.parametrize("seed", range(4))
def test_both_answer_the_same(engine: Engine, seed: int) -> None:
    """Some 150 steps of three or more nodes."""
    dice = random.Random(seed)
    steps = [("join", 0, "", 0)] * 3
    for at in range(150):
        what = "busy" if at == 120 else dice.choice(STEPS)
        steps.append((what, dice.randrange(40), dice.choice(["anna", "boris"]), dice.randrange(8)))
    milliseconds = count(1_700_000_000_000)
    shared = Shared(lambda: next(milliseconds) / 1000)  # so that it is known who is short for longest
    modelled = Side(shared.write, lambda _connection, node: shared.kill(node))
    real = Side(engine.begin, by_server)
    for step in steps:
        assert modelled.play(*step) == real.play(*step), step
