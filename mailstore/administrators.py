"""Who may use the console: administrators, with their own names and passwords.

They are nobody's mail accounts. A password is kept as an Argon2id hash alone. Removing an administrator, or giving one
a new password, ends the sessions of that name in the same transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, delete, insert, select, update

from mailstore.database import AccountsDatabase
from mailstore.schema import administrators, web_sessions
from mailstore.turns import Turn

_w = administrators.c
CONSOLE = "console"  # the place of their sessions (`web_sessions.place`)


@dataclass(frozen=True, slots=True)
class Administrator:
    """One of them. Times in seconds since 1970."""

    name: str
    password_hash: str = field(repr=False)
    created: int
    last_login: int | None


class Administrators:
    """All of them. Names are as `proxy.admin.administrators` lets them be: in lower case."""

    def __init__(self, database: AccountsDatabase, clock: Callable[[], float] | None = None) -> None:
        self._database = database
        self._clock = clock or database.time

    def any(self) -> bool:
        """Is there one at all?"""
        with self._database.read() as connection:
            return connection.execute(select(_w.name).limit(1)).first() is not None

    def find(self, name: str) -> Administrator | None:
        with self._database.read() as connection:
            row = connection.execute(select(administrators).where(_w.name == name)).first()
        return None if row is None else Administrator(*row)

    def list(self) -> Sequence[Administrator]:
        """By name."""
        with self._database.read() as connection:
            return [Administrator(*row) for row in connection.execute(select(administrators).order_by(_w.name))]

    def add(self, name: str, password_hash: str) -> bool:
        """False: there is one of that name."""
        with self._database.write(Turn.ADMINISTRATION) as connection:
            if connection.execute(select(_w.name).where(_w.name == name)).first() is not None:
                return False
            row = {"name": name, "password_hash": password_hash, "created": int(self._clock())}
            connection.execute(insert(administrators), row)
        return True

    def remove(self, name: str) -> bool:
        """False: there is none of that name."""
        with self._database.write(Turn.ADMINISTRATION, Turn.WEB_SESSIONS) as connection:
            _end_sessions(connection, name)
            return connection.execute(delete(administrators).where(_w.name == name)).rowcount > 0

    def set_password(self, name: str, password_hash: str) -> bool:
        """False: there is none of that name."""
        with self._database.write(Turn.ADMINISTRATION, Turn.WEB_SESSIONS) as connection:
            _end_sessions(connection, name)
            changed = update(administrators).where(_w.name == name).values(password_hash=password_hash)
            return connection.execute(changed).rowcount > 0

    def logged_in(self, name: str) -> None:
        with self._database.write() as connection:
            now = int(self._clock())
            connection.execute(update(administrators).where(_w.name == name).values(last_login=now))


def _end_sessions(connection: Connection, name: str) -> None:
    mine = (web_sessions.c.place == CONSOLE, web_sessions.c.subject == name)
    connection.execute(delete(web_sessions).where(*mine))
