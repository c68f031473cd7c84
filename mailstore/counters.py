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

# Where accounts are there already.
FILL: Final = (
    f"INSERT INTO figures ({_COLUMNS}) SELECT domain, department, state, 0, "  # noqa: S608
    + ", ".join(f"sum({text.format('accounts')})" for text in _SUMS.values())
    + " FROM accounts GROUP BY domain, department, state"
)
