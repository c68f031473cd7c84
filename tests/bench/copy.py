"""`mailferry storage copy` of many mailboxes: how quick it is, and what it takes.

    tests/bench/run copy [--mailboxes 1000] [--messages 1000]

Accounts are made in files of SQLite, with as many rows of messages and of the ledger each, without their mail, which no
copy touches. Nobody serves meanwhile. Every row is read back by the copy itself, and compared.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from mailstore.accounts import Accounts
from mailstore.database import AccountsDatabase
from mailstore.entries import Outcome
from mailstore.mailbox_database import MailboxEngine
from mailstore.mailhome import MailHome, index_path
from tests.bench.ground import ground
from tests.bench.stores import Work, postgresql

_DOMAIN = "123.com"
_LEDGER = ("id", "position", "uidl", "octets", "outcome", "uid", "sha256", "updated", "likeness")
_MESSAGES = ("folder_id", "uid", "modseq", "flags", "size", "internal_date", "uidl", "file", "save_date")
_NOW = 1_790_000_000


def _ledger(account_id: int, count: int) -> Iterator[tuple[Any, ...]]:
    for n in range(1, count + 1):
        digest = (account_id * 1_000_003 + n).to_bytes(8, "big") * 4
        yield (
            account_id,
            n,
            n,
            f"00{account_id:06x}{n:08x}",
            4_000 + n,
            Outcome.STORED.value,
            n,
            digest,
            _NOW,
            digest[:16],
        )


def _messages(account_id: int, count: int) -> Iterator[tuple[Any, ...]]:
    for n in range(1, count + 1):
        file = f"{1_230_000_000 + n}.L{n}_{account_id:016x}.mail,S={4_000 + n},W={4_100 + n}"
        uidl = f"00{account_id:06x}{n:08x}"
        yield account_id, 1, n, 2, "\\Seen" if n % 3 else "", 4_000 + n, 1_230_000_000 + n, uidl, file, _NOW


def _insert(
    connection: sqlite3.Connection, table: str, names: tuple[str, ...], rows: Iterator[tuple[Any, ...]]
) -> None:
    marks = ", ".join("?" * (len(names) + 1))
    connection.executemany(f"INSERT INTO {table} (account_id, {', '.join(names)}) VALUES ({marks})", rows)


def fill(state: Path, mailboxes: int, messages: int) -> None:
    """An installation whose mail has all come over."""
    engine = MailboxEngine()
    with closing(AccountsDatabase(state / "accounts.db")) as database:
        accounts = Accounts(database)
        ids = [accounts.add(f"user{n:06}", _DOMAIN).id for n in range(mailboxes)]
    for n, account_id in enumerate(ids):
        maildir = state / "mail" / _DOMAIN / f"user{n:06}" / "Maildir"
        maildir.parent.mkdir(parents=True)
        MailHome(engine, account_id, maildir).close()
        with closing(sqlite3.connect(index_path(maildir))) as connection, connection:
            connection.execute("PRAGMA synchronous=OFF")
            _insert(connection, "ledger", _LEDGER, _ledger(account_id, messages))
            _insert(connection, "messages", _MESSAGES, _messages(account_id, messages))
            connection.execute("UPDATE folders SET uidnext = ?, highestmodseq = 2 WHERE id = 1", (messages + 1,))


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/bench/run copy")
    parser.add_argument("--mailboxes", type=int, default=1_000)
    parser.add_argument("--messages", type=int, default=1_000)
    options = parser.parse_args()
    rows = 2 * options.mailboxes * options.messages
    with ground() as place, postgresql() as server:
        root = place.fresh("mailferry")
        state, config, database = root / "state", root / "mailferry.toml", server.make_database()
        fill(state, options.mailboxes, options.messages)
        config.write_text(
            f'hostname = "localhost"\nstate = "{state}"\n[listen]\nimap = ["tcp:143"]\n'
            f'[domain."{_DOMAIN}".legacy]\nhost = "pop.old.123.com"\n'
        )
        address = server.url(database)
        command = [sys.executable, "-m", "proxy.cli.main", "storage", "copy", "--config", str(config), "--to", address]
        before, begun = Work.so_far([], server), time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        took = time.monotonic() - begun
        of_server = (Work.so_far([], server) - before).server
        if process.returncode:
            return 1
        ((octets,),) = server.admin(f"SELECT pg_database_size('{database}')")
    work = usage.ru_utime + usage.ru_stime
    print(
        f"{rows:,} rows of ledger and messages in {took:.1f} s: {rows / took:,.0f} a second; "
        f"{1e6 * work / rows:.1f} µs of processor time each, and {1e6 * of_server / rows:.1f} µs of the server's; "
        f"{usage.ru_maxrss / 1024:.0f} MiB at most; the database has {octets / 1e6:,.0f} MB, "
        f"{2 * octets / rows:.0f} octets a message"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
