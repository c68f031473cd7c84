"""What a company of a size needs, by formulas and measured figures: tests/bench/run capacity [--accounts N…] …

Each figure that is measured names the command that gives it on another machine; give your own with the options. Nothing
is measured here.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one machine class: two cores."""

    hash_seconds: float = 0.03  # of a core, a login whose password was not used lately; `tests/bench/run flood`
    command_seconds: float = 509e-6  # of a core, mixed commands; `tests/bench/run load`
    message_seconds: float = 88e-6  # 5,000 messages over and durable in 0.44 s; `tests/bench/run`
    session_octets: float = 111 * 1024  # of memory, with TLS; `tests/bench/run faults connections`
    account_octets: tuple[float, float] = (900, 2_500)  # SQLite, PostgreSQL, with indexes; `tests/bench/run scale`
    ledger_octets: tuple[float, float] = (152, 280)  # … of a message in the ledger; `tests/bench/run scale --ledger`
    message_octets: tuple[float, float] = (141, 265)  # … and in the index
    wire_share: float = 0.012  # that listings and requests add to old mail; `tests/bench/run wire`
    message_writes: float = 4.9  # operations of a busy disk, others' among them, for a message that moves
    command_writes: float = 29  # … for a command of a mixed load


@dataclass(frozen=True, slots=True)
class Company:
    """What is expected of it, and of its legacy server."""

    accounts: int
    messages: float  # of a mailbox, on average
    octets: float  # of a message
    sessions: float  # that are open at once, of an account
    commands: float  # a minute, of a session
    peak: float  # part of the accounts that log in within the busiest hour
    connections: int  # allowed to the legacy server
    rate: float  # messages a second that one of them gives
    round_trip: float  # seconds
    window: int  # messages under way at once
    line: float  # octets a second, of all of them together
    login: float  # seconds until a mailbox is listed
    workers: int  # of a node
    pool: int  # connections to PostgreSQL of a process
    arrivals: float  # new messages a day, of an account


def needs(company: Company, figures: Figures) -> list[tuple[str, str]]:
    """Each with its formula's result in words."""
    c, f = company, figures
    sessions = c.accounts * c.sessions
    logins = c.accounts * c.peak / 3600
    busy = logins * f.hash_seconds + sessions * c.commands / 60 * f.command_seconds
    one = min(c.rate, c.window / c.round_trip, c.line / c.connections / c.octets)
    mailbox = c.login + c.messages / one
    whole = c.accounts * mailbox / c.connections
    pulled = c.connections * c.messages / mailbox
    cores = busy + pulled * f.message_seconds
    nodes = max(1, math.ceil(cores))
    rows = c.accounts * c.messages
    of_rows = [ledger + message for ledger, message in zip(f.ledger_octets, f.message_octets, strict=True)]
    database = [c.accounts * account + rows * row for account, row in zip(f.account_octets, of_rows, strict=True)]
    growth = [c.accounts * c.arrivals * row for row in f.message_octets]
    writes = pulled * f.message_writes + sessions * c.commands / 60 * f.command_writes
    return [
        ("sessions at once", f"{sessions:,.0f}"),
        ("logins a second in the busiest hour", f"{logins:,.1f}"),
        ("cores busy then, moves included", f"{cores:,.1f}"),
        ("nodes of two cores, half idle", f"{nodes:,}"),
        ("memory of sessions, all nodes", f"{sessions * f.session_octets / 1024 / MIB:,.1f} GiB"),
        ("client connections to a node", f"{sessions / nodes:,.0f}"),
        ("connections to PostgreSQL, at most", f"{nodes * (c.workers + 1) * (c.pool + 1) + 20:,}"),
        ("accounts' database, SQLite; PostgreSQL", _gigabytes([c.accounts * each for each in f.account_octets])),
        ("… with ledgers and indexes, when all is here", _gigabytes(database)),
        ("… and its growth in a year of new mail", _gigabytes([365 * each for each in growth])),
        ("writes a second while all connections pull", f"{writes:,.0f}"),
        ("old mail on the wire, and on disk", f"{rows * c.octets / 1e12:,.1f} TB"),
        ("… what listings and requests add to it", f"{rows * c.octets * f.wire_share / 1e9:,.1f} GB"),
        ("one connection gives", f"{one:,.0f} messages/s: a mailbox in {mailbox:,.1f} s"),
        (
            "all connections",
            f"{pulled:,.0f} messages/s, {pulled * c.octets / 1e6:,.0f} MB/s, as many files made a second",
        ),
        ("first logins that end an hour, at most", f"{3600 * c.connections / mailbox:,.0f}"),
        ("the whole company, day and night", f"{whole / 3600:,.1f} h ({whole / 86_400:,.1f} days)"),
    ]


def _gigabytes(octets: Sequence[float]) -> str:
    return "; ".join(f"{each / 1e9:,.2f} GB" for each in octets)


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests/bench/run capacity")
    parser.add_argument("--accounts", type=int, nargs="+", default=[100_000, 10_000_000])
    parser.add_argument("--messages", type=float, default=1_500, help="of a mailbox, on average")
    parser.add_argument("--octets", type=float, default=60_000, help="of a message, on average")
    parser.add_argument("--sessions", type=float, default=0.3, help="open at once, of an account")
    parser.add_argument("--commands", type=float, default=1.0, help="a minute, of a session")
    parser.add_argument("--peak", type=float, default=0.4, help="part of the accounts that log in in the busiest hour")
    parser.add_argument("--connections", type=int, default=100, help="allowed to the legacy server")
    parser.add_argument("--rate", type=float, default=300, help="messages a second that one of them gives")
    parser.add_argument("--rtt", type=float, default=20, metavar="MILLISECONDS")
    parser.add_argument("--window", type=int, default=100, help="messages under way at once")
    parser.add_argument("--line", type=float, default=100, metavar="MB", help="a second, of all of them together")
    parser.add_argument("--login", type=float, default=0.3, metavar="SECONDS", help="until a mailbox is listed")
    parser.add_argument("--workers", type=int, default=2, help="of a node")
    parser.add_argument("--pool", type=int, default=9, help="connections to PostgreSQL of a process")
    parser.add_argument("--arrivals", type=float, default=20, help="new messages a day, of an account")
    given = parser.parse_args()
    for accounts in given.accounts:
        company = Company(
            accounts,
            given.messages,
            given.octets,
            given.sessions,
            given.commands,
            given.peak,
            given.connections,
            given.rate,
            given.rtt / 1000,
            given.window,
            given.line * 1e6,
            given.login,
            given.workers,
            given.pool,
            given.arrivals,
        )
        print(f"{accounts:,} accounts")
        for name, found in needs(company, Figures()):
            print(f"    {name:<46} {found}")


if __name__ == "__main__":
    main()
