"""By which part of a name is an account found? By the index of the names' tails, and what keeps it.

A *tail* is what a name has from one of its characters on, up to `LONGEST` of them: whatever is part of a name begins
one of its tails, so that all who have it are one range of an index, in both databases, for one Chinese character as for
an address. An account's names are its local part, its full name and its aliases' local parts. Letters are small as
SQL's `lower` makes them, which knows those of ASCII (in PostgreSQL, of text that is compared octet by octet). Of a name
of more than `POSITIONS` characters the rest has no tails; such an account has an empty one, and is always looked at.

Triggers keep them; a login or a move changes no name. Who is found is said by `mailstore.naming`.
"""

from __future__ import annotations

from typing import Final

LONGEST: Final = 24
POSITIONS: Final = 64

_AT: Final = f"SELECT 0 AS at UNION ALL VALUES {', '.join(f'({at})' for at in range(1, POSITIONS + 1))}"
_RENAMED: Final = "old.local <> new.local OR old.full_name <> new.full_name"
_SAID_ANEW: Final = "old.local <> new.local OR old.account_id <> new.account_id"


def _tail(name: str) -> str:
    return f"CASE places.at WHEN 0 THEN '' ELSE substr(lower({name}), places.at, {LONGEST}) END"


def _is_one(name: str) -> str:
    return f"places.at BETWEEN CASE WHEN length({name}) > {POSITIONS} THEN 0 ELSE 1 END AND length({name})"


def _enter(names: str, order: str = "") -> str:
    return (
        f"INSERT INTO name_tails (tail, account_id) SELECT {_tail('names.name')}, names.id "  # noqa: S608
        f"FROM ({names}) AS names CROSS JOIN ({_AT}) AS places "
        f"WHERE {_is_one('names.name')}{order} ON CONFLICT DO NOTHING"
    )


def _names(number: str) -> str:
    """All of one account."""
    return " UNION ALL ".join(
        (
            f"SELECT id, local AS name FROM accounts WHERE id = {number}",  # noqa: S608
            f"SELECT id, full_name FROM accounts WHERE id = {number}",  # noqa: S608
            f"SELECT account_id, local FROM aliases WHERE account_id = {number}",  # noqa: S608
        )
    )


_ALIAS: Final = "SELECT new.account_id AS id, new.local AS name"


def _leave(number: str, name: str) -> str:
    return (
        f"DELETE FROM name_tails WHERE account_id = {number} AND tail IN "  # noqa: S608
        f"(SELECT {_tail(name)} FROM ({_AT}) AS places WHERE {_is_one(name)})"
    )


_KEEPING: Final[dict[str, tuple[str, str, tuple[str, ...]]]] = {
    "accounts_names_insert": ("INSERT ON accounts", "", (_enter(_names("new.id")),)),
    "accounts_names_update": (
        "UPDATE OF local, full_name ON accounts",
        _RENAMED,
        (_leave("old.id", "old.local"), _leave("old.id", "old.full_name"), _enter(_names("new.id"))),
    ),
    "accounts_names_delete": (
        "DELETE ON accounts",
        "",
        (_leave("old.id", "old.local"), _leave("old.id", "old.full_name")),
    ),
    "aliases_names_insert": ("INSERT ON aliases", "", (_enter(_ALIAS),)),
    "aliases_names_update": (
        "UPDATE OF local, account_id ON aliases",
        _SAID_ANEW,
        (_leave("old.account_id", "old.local"), _enter(_names("old.account_id")), _enter(_names("new.account_id"))),
    ),
    "aliases_names_delete": (
        "DELETE ON aliases",
        "",
        (_leave("old.account_id", "old.local"), _enter(_names("old.account_id"))),
    ),
}


def _sqlite(name: str) -> str:
    event, when, statements = _KEEPING[name]
    condition = f" WHEN {when}" if when else ""
    return f"CREATE TRIGGER {name} AFTER {event}{condition} BEGIN {' '.join(f'{each};' for each in statements)} END"


def _function(name: str) -> str:
    body = " ".join(f"{each};" for each in _KEEPING[name][2])
    return f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NULL; END $$"


def _postgres(name: str) -> str:
    event, when, _ = _KEEPING[name]
    condition = f" WHEN ({when})" if when else ""
    return f"CREATE TRIGGER {name} AFTER {event} FOR EACH ROW{condition} EXECUTE FUNCTION {name}()"


SQLITE: Final = tuple(map(_sqlite, _KEEPING))
POSTGRES: Final = (*map(_function, _KEEPING), *map(_postgres, _KEEPING))

# Where names are there already; in the index's order, which is many times as quick.
FILL: Final = _enter(
    "SELECT id, local AS name FROM accounts UNION ALL SELECT id, full_name FROM accounts "
    "UNION ALL SELECT account_id, local FROM aliases",
    " ORDER BY 1, 2",
)
