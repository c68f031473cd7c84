"""What indexes and triggers for administrators cost a login: tests/bench/run scale_logins …

    tests/bench/run scale_logins [--accounts 100000] [--logins 300] [--rounds 3] [--postgresql]

The same statements of the gate and the mover, in the same company, with all that there is; without the tails of names
and the standings of notices (revision 0016); and without the figures and the indexes of every order as well (0015).
They take turns. Of SQLite it is processor time, which has no waiting for the disk in it; of PostgreSQL the least by the
clock, with a server that waits for no disk. A first login asks the old server and hashes a password besides, 30 ms.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Final

from mailstore.accounts import Accounts
from mailstore.accounts_server import AccountsServer
from mailstore.database import AccountsDatabase
from mailstore.postgres import address, postgres_engine
from tests.bench.ground import ground
from tests.bench.scale_ground import empty_log, settle
from tests.bench.scale_rows import DOMAIN, fill
from tests.postgres.server import PostgresServer

LEFT_OUT: Final = {
    "with all": ((), ()),
    "without 0016": (("accounts_names_%", "accounts_standings_%"), ()),
    "without 0015": (
        ("accounts_names_%", "accounts_standings_%", "accounts_figures_%"),
        ("accounts_last_login", "accounts_size", "accounts_attention", "accounts_paused", "accounts_legacy_login"),
    ),
}


def leave_out(database: AccountsDatabase, what: str) -> None:
    triggers, indexes = LEFT_OUT[what]
    names = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE '{}'"
    if database.engine is not None:
        names = "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgname LIKE '{}'"
    with database.write() as connection:
        for like in triggers:
            for (name,) in connection.exec_driver_sql(names.format(like.replace("%", "%%"))).all():
                on = " ON accounts" if database.engine is not None else ""
                connection.exec_driver_sql(f"DROP TRIGGER {name}{on}")
        for name in indexes:
            connection.exec_driver_sql(f"DROP INDEX {name}")


def steps(database: AccountsDatabase, numbers: range, logins: int) -> Iterator[tuple[str, Callable[[int], object]]]:
    """Each for an account of its own."""
    accounts = Accounts(database)
    first = numbers.start
    made: dict[int, int] = {}

    def stranger(n: int) -> None:
        made[n] = accounts.admit(f"new.user.{first + n:07}", DOMAIN, b"sealed" * 8, "$argon2id$").id

    yield "first login of somebody unknown", stranger
    yield "his move begins", lambda n: accounts.begun(made[n])
    yield "how far it is", lambda n: accounts.progress(made[n], (500 + n, 1_200), (10**7, 5 * 10**7))
    yield "it ends", lambda n: accounts.moved(made[n], next_in=3_600.0, far=((1_200, 1_200), (5 * 10**7, 5 * 10**7)))
    yield "a later login", lambda n: accounts.logged_in(made[n])
    yield "a look for new mail ends", lambda n: accounts.moved(made[n], next_in=3_600.0)


def measure(databases: dict[str, AccountsDatabase], logins: int, rounds: int) -> None:
    clock = time.process_time if all(each.engine is None for each in databases.values()) else time.perf_counter
    found: dict[str, dict[str, float]] = {}
    for number in range(rounds):
        for name, database in databases.items():
            begin = 1_000_000 + number * logins
            for step, do in steps(database, range(begin, begin + logins), logins):
                began = clock()
                for n in range(logins):
                    do(n)
                took = (clock() - began) / logins
                least = found.setdefault(step, {})
                least[name] = min(took, least.get(name, took))
    print(f"{'µs each, the least of the rounds':<36}" + "".join(f"{name:>16}" for name in databases))
    for step, least in found.items():
        print(f"{step:<36}" + "".join(f"{1e6 * least[name]:>16,.0f}" for name in databases))
    sums = {name: sum(least[name] for least in found.values()) for name in databases}
    print(f"{'all of it':<36}" + "".join(f"{1e6 * sums[name]:>16,.0f}" for name in databases))


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests/bench/run scale_logins")
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--logins", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--postgresql", action="store_true")
    given = parser.parse_args()
    with ExitStack() as stack:
        place = stack.enter_context(ground())
        databases: dict[str, AccountsDatabase] = {}
        if given.postgresql:
            server = PostgresServer("shared_buffers = 512MB")
            stack.callback(server.remove)
        path = place.fresh("logins") / "accounts.db"
        for name in LEFT_OUT:
            if given.postgresql:
                engine = postgres_engine(address(server.url(server.make_database())), connections=2)
                database = AccountsDatabase(AccountsServer(engine))
                fill(database, given.accounts)
                settle(engine)
            elif not databases:
                database = AccountsDatabase(path)
                fill(database, given.accounts)
                empty_log(path)
                shutil.copy(path, path.with_name("filled.db"))
            else:
                of_its_own = path.with_name(f"{len(databases)}.db")
                shutil.copy(path.with_name("filled.db"), of_its_own)
                database = AccountsDatabase(of_its_own)
            stack.callback(database.close)
            leave_out(database, name)
            databases[name] = database
        measure(databases, given.logins, given.rounds)


if __name__ == "__main__":
    main()
