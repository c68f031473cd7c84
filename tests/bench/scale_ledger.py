"""Ledgers and indexes at scale: what a row costs, and that a question is as quick among ten million rows as among one.

Every question that is asked of a ledger or an index is one account's. A hundred million rows are therefore measured by
ten million: among a tenth of them, in a database beside, each question takes as long, asked in turn, and what a row
costs is the same. In SQLite the rows of an account are a file of their own, so that there is nothing to compare.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, insert, select, text

from mailstore.ledger import Ledger
from mailstore.mailbox import Mailbox
from mailstore.opening import mailboxes, open_mailbox
from mailstore.postgres_mailbox import PostgresMailboxes
from mailstore.schema import ledger, messages
from mailstore.silence import patience
from tests.bench.scale_ground import beside, settle

OF_EACH: Final = 1_000  # messages of an account
_WARM: Final = 10
_ROUNDS: Final = 50
_TURNS: Final = 5
_STEP: Final = 500  # accounts that are filled in one statement

_LEDGER: Final = text("""
    INSERT INTO ledger (account_id, id, position, uidl, octets, outcome, uid, sha256, updated, likeness)
    SELECT a, n, n, 'UID' || n || '-1700000000', 3000 + (a * 7919 + n * 104729) % 90000, 'stored', n,
        decode(md5(a || '.' || n) || md5(n || '-' || a), 'hex'), 1700000000,
        decode(md5(n || '/' || a) || md5('' || n), 'hex')
    FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS a,
        generate_series(1, CAST(:each AS bigint)) AS n
""")
_MESSAGES: Final = text("""
    INSERT INTO messages
        (account_id, folder_id, uid, modseq, flags, size, internal_date, uidl, file, save_date, line_ends)
    SELECT a, 1, n, n, '\\Seen', 3000 + (a * 7919 + n * 104729) % 90000, 1600000000 + n, 'UID' || n || '-1700000000',
        '1700000000.M' || n || 'P1.mail,S=12345,W=12388', 1700000000, 'exact'
    FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS a,
        generate_series(1, CAST(:each AS bigint)) AS n
""")


def ledger_row(number: int) -> dict[str, Any]:
    """As a message that is here has it."""
    octets = number.to_bytes(8, "big")
    return {
        "account_id": 1,
        "id": number,
        "position": number,
        "uidl": f"UID{number}-1700000000",
        "uid": number,
        "octets": 50_000,
        "outcome": "stored",
        "updated": 1_700_000_000,
        "sha256": octets * 4,
        "likeness": octets * 4,
    }


def message_row(number: int) -> dict[str, Any]:
    return {
        "account_id": 1,
        "folder_id": 1,
        "uid": number,
        "modseq": number,
        "flags": "\\Seen",
        "size": 50_000,
        "internal_date": 1_600_000_000 + number,
        "uidl": f"UID{number}-1700000000",
        "save_date": 1_700_000_000,
        "file": f"1700000000.M{number}P1.mail,S=12345,W=12388",
    }


def questions(box: Mailbox, account_id: int) -> Iterator[tuple[str, Callable[[], object]]]:
    """What a move, a session, `verify` and the console ask of one account."""
    kept = Ledger(box, account_id, announce=lambda *_: None, clock=time.time)
    m = messages.c
    of_inbox = select(m.uid, m.flags, m.modseq).where(m.account_id == account_id, m.folder_id == 1).order_by(m.uid)
    whole = select(messages).where(m.account_id == account_id, m.folder_id == 1, m.uid == OF_EACH // 2)
    latest = select(m.uid).where(m.account_id == account_id, m.folder_id == 1, m.modseq > OF_EACH - 10)

    def read(statement: Any) -> Any:
        with box.read() as connection:
            return connection.execute(statement).all()

    yield "all rows of the ledger (a later move)", kept.entries
    yield "how far it is (each barrier)", kept.sums
    yield "what is in quarantine", kept.quarantined
    yield "an attempt is counted (written)", lambda: kept.count_attempt(OF_EACH // 2, "it was cut off")
    yield "UIDs and flags of the inbox (SELECT)", partial(read, of_inbox)
    yield "one message (FETCH)", partial(read, whole)
    yield "what has changed since a modseq", partial(read, latest)


def costs(question: Callable[[], object], used: Callable[[], float] | None = None) -> tuple[float, float]:
    """Seconds by the clock, at the least, and of processors on average, with what a server has `used`."""
    for _ in range(_WARM):  # plans are made, and pages are read
        question()
    found, before = [], time.process_time() + (used() if used else 0.0)
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        question()
        found.append(time.perf_counter() - began)
    return min(found), (time.process_time() + (used() if used else 0.0) - before) / _ROUNDS


def in_server(engine: Engine, rows: int, used: Callable[[], float] | None) -> Iterator[str]:
    """Fill this database, and one beside it with a tenth; ask both in turn."""
    accounts = max(10, rows // OF_EACH)
    with beside(engine) as small:
        yield from _filled(small, accounts // 10)
        yield from _filled(engine, accounts)
        asked = [(PostgresMailboxes(one), number) for one, number in ((small, accounts // 20), (engine, accounts // 2))]
        found: dict[str, list[list[tuple[float, float]]]] = {}
        for _ in range(_TURNS):
            for which, (boxes, number) in enumerate(asked):
                box = boxes.open(number)
                for name, question in questions(box, number):
                    found.setdefault(name, [[], []])[which].append(costs(question, used))
                box.close()
    yield f"{f'of an account of {OF_EACH:,} messages: clock, processors':<58} {'a tenth':>17} {'all':>17}  ms"
    for name, both in found.items():
        before, after = ([sorted(figures)[_TURNS // 2] for figures in zip(*one, strict=True)] for one in both)
        figures = " ".join(f"{1000 * figure:>8.2f}" for figure in (*before, *after))
        yield f"{name:<58} {figures} {after[1] / before[1]:>6.2f}"


def _filled(engine: Engine, accounts: int) -> Iterator[str]:
    began = time.perf_counter()
    for first in range(1, accounts + 1, _STEP):
        with engine.begin() as connection, patience(connection.connection.driver_connection):
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            for statement in (_LEDGER, _MESSAGES):
                last = min(first + _STEP - 1, accounts)
                connection.execute(statement, {"first": first, "last": last, "each": OF_EACH})
    settle(engine, "ledger, messages")
    with engine.connect() as connection:
        for name in ("ledger", "messages"):
            size = int(connection.execute(text(f"SELECT pg_total_relation_size('{name}')")).scalar_one())
            row = size / (accounts * OF_EACH)
            yield f"{name}: {accounts * OF_EACH:>12,} rows {size / 1e6:>9,.0f} MB {row:>6.0f} octets a row, indexed"
    yield f"(filled in {time.perf_counter() - began:.0f} s)"


def in_file(place: Path, rows: int = 20_000) -> Iterator[str]:
    """One mailbox."""
    maildir = place / "Maildir"
    maildir.mkdir()
    engine = mailboxes()
    box = open_mailbox(engine, 1, maildir, lambda *_event, **_figures: None)
    path = maildir.with_name("Maildir.db")
    try:
        for table, row in ((ledger, ledger_row), (messages, message_row)):
            before = _size(path)
            with box.write() as connection:
                connection.execute(insert(table), [row(number) for number in range(1, rows + 1)])
            yield f"{table.name}: {(_size(path) - before) / rows:.0f} octets a row, indexed, in a file of its own"
        for name, question in questions(box, 1):
            yield f"{name:<58} {1000 * costs(question)[1]:>8.2f} ms of processor time, of {rows:,}"
    finally:
        box.close()


def _size(path: Path) -> int:
    """With what is in the log beside it taken in."""
    import sqlite3

    with sqlite3.connect(path) as plain:
        plain.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        pages, size = (int(plain.execute(f"PRAGMA {what}").fetchone()[0]) for what in ("page_count", "page_size"))
    plain.close()
    return pages * size
