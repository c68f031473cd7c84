"""What accounts have had of each kind of notice is kept, and not added up: `notice_standings`, `notice_figures`, and
what keeps them.

A row of `notice_standings` is what one account, if it is not final, has had of one kind: in the order of names, so that
a page of those who could not be told is read off an index. `notice_figures` counts those rows. Both databases keep them
by triggers, as `mailstore.counters` does its own; `slot` is what it is there. A login or a move changes nothing here:
only what was sent does, a final account, and another department or name.
"""

from __future__ import annotations

from typing import Final

STANDINGS: Final = ("account_id", "kind", "domain", "local", "department", "standing")
KEY: Final = ("domain", "department", "kind", "standing")

_COLUMNS: Final = ", ".join(STANDINGS)
_NAMED: Final = ", ".join(KEY)
_UPSERT: Final = f"ON CONFLICT ({_NAMED}, slot) DO UPDATE SET accounts = notice_figures.accounts + excluded.accounts"
_BETTER: Final = (
    "ON CONFLICT (account_id, kind) DO UPDATE SET standing = excluded.standing "
    "WHERE notice_standings.standing <> excluded.standing"
)
# What an account's rows have to do with: its notices of any kind, in its own words.
_CHANGES: Final = (
    "old.domain <> new.domain OR old.local <> new.local OR old.department <> new.department "
    "OR (old.state = 'final') <> (new.state = 'final')"
)


def _standing(account: str, kind: str) -> str:
    """As `mailstore.notices` sees it: one that was taken outweighs the others, one of unknown end those refused."""
    of_it = f"SELECT 1 FROM notices WHERE notices.account_id = {account} AND notices.kind = {kind}"  # noqa: S608
    return (
        f"CASE WHEN EXISTS ({of_it} AND sent IS NOT NULL) THEN 'sent' "
        f"WHEN EXISTS ({of_it} AND sent IS NULL AND refusal = '') THEN 'unknown' ELSE 'refused' END"
    )


def _stand(pairs: str) -> str:
    """Enter how those accounts and kinds stand of which there are notices."""
    return (
        f"INSERT INTO notice_standings ({_COLUMNS}) "  # noqa: S608 - constants of ours
        "SELECT accounts.id, had.kind, accounts.domain, accounts.local, accounts.department, "
        f"{_standing('accounts.id', 'had.kind')} "
        f"FROM ({pairs}) AS had JOIN accounts ON accounts.id = had.account_id "
        f"WHERE accounts.state <> 'final' {_BETTER}"
    )


def _of(account: str, kind: str | None = None) -> str:
    """The pairs of one account that there are notices of."""
    some = "" if kind is None else f" AND kind = {kind}"
    return f"SELECT DISTINCT account_id, kind FROM notices WHERE account_id = {account}{some}"  # noqa: S608


def _forget(account: str, kind: str | None = None) -> str:
    some = "" if kind is None else f" AND kind = {kind}"
    return f"DELETE FROM notice_standings WHERE account_id = {account}{some}"  # noqa: S608


def _count(row: str, number: str) -> str:
    values = ", ".join(f"{row}.{name}" for name in KEY)
    return f"INSERT INTO notice_figures ({_NAMED}, slot, accounts) VALUES ({values}, 0, {number}) {_UPSERT}"  # noqa: S608


def _sqlite(name: str, event: str, *statements: str) -> str:
    return f"CREATE TRIGGER {name} AFTER {event} BEGIN {' '.join(f'{each};' for each in statements)} END"


SQLITE: Final = (
    _sqlite("notices_standings_insert", "INSERT ON notices", _stand(_of("new.account_id", "new.kind"))),
    _sqlite(
        "notices_standings_update",
        "UPDATE OF account_id, kind, sent, refusal ON notices",
        _stand(_of("new.account_id", "new.kind")),
    ),
    _sqlite(
        "notices_standings_delete",
        "DELETE ON notices",
        _forget("old.account_id", "old.kind"),
        _stand(_of("old.account_id", "old.kind")),
    ),
    _sqlite(
        "accounts_standings_update",
        f"UPDATE OF domain, local, department, state ON accounts WHEN {_CHANGES}",
        _forget("old.id"),
        _stand(_of("new.id")),
    ),
    _sqlite("accounts_standings_delete", "DELETE ON accounts", _forget("old.id")),
    _sqlite("notice_standings_insert", "INSERT ON notice_standings", _count("new", "1")),
    _sqlite("notice_standings_delete", "DELETE ON notice_standings", _count("old", "-1")),
    _sqlite(
        "notice_standings_update",
        "UPDATE OF standing ON notice_standings",
        _count("old", "-1"),
        _count("new", "1"),
    ),
)


def _function(name: str, *statements: str, result: str = "NULL") -> str:
    body = " ".join(f"{each};" for each in statements)
    return f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN {result}; END $$"


def _postgres(name: str, event: str, how: str) -> str:
    return f"CREATE TRIGGER {name} AFTER {event} {how} EXECUTE FUNCTION {name}()"


def _noted(rows: str) -> tuple[str, str]:
    """Whoever notes something of the same account at the same moment waits, and sees this then."""
    changed = f"SELECT DISTINCT account_id, kind FROM {rows}"  # noqa: S608
    return (
        f"PERFORM FROM accounts WHERE id IN (SELECT account_id FROM {rows}) ORDER BY id FOR NO KEY UPDATE",  # noqa: S608
        changed,
    )


def _counting(*signed: tuple[str, str]) -> str:
    rows = " UNION ALL ".join(f"SELECT {_NAMED}, {number} AS number FROM {table}" for table, number in signed)  # noqa: S608
    return (
        f"INSERT INTO notice_figures ({_NAMED}, slot, accounts) "  # noqa: S608
        f"SELECT {_NAMED}, pg_backend_pid(), sum(number) FROM ({rows}) AS changes "
        f"GROUP BY {_NAMED} HAVING sum(number) <> 0 {_UPSERT}"
    )


_EACH: Final = "FOR EACH STATEMENT"
_LOCKED, _BECAME = _noted("became")
_LEFT, _WAS = _noted("was")
POSTGRES: Final = (
    _function("notices_standings_insert", _LOCKED, _stand(_BECAME)),
    _function("notices_standings_update", _LOCKED, _stand(_BECAME)),
    _function(
        "notices_standings_delete",
        _LEFT,
        "DELETE FROM notice_standings USING was "
        "WHERE notice_standings.account_id = was.account_id AND notice_standings.kind = was.kind",
        _stand(
            "SELECT DISTINCT notices.account_id, notices.kind FROM notices JOIN was "
            "ON was.account_id = notices.account_id AND was.kind = notices.kind"
        ),
    ),
    _function("accounts_standings_update", _forget("old.id"), _stand(_of("new.id"))),
    _function("accounts_standings_delete", _forget("old.id")),
    _function("notice_standings_insert", _counting(("became", "1"))),
    _function("notice_standings_delete", _counting(("was", "-1"))),
    _function("notice_standings_update", _counting(("was", "-1"), ("became", "1"))),
    _postgres("notices_standings_insert", "INSERT ON notices REFERENCING NEW TABLE AS became", _EACH),
    _postgres("notices_standings_update", "UPDATE ON notices REFERENCING NEW TABLE AS became", _EACH),
    _postgres("notices_standings_delete", "DELETE ON notices REFERENCING OLD TABLE AS was", _EACH),
    _postgres(
        "accounts_standings_update",
        "UPDATE OF domain, local, department, state ON accounts",
        f"FOR EACH ROW WHEN ({_CHANGES})",
    ),
    _postgres("accounts_standings_delete", "DELETE ON accounts", "FOR EACH ROW"),
    _postgres("notice_standings_insert", "INSERT ON notice_standings REFERENCING NEW TABLE AS became", _EACH),
    _postgres("notice_standings_delete", "DELETE ON notice_standings REFERENCING OLD TABLE AS was", _EACH),
    _postgres(
        "notice_standings_update",
        "UPDATE ON notice_standings REFERENCING OLD TABLE AS was NEW TABLE AS became",
        _EACH,
    ),
)

# As `mailstore.counters.FOLD`.
FOLD: Final = f"""
    WITH gone AS (
        DELETE FROM notice_figures WHERE ({_NAMED}, slot) IN (
            SELECT {_NAMED}, slot FROM notice_figures WHERE slot <> 0 LIMIT :most FOR UPDATE SKIP LOCKED
        ) RETURNING *
    )
    INSERT INTO notice_figures ({_NAMED}, slot, accounts)
    SELECT {_NAMED}, 0, sum(accounts) FROM gone GROUP BY {_NAMED}
    {_UPSERT}
"""  # noqa: S608

# Where notices are there already, and before the triggers are.
FILL: Final = (
    _stand("SELECT DISTINCT account_id, kind FROM notices"),
    f"INSERT INTO notice_figures ({_NAMED}, slot, accounts) "  # noqa: S608
    f"SELECT {_NAMED}, 0, count(*) FROM notice_standings GROUP BY {_NAMED}",
)
