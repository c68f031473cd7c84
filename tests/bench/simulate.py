"""A day of a company's logins through the real scheduler, on a simulated clock: tests/bench/run simulate …

A million accounts, a Monday, some nodes with a database that they share, and a modelled legacy server. Printed is, hour
by hour: logins and users who come for the first time; how long those wait until they are in, from their first try on
(the mailbox is whole by then); later logins' waits; who was told to come later; mailboxes and octets that came over;
connections in use at the legacy server, who waits for one, and logins that are held, each at most. Behind it is what
leases and shares of the connections asked of the nodes' database. `--json` has all of it. `--help` says what can be
set.

What is real and what is modelled, `simulating/day.py` says.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench.simulating.day import DOMAIN, HOUR, Day, Hour, Plan, quantile
from tests.bench.simulating.legacy import Mailboxes, Server

QUANTILES = (0.5, 0.95, 0.99, 1.0)


def of_hour(hour: Hour) -> dict[str, Any]:
    """As JSON has it. Waits are seconds."""
    return {
        "logins": hour.logins,
        "first": hour.firsts,
        "waits": [round(quantile(hour.waits, share), 2) for share in QUANTILES],
        "later_waits": [round(quantile(hour.later_waits, share), 3) for share in QUANTILES],
        "temporary": hour.temporary,
        "wrong": hour.wrong,
        "mailboxes": hour.moves,
        "messages": hour.messages,
        "octets": hour.octets,
        "connections": max(hour.inside, default=0),
        "queue": max(hour.queue, default=0),
        "held": max(hour.held, default=0),
        "hashes_waiting": max(hour.hashes, default=0),
    }


def report(day: Day) -> dict[str, Any]:
    hours = [of_hour(hour) for hour in day.hours]
    return {
        "hours": hours,
        "accounts": day.plan.accounts,
        "came": len(day.came),
        "in": len(day.inside),
        "gave_up": day.lost,
        "states": dict(day.states),
        "turned_away_there": day.old.turned_away,
        "most_connections": day.old.most,
        "lockouts": day.old.lockouts,
        "octets": day.old.octets,
        "doubled": day.old.doubled,
        "shared": dict(day.shared.counts),
        "nodes": day.plan.nodes,
        "errors": len(day.log.errors),
    }


def table(found: dict[str, Any]) -> list[str]:
    lines = [
        f"{'hour':>4} {'logins':>8} {'first':>8} {'wait for the first login, s':>31} {'later':>8} {'come':>6} "
        f"{'mailboxes':>11} {'GB':>5} {'conn.':>7} {'queue':>6} {'held':>6}",
        f"{'':22} {'p50':>7} {'p95':>7} {'p99':>7} {'max':>7} {'p99, s':>8} {'later':>6}",
    ]
    for number, hour in enumerate(found["hours"]):
        if not (hour["logins"] or hour["mailboxes"]):
            continue
        waits = " ".join(f"{seconds:7,.1f}" for seconds in hour["waits"])
        lines.append(
            f"{number:>4} {hour['logins']:>8,} {hour['first']:>8,} {waits} {hour['later_waits'][2]:>8.2f} "
            f"{hour['temporary']:>6,} {hour['mailboxes']:>11,} {hour['octets'] / 1e9:>5,.0f} {hour['connections']:>7,} "
            f"{hour['queue']:>6,} {hour['held']:>6,}"
        )
    states = ", ".join(f"{count:,} {state}" for state, count in sorted(found["states"].items()))
    lines += [
        f"{found['came']:,} of {found['accounts']:,} users came, {found['in']:,} got in, {found['gave_up']:,} gave up: "
        f"{states}",
        f"{found['octets'] / 1e12:.2f} TB came over; at most {found['most_connections']:,} connections at the legacy "
        f"server, which turned {found['turned_away_there']:,} away; {found['lockouts']:,} right passwords met a locked "
        "account",
    ]
    if found["nodes"] > 1:
        each = found["shared"]
        tries = sum(hour["logins"] for hour in found["hours"])
        words = ", ".join(f"{count:,} {name}" for name, count in sorted(each.items(), key=lambda one: -one[1]))
        lines += [
            f"{found['nodes']} nodes: {words}; {sum(each.values()) / max(1, tries):.1f} of these for each login that "
            f"came; {found['doubled']:,} mailboxes were open twice at once"
        ]
    return lines


def sqlite_store(count: int) -> Callable[[Callable[[], float]], tuple[Any, Any]]:
    """The product's, in a file that is gone afterwards."""
    from sqlalchemy import insert

    from mailstore.accounts import Accounts
    from mailstore.database import AccountsDatabase
    from mailstore.queue import Queue
    from mailstore.schema import accounts

    def store(now: Callable[[], float]) -> tuple[Any, Any]:
        place = tempfile.TemporaryDirectory(prefix="bench.")
        database = AccountsDatabase(Path(place.name) / "accounts.db")
        rows = [
            {"id": n, "domain": DOMAIN, "local": f"u{n}", "state": "waiting", "created": 0} for n in range(1, count + 1)
        ]
        with database.write() as connection:
            connection.execute(insert(accounts), rows)
        made = Accounts(database, now)
        made.ended = lambda: (database.close(), place.cleanup())  # type: ignore[attr-defined]
        return made, Queue(database, now)

    return store


def plan_of(words: list[str]) -> tuple[Plan, bool, str]:
    parser = argparse.ArgumentParser(prog="tests/bench/run simulate")
    parser.add_argument("--accounts", type=int, default=1_000_000)
    parser.add_argument("--active", type=float, default=0.7, help="the part of them that comes on this day")
    parser.add_argument("--logins", type=int, default=2, help="of each who comes, that day")
    parser.add_argument("--at-once", type=float, default=0.1, help="the part whose second program comes in a minute")
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--cores", type=int, default=2, help="of each node")
    parser.add_argument("--connections", type=int, default=100, help="that are allowed to the legacy server")
    parser.add_argument("--there", type=int, help="connections that it lets in; as many as are allowed if not said")
    parser.add_argument("--rtt", type=float, default=20.0, metavar="MILLISECONDS")
    parser.add_argument("--messages", type=float, default=300.0, help="a second, of one connection")
    parser.add_argument("--line", type=float, default=100.0, metavar="MB", help="a second, of all together")
    parser.add_argument("--median", type=float, default=800, help="messages of a mailbox")
    parser.add_argument("--p99", type=float, default=20_000, help="messages of the largest mailbox of a hundred")
    parser.add_argument("--octets", type=float, default=60_000, help="of a message")
    parser.add_argument("--outage", nargs=2, type=float, action="append", default=[], metavar="HOUR")
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--hold", type=float, default=20.0, metavar="MINUTES", help="hold_limit")
    parser.add_argument("--round", type=float, default=6.0, metavar="HOURS", help="until a mailbox is looked at again")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--store", choices=("memory", "sqlite"), default="memory")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(words)
    if given.store == "sqlite" and given.nodes > 1:
        parser.error("several nodes have no file of SQLite in common: --nodes 1")
    server = Server(
        connections=given.there or given.connections,
        round_trip=given.rtt / 1000,
        messages=given.messages,
        all_octets=given.line * 1e6,
        outages=[(begin * 3600, end * 3600) for begin, end in given.outage],
    )
    plan = Plan(
        accounts=given.accounts,
        active=given.active,
        logins=given.logins,
        at_once=given.at_once,
        nodes=given.nodes,
        cores=given.cores,
        connections=given.connections,
        hours=given.hours,
        hold=given.hold * 60,
        round=given.round * 3600,
        seed=given.seed,
        server=server,
        mailboxes=Mailboxes(given.median, given.p99, given.octets),
    )
    return plan, given.json, given.store


def progress(day: Day) -> None:
    """An hour has passed."""
    last = max(0, round(day.clock.seconds() / HOUR) - 1)
    waiting = sum(node.schedule.waiting for node in day.nodes)
    print(
        f"{last + 1:>2} h: {day.hours[last].logins:,} logins, {len(day.inside):,} of {len(day.came):,} users are in, "
        f"{waiting:,} wait for a connection; {time.process_time():,.0f} s of processor time, {memory():,.0f} MiB",
        file=sys.stderr,
        flush=True,
    )


def memory() -> float:
    """The most that this process had so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    plan, as_json, kind = plan_of(sys.argv[1:])
    gc.set_threshold(200_000, 50, 1_000)  # what there is of a million accounts does not become garbage
    began, used = time.perf_counter(), time.process_time()
    day = Day(plan, sqlite_store(plan.accounts) if kind == "sqlite" else None)
    day.told = progress
    day.run()
    found = report(day)
    if as_json:
        print(json.dumps(found))
    else:
        print("\n".join(table(found)))
        took, processor = time.perf_counter() - began, time.process_time() - used
        print(f"{took:.0f} s, {processor:.0f} s of processor time, {memory():.0f} MiB")
    for event, fields in day.log.errors[:5]:
        print(event, fields, file=sys.stderr)


if __name__ == "__main__":
    main()
