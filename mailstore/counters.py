"""What an administrator sees of all accounts is kept, and not counted: the table `figures`, and what keeps it.

A row is what all accounts of one domain, one department and one state add up to. The database keeps it by itself, by
triggers, in the transaction that changes an account: whoever writes there, nobody can forget it, and what is rolled
back was never counted. Whoever reads adds rows up: `slot` is which of several writers a row belongs to, so that two
transactions of a server never wait for each other's figures. In SQLite, where one writes at a time, it is always 0.

A migration that makes `accounts` anew (Alembic's batch mode) loses triggers that are on it: it has to make them again.
"""

from __future__ import annotations

from typing import Final

# Something is to be said about it: it needs a person, or one should know. One text, wherever it is asked: the index of
# those accounts is taken only by who asks in these words.
ATTENTION: Final = "(reason <> '' OR state = 'blocked' OR password_state = 'rejected')"

_SUMS: Final = {
    "accounts": "1",
    "attention": (
        "CASE WHEN {0}.reason <> '' OR {0}.state = 'blocked' OR {0}.password_state = 'rejected' THEN 1 ELSE 0 END"
    ),
    "known": "CASE WHEN {0}.messages_total > 0 OR {0}.refreshed IS NOT NULL THEN 1 ELSE 0 END",
    "messages_done": "{0}.messages_done",
    "messages_listed": "{0}.messages_total",
    "bytes_done": "{0}.bytes_done",
    "bytes_listed": "{0}.bytes_total",
}
SUMS: Final = tuple(_SUMS)
_KEY: Final = ("domain", "department", "state")
_COLUMNS: Final = ", ".join((*_KEY, "slot", *SUMS))
_ADD: Final = ", ".join(f"{name} = figures.{name} + excluded.{name}" for name in SUMS)
_UPSERT: Final = f"ON CONFLICT (domain, department, state, slot) DO UPDATE SET {_ADD}"
_WATCHED: Final = (
    *_KEY,
    "reason",
    "password_state",
    "refreshed",
    *("messages_done", "messages_total"),
    *("bytes_done", "bytes_total"),
)


def _values(row: str, sign: str, *, slot: str) -> str:
    key = ", ".join(f"{row}.{name}" for name in _KEY)
    return f"{key}, {slot}, " + ", ".join(f"{sign}({text.format(row)})" for text in _SUMS.values())


def _enter(row: str, sign: str = "") -> str:
    values = _values(row, sign, slot="0")
    return f"INSERT INTO figures ({_COLUMNS}) VALUES ({values}) {_UPSERT};"  # noqa: S608 - constants of ours


def _differs() -> str:
    """A login, or when a move is due, changes no figure."""
    key = [f"old.{name} <> new.{name}" for name in _KEY]
    return " OR ".join(key + [f"({t.format('old')}) <> ({t.format('new')})" for t in list(_SUMS.values())[1:]])


SQLITE: Final = (
    f"CREATE TRIGGER accounts_figures_insert AFTER INSERT ON accounts BEGIN {_enter('new')} END",
    f"CREATE TRIGGER accounts_figures_delete AFTER DELETE ON accounts BEGIN {_enter('old', '-')} END",
    f"CREATE TRIGGER accounts_figures_update AFTER UPDATE OF {', '.join(_WATCHED)} ON accounts WHEN {_differs()} "
    f"BEGIN {_enter('old', '-')} {_enter('new')} END",
)

# In PostgreSQL a statement's rows are added up first, and entered where only this server process writes: `slot` is its
# number. What changes no figure enters nothing.
_OWN: Final = "pg_backend_pid()"


def _function(what: str, rows: str) -> str:
    some = " OR ".join(f"sum({name}) <> 0" for name in SUMS)
    sums = ", ".join(f"sum({name})" for name in SUMS)
    return f"""
    CREATE FUNCTION accounts_figures_{what}() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO figures ({_COLUMNS})
        SELECT domain, department, state, {_OWN}, {sums} FROM ({rows}) AS changes
        GROUP BY domain, department, state HAVING {some}
        {_UPSERT};
        RETURN NULL;
    END $$
    """  # noqa: S608


def _rows(table: str, sign: str = "") -> str:
    sums = ", ".join(f"{sign}({text.format(table)}) AS {name}" for name, text in _SUMS.items())
    return f"SELECT domain, department, state, {sums} FROM {table}"  # noqa: S608


def _trigger(what: str, tables: str) -> str:
    return (
        f"CREATE TRIGGER accounts_figures_{what} AFTER {what} ON accounts REFERENCING {tables} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION accounts_figures_{what}()"
    )


_OLD, _NEW = "OLD TABLE AS was", "NEW TABLE AS became"
POSTGRES: Final = (
    _function("insert", _rows("became")),
    _function("delete", _rows("was", "-")),
    _function("update", f"{_rows('was', '-')} UNION ALL {_rows('became')}"),
    _trigger("insert", _NEW),
    _trigger("delete", _OLD),
    _trigger("update", f"{_OLD} {_NEW}"),
)

# What several processes of the server have entered, joined: else whoever adds up would read a row for each connection
# of each node. What somebody is just writing stays; who comes to write there waits a moment, and begins a new row.
FOLD: Final = f"""
    WITH gone AS (
        DELETE FROM figures WHERE (domain, department, state, slot) IN (
            SELECT domain, department, state, slot FROM figures WHERE slot <> 0 LIMIT :most FOR UPDATE SKIP LOCKED
        ) RETURNING *
    )
    INSERT INTO figures ({_COLUMNS})
    SELECT domain, department, state, 0, {", ".join(f"sum({name})" for name in SUMS)} FROM gone
    GROUP BY domain, department, state
    {_UPSERT}
"""  # noqa: S608

# Where accounts are there already.
FILL: Final = (
    f"INSERT INTO figures ({_COLUMNS}) SELECT domain, department, state, 0, "  # noqa: S608
    + ", ".join(f"sum({text.format('accounts')})" for text in _SUMS.values())
    + " FROM accounts GROUP BY domain, department, state"
)
