"""A company in the middle of its move, as rows: accounts in the states that a real one has, and what belongs to them.

Four fifths are of one domain, 123.com; the others are of nineteen more, or of as many as are wanted. The same numbers
give the same company.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice, pairwise
from typing import Any, Final

from sqlalchemy import Table, insert

from mailstore import name_tails, notice_counters
from mailstore.counters import SUMS
from mailstore.database import AccountsDatabase
from mailstore.samples import SCATTERED, THINNED
from mailstore.schema import DERIVED, accounts, aliases, notices, paused_domains, samples, web_sessions
from mailstore.silence import patience

DOMAIN: Final = "123.com"
OTHERS: Final = tuple(f"branch{n:02}.123.com" for n in range(19))
STATES: Final = (("waiting", 40), ("moving", 1), ("moved", 50), ("final", 8), ("blocked", 1))
REASONS: Final = (
    "the mailbox is locked; close what else fetches this mailbox there",
    "connection refused; start the old server, or look whether a firewall is between",
    "2 messages are in quarantine: 17, 201; the old server does not give them",
)
MEDIAN: Final = 1_200  # messages of a mailbox; lognormal, so that one in a thousand has a hundred times as many
SPREAD: Final = 1.5
DEPARTMENTS: Final = tuple(f"Division {a}/Office {b}/Team {c}" for a in range(10) for b in range(10) for c in range(5))
_SURNAMES: Final = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
_GIVEN: Final = "伟芳娜敏静秀丽强磊洋艳勇军杰娟涛超明霞平刚英华慧"
_LATIN: Final = ("Anna", "Boris", "Chen", "Dora", "Emil", "Fatima", "Georg", "Hanna", "Ivan", "Jana", "Karl", "Lena")
_AT_ONCE: Final = 20_000


def others(domains: int) -> Sequence[str]:
    """Beside 123.com: its branches, and customers of a provider, with four departments each."""
    return (*OTHERS, *(f"customer{n:05}.example" for n in range(domains - 1 - len(OTHERS))))[: domains - 1]


def account(number: int, now: int, others: Sequence[str] = OTHERS) -> dict[str, Any]:
    """The row of one."""
    dice = random.Random(number)
    domain = DOMAIN if dice.random() < 0.8 else dice.choice(others)
    state = dice.choices([name for name, _ in STATES], [weight for _, weight in STATES])[0]
    here = state in {"moved", "final"}
    listed = max(1, round(dice.lognormvariate(0, SPREAD) * MEDIAN)) if state not in {"waiting"} else 0
    done = listed if here else dice.randrange(listed + 1)
    octets = dice.randrange(20_000, 90_000)
    reason = dice.choice(REASONS) if state == "blocked" or (listed and dice.random() < 0.004) else ""
    sealed = state in {"moving", "moved", "blocked"}
    full = dice.choice(_SURNAMES) + "".join(dice.choices(_GIVEN, k=dice.choice((1, 2))))
    if dice.random() < 0.5:
        full = f"{dice.choice(_LATIN)} {dice.choice(('Huber', 'Ivanova', 'Kim', 'Lopez', 'Meyer', 'Novak'))}"
    return {
        "id": number,
        "domain": domain,
        "local": f"{dice.choice(('a', 'b', 'info', 'sales', 'user'))}.{number:07}",
        "state": state,
        "reason": reason,
        "password_hash": f"$argon2id$v=19$m=19456,t=2,p=1${number:022}${'h' * 43}" if state != "waiting" else None,
        "sealed_password": b"\1" + number.to_bytes(8, "big") + bytes(42) if sealed else None,
        "password_state": "rejected" if sealed and dice.random() < 0.003 else "known",
        "created": now - 90 * 86_400,
        "last_login": now - dice.randrange(30 * 86_400) if state != "waiting" else None,
        "refreshed": now - dice.randrange(6 * 3_600) if here else None,
        "messages_done": done,
        "messages_total": listed,
        "bytes_done": done * octets,
        "bytes_total": listed * octets,
        "due": now + 3_600 + dice.randrange(6 * 3_600) if state in {"moved", "moving"} else None,  # none while it lasts
        "paused": int(dice.random() < 0.001),
        "tries": 1 if reason else 0,
        "full_name": full,
        "department": dice.choice(DEPARTMENTS[:: 1 if domain == DOMAIN else 25 if domain in OTHERS else 125]),
        "quota": 5 * 1024**3 if dice.random() < 0.1 else None,
        "legacy_login": f"old{number}" if dice.random() < 0.01 else "",
        "enrolled": now - 90 * 86_400,
        "finalized": now - 86_400 if state == "final" else None,
        "trace": f"{number:08x}",
    }


def _aliases(count: int) -> Iterator[dict[str, Any]]:
    return ({"domain": DOMAIN, "local": f"alias.{n:07}", "account_id": n} for n in range(1, count + 1, 10))


def _notices(count: int, now: int) -> Iterator[dict[str, Any]]:
    """Half have had one; of them one in fifty was refused."""
    for number in range(1, count + 1, 2):
        refused = number % 50 == 1
        yield {
            "account_id": number,
            "kind": "notice",
            "begun": now - 30 * 86_400,
            "sent": None if refused else now - 30 * 86_400,
            "address": f"{number:07}@123.com",
            "refusal": "550 no such user" if refused else "",
        }


def _samples(count: int, now: int, others: Sequence[str]) -> Iterator[dict[str, Any]]:
    """As many as `mailstore.samples` keeps of a year at most; of customers those of a move that took a day."""
    for domain in set(others).difference(OTHERS):
        for ago in range(30 * 86_400, 29 * 86_400, -3_600):
            yield {"domain": domain, "taken": now - ago, "moved": 0, "messages": 0, "bytes": 0}
    spans = (365 * 86_400, *(age for age, _ in reversed(THINNED)), 0)
    steps = (*(every for _, every in reversed(THINNED)), 60)
    for domain in (DOMAIN, *OTHERS):
        for (begin, end), every in zip(pairwise(spans), steps, strict=True):
            for ago in range(begin, end, -every):
                done = round(count * (1 - ago / (400 * 86_400)))
                yield {
                    "domain": domain,
                    "taken": now - ago,
                    "moved": done,
                    "messages": done * 1_200,
                    "bytes": done * 60_000_000,
                }


def _sessions(now: int) -> Iterator[dict[str, Any]]:
    for number in range(10_000):
        token, subject = number.to_bytes(32, "big"), f"user.{number:07}@123.com"
        yield {"token": token, "place": "portal", "subject": subject, "csrf": "x", "created": now, "used": now}


def fill(database: AccountsDatabase, count: int, domains: int = 1 + len(OTHERS)) -> dict[str, int]:
    """Put them all in; gives back how many rows of each table that were. Tails of names and standings of notices are
    made at the end, as a migration makes them: one by one they would take most of the time."""
    now, names = int(time.time()), others(domains)
    tables: Sequence[tuple[Table, Iterable[dict[str, Any]]]] = (
        (accounts, (account(number, now, names) for number in range(1, count + 1))),
        (aliases, _aliases(count)),
        (notices, _notices(count, now)),
        (samples, _samples(count, now, names)),
        (web_sessions, _sessions(now)),
        (paused_domains, [{"domain": OTHERS[0], "since": now - 3_600}]),
    )
    server = database.engine is not None
    with database.write() as connection:
        for name, table in _ENTERING.items():
            off = f"ALTER TABLE {table} DISABLE TRIGGER {name}" if server else f"DROP TRIGGER {name}"
            connection.exec_driver_sql(off)
    put = _copy if server else _insert
    found = {table.name: put(database, table, rows) for table, rows in tables}
    with database.write() as connection, ExitStack() as long:
        if server:
            long.enter_context(patience(connection.connection.driver_connection))
            for setting in ("statement_timeout = 0", "work_mem = '512MB'"):
                connection.exec_driver_sql(f"SET LOCAL {setting}")
            for name in ("accounts", "notices"):
                connection.exec_driver_sql(
                    f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), max(id)) FROM {name}"
                )
                connection.exec_driver_sql(f"ANALYZE {name}")
        for statement in (
            notice_counters.FILL[0],
            name_tails.FILL,
        ):  # what the first one enters is counted by a trigger
            connection.exec_driver_sql(statement)
        if server:  # as if another connection had entered some of it, as much as is left to be joined
            zeros = ", ".join("0" for _ in SUMS)
            connection.exec_driver_sql(
                f"INSERT INTO figures SELECT domain, department, state, -1, {zeros} FROM figures LIMIT {SCATTERED}"
            )
        for name, table in _ENTERING.items():
            again = next(text for text in _TRIGGERS if f"TRIGGER {name} " in text)
            connection.exec_driver_sql(f"ALTER TABLE {table} ENABLE TRIGGER {name}" if server else again)
        for name in sorted(DERIVED):
            found[name] = int(connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar_one())
    return found


_ENTERING: Final = {
    "accounts_names_insert": "accounts",
    "aliases_names_insert": "aliases",
    "notices_standings_insert": "notices",
}
_TRIGGERS: Final = (*name_tails.SQLITE, *notice_counters.SQLITE)


def _copy(database: AccountsDatabase, table: Table, rows: Iterable[dict[str, Any]]) -> int:
    """Into a server."""
    left, count = iter(rows), 0
    while some := list(islice(left, _AT_ONCE)):
        names = list(some[0])
        with database.write() as connection:
            driver: Any = connection.connection.driver_connection
            statement = f"COPY {table.name} ({', '.join(names)}) FROM STDIN"
            with driver.cursor() as cursor, cursor.copy(statement) as copy:
                for row in some:
                    copy.write_row([row[name] for name in names])
        count += len(some)
    return count


def _insert(database: AccountsDatabase, table: Table, rows: Iterable[dict[str, Any]]) -> int:
    left, count = iter(rows), 0
    while some := list(islice(left, _AT_ONCE)):
        with database.write() as connection:
            connection.execute(insert(table), some)
        count += len(some)
    return count
