"""Two nodes against one, upon one PostgreSQL and one tree of Maildirs, under a mixed load whose clients cost little.

    tests/bench/run nodes [--seconds 6] [--rounds 3] [--clients 8]

The clients are those of `tests/bench/run workers`: each has a mailbox of its own, and replays a piece of commands. In
each round all of them are at one node, and then half of them at each of two, in turn.

Printed are commands completed in a second of the clock, and the processor time that a command took the nodes and the
database's server. Nodes, clients and server share the cores of this machine; so beside the clock's ratio there is what
follows from the processor time where each node has a core of its own and the server others: commands a second of two
nodes, as many as the busier one can do, to those of one. The larger ratio is compared with 1.6. Last comes what a core
of the server's carries: so many nodes' cores.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from tests.bench import corpus
from tests.bench.ferry import Ferry
from tests.bench.ground import legacy_ground
from tests.bench.processor import processor_seconds
from tests.bench.stores import postgresql
from tests.bench.two_nodes import two_nodes
from tests.bench.workers import MESSAGES, Playing
from tests.postgres.server import PostgresServer

WANTED = 1.6
_SETTINGS = """
[migration]
refresh = "1d"
"""


@dataclass(frozen=True)
class Measured:
    commands: float  # a second
    clients: float  # cores that they took
    each: float  # seconds of the nodes' processor time for a command
    server: float  # … of the server's
    busiest: float  # … of the busiest node's

    def say(self, nodes: int) -> None:
        print(
            f"{nodes} node{'s' if nodes > 1 else ' '}  {self.commands:7.0f} commands/s   clients {self.clients:4.0%} "
            f"of a core   {1e6 * self.each:4.0f} µs of processor time each, and {1e6 * self.server:4.0f} µs of the "
            f"server's   busiest node {self.busiest / self.each:4.0%}",
            flush=True,
        )


def measure(nodes: Sequence[Ferry], server: PostgresServer, users: Sequence[str], seconds: float) -> Measured:
    who = [(nodes[n % len(nodes)].imap, user) for n, user in enumerate(users)]
    playing = Playing(who, seconds)
    before = [processor_seconds(node.process.pid) for node in nodes]
    of_server = processor_seconds(server.pid)
    commands, took, work = playing.end()
    of_server = processor_seconds(server.pid) - of_server
    of_nodes = [processor_seconds(node.process.pid) - b for node, b in zip(nodes, before, strict=True)]
    playing.join()
    return Measured(
        commands / took, work / took, sum(of_nodes) / commands, of_server / commands, max(of_nodes) / commands
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/bench/run nodes")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=8)
    options = parser.parse_args()
    users = [f"user{n}" for n in range(options.clients)]
    box = corpus.Box(MESSAGES, 1_000, 6_000)
    mailboxes = {user: partial(corpus.fill, box=box, seed=user) for user in users}
    by_clock, by_work, carried = [], [], []
    with legacy_ground(mailboxes) as (ground, legacy), postgresql() as server:
        with two_nodes(ground, legacy.pop3, server, tables=_SETTINGS) as nodes:
            for user in users:
                nodes[0].login(user)
            for node in nodes:
                measure([node], server, users, 1.0)  # warms it up
            for n in range(options.rounds):
                found = {}
                for count in (1, 2) if n % 2 else (2, 1):
                    found[count] = measure(nodes[:count], server, users, options.seconds)
                    found[count].say(count)
                one, two = found[1], found[2]
                by_clock.append(two.commands / one.commands)
                by_work.append(one.busiest / two.busiest)
                carried.append(two.each / two.server)
    clock, work = statistics.median(by_clock), statistics.median(by_work)
    print(
        f"two nodes to one: {clock:.2f}× by the clock, {work:.2f}× by processor time; {WANTED:g} is wanted; a core of "
        f"the server's carries {statistics.median(carried):.1f} of the nodes'"
    )
    return 0 if max(clock, work) >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
