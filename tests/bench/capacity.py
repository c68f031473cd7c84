"""What a company of a size needs, by formulas and measured figures: tests/bench/run capacity [--accounts N…] …

Each figure that is measured names the command that gives it on another machine; give your own with the options. Nothing
is measured here.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one machine class: two cores."""

    hash_seconds: float = 0.03  # of a core, a login whose password was not used lately; `tests/bench/run flood`
    command_seconds: float = 509e-6  # of a core, mixed commands; `tests/bench/run load`
    message_seconds: float = 88e-6  # 5,000 messages over and durable in 0.44 s; `tests/bench/run`
    session_octets: float = 111 * 1024  # of memory, with TLS; `tests/bench/run faults connections`
    account_octets: float = 546  # of the accounts' database, with its indexes; `tests/bench/run scale`


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
    return [
        ("sessions at once", f"{sessions:,.0f}"),
        ("logins a second in the busiest hour", f"{logins:,.1f}"),
        ("cores busy then, moves included", f"{cores:,.1f}"),
        ("nodes of two cores, half idle", f"{max(1, math.ceil(cores)):,}"),
        ("memory of sessions, all nodes", f"{sessions * f.session_octets / 1024 / MIB:,.1f} GiB"),
        ("accounts' database", f"{c.accounts * f.account_octets / 1e9:,.2f} GB"),
        ("old mail on the wire, and on disk", f"{c.accounts * c.messages * c.octets / 1e12:,.1f} TB"),
        ("one connection gives", f"{one:,.0f} messages/s: a mailbox in {mailbox:,.1f} s"),
        (
            "all connections",
            f"{pulled:,.0f} messages/s, {pulled * c.octets / 1e6:,.0f} MB/s, as many files made a second",
        ),
        ("first logins that end an hour, at most", f"{3600 * c.connections / mailbox:,.0f}"),
        ("the whole company, day and night", f"{whole / 3600:,.1f} h ({whole / 86_400:,.1f} days)"),
    ]


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
        )
        print(f"{accounts:,} accounts")
        for name, found in needs(company, Figures()):
            print(f"    {name:<42} {found}")


if __name__ == "__main__":
    main()
