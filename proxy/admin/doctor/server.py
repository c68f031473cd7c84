"""PostgreSQL, as `store` and `mailboxes` tell of files: facts and figures, no address and nobody's name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, text

from mailstore.refusals import storage_errors
from mailstore.schema import HEAD
from mailstore.server_facts import facts
from proxy.admin import databases
from proxy.admin.doctor.hiding import Hiding
from proxy.admin.doctor.mailboxes import SAMPLE, files_in
from proxy.admin.doctor.store import DUE, PASSWORDS, REASONS, STATES, troubles
from proxy.config import Storage

_SIZES = text("SELECT relname, n_live_tup FROM pg_stat_user_tables ORDER BY relname")
_ACTIVITY = text(
    "SELECT application_name, state, count(*) FROM pg_stat_activity WHERE datname = current_database() GROUP BY 1, 2"
)
_SOME = text(
    "SELECT id, local, domain, state FROM accounts WHERE state <> 'waiting' ORDER BY reason = '', random() LIMIT :n"
)
_OUTCOMES = text("SELECT outcome, count(*) FROM ledger WHERE account_id = :i GROUP BY outcome")
_INDEXED = text("SELECT count(*) FROM messages WHERE account_id = :i")
_PROVEN = text("SELECT domain, account, proven FROM proofs ORDER BY domain")


@contextmanager
def _asked(storage: Storage) -> Iterator[tuple[Engine, Connection]]:
    engine = databases.server(storage, "mailferry doctor")
    try:
        with storage_errors(), engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            yield engine, connection
    finally:
        engine.dispose()


def _counts(rows: Iterable[Any]) -> dict[str, int]:
    return {str(name): int(count) for name, count in rows}


def server_store(storage: Storage, hiding: Hiding) -> dict[str, Any]:
    """Raises MailstoreError."""
    with _asked(storage) as (engine, connection):
        found: dict[str, Any] = {"server": asdict(facts(engine)), "schema of this version": HEAD}
        found["rows, about"] = _counts(connection.execute(_SIZES))
        activity: Counter[str] = Counter()
        for name, state, count in connection.execute(_ACTIVITY):
            ours = name if str(name).startswith("mailferry") else "another program"
            activity[f"{ours}, {state}"] += count
        found["connections"] = dict(activity)
        states: dict[str, dict[str, int]] = {}
        for domain, state, count in connection.execute(text(STATES)):
            states.setdefault(domain, {})[state] = count
        found["accounts"] = states
        found["sealed passwords"] = _counts(connection.execute(text(PASSWORDS)))
        found["queue"] = {
            domain: {"due or paused": count, "asked": asked, "first due": due, "paused": paused}
            for domain, count, asked, due, paused in connection.execute(text(DUE))
        }
        return found | troubles(connection.execute(text(REASONS)), hiding)


def server_mailboxes(storage: Storage, maildir_of: Callable[[str, str], Path], hiding: Hiding) -> list[dict[str, Any]]:
    """Raises MailstoreError."""
    found = []
    with _asked(storage) as (_, connection):
        for number, local, domain, state in connection.execute(_SOME, {"n": SAMPLE}).all():
            about: dict[str, Any] = {"account": hiding.account(f"{local}@{domain}"), "state": state}
            about["ledger"] = _counts(connection.execute(_OUTCOMES, {"i": number}))
            about["in the index"] = connection.execute(_INDEXED, {"i": number}).scalar_one()
            try:
                about["files"] = files_in(maildir_of(local, domain))
            except OSError as error:
                about["trouble"] = error.strerror
            found.append(about)
    return found


def server_proven(storage: Storage, hiding: Hiding) -> dict[str, Any]:
    """Raises MailstoreError."""
    with _asked(storage) as (_, connection):
        rows = connection.execute(_PROVEN).all()
    return {domain: {"account": hiding.account(account), "proven": at} for domain, account, at in rows}
