"""Who is logged in to the portal or the console.

What a browser has is a token; here is its SHA-256, so that nobody who reads the database can be somebody else.
A session ends when it was not used for a while, when it is old, when its user logs out, and when whoever it
belongs to may no longer come in (`end_all`).
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import bindparam, delete, insert, select, update

from mailstore.database import AccountsDatabase
from mailstore.prepared import Prepared
from mailstore.schema import web_sessions
from mailstore.turns import Turn

Place = Literal["portal", "console"]

HOUR: Final = 3600
IDLE: Final[dict[Place, int]] = {"portal": 24 * HOUR, "console": HOUR}  # seconds unused after which it has ended
OLDEST: Final[dict[Place, int]] = {"portal": 7 * 24 * HOUR, "console": 12 * HOUR}  # … and since its login
MOST: Final = 20  # sessions of one user; the one that was unused for longest makes room
_REMEMBERED: Final = 1_000
NOTED: Final = 60  # seconds in which use is written down once

_FIND: Final = Prepared(
    select(*web_sessions.c).where(web_sessions.c.token == bindparam("t"), web_sessions.c.place == bindparam("p"))
)


@dataclass(frozen=True, slots=True)
class WebSession:
    """One browser's. Times in seconds since 1970."""

    digest: bytes
    place: Place
    subject: str  # an account's or an administrator's name
    csrf: str  # what each of its forms has to bring back
    created: int
    used: int

    def __repr__(self) -> str:  # the rest stays out of logs
        return f"<WebSession {self.place} {self.subject}>"


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


class WebSessions:
    """All of them. Every method is one transaction and may be called from any thread. Raises StorageFailed."""

    def __init__(self, database: AccountsDatabase, clock: Callable[[], float] | None = None) -> None:
        self._database = database
        self._clock = clock or database.time
        self._found: OrderedDict[bytes, float] = OrderedDict()  # those that this process was shown, and when

    @property
    def instant(self) -> bool:
        """See `AccountsDatabase.instant`."""
        return self._database.instant

    def begin(self, place: Place, subject: str) -> tuple[str, WebSession]:
        """Somebody has logged in: what the browser shall have, and the session. Old ones are swept out."""
        token = secrets.token_urlsafe(32)
        now = int(self._clock())
        session = WebSession(_digest(token), place, subject, secrets.token_urlsafe(24), now, now)
        table = web_sessions.c
        others = select(table.token).where(table.place == place, table.subject == subject)
        crowded = others.order_by(table.used.desc(), table.created.desc()).offset(MOST - 1)
        with self._database.write(Turn.WEB_SESSIONS) as connection:
            for each in IDLE:
                over = (table.used < now - IDLE[each]) | (table.created < now - OLDEST[each])
                connection.execute(delete(web_sessions).where(table.place == each, over))
            gone = list(connection.execute(crowded).scalars())
            if gone:
                connection.execute(delete(web_sessions).where(table.token.in_(gone)))
            connection.execute(
                insert(web_sessions).values(
                    token=session.digest, place=place, subject=subject, csrf=session.csrf, created=now, used=now
                )
            )
        return token, session

    def find(self, place: Place, token: str) -> WebSession | None:
        """The session that a browser means, if it has not ended."""
        row = self._database.first(_FIND, {"t": _digest(token), "p": place})
        if row is None:
            return None
        session = WebSession(*row)
        now = int(self._clock())
        over = now - session.used > IDLE[place] or now - session.created > OLDEST[place]
        if over:
            return None
        self._found[session.digest] = now
        self._found.move_to_end(session.digest)
        while len(self._found) > _REMEMBERED:
            self._found.popitem(last=False)
        return session

    def was_found(self, place: Place, token: str) -> bool:
        """Was it here as a session, as far as this process remembers? For who cannot wait for a server's answer; who
        can asks `find` again."""
        if self.instant:
            return self.find(place, token) is not None
        return self._clock() - self._found.get(_digest(token), float("-inf")) < IDLE[place]

    def stale(self, session: WebSession) -> bool:
        """Is its use to be written down?"""
        return self._clock() - session.used >= NOTED

    def touch(self, session: WebSession) -> None:
        """It was used just now."""
        now = int(self._clock())
        with self._database.write() as connection:
            connection.execute(update(web_sessions).where(web_sessions.c.token == session.digest).values(used=now))

    def end(self, session: WebSession) -> None:
        """Its user has logged out."""
        with self._database.write() as connection:
            connection.execute(delete(web_sessions).where(web_sessions.c.token == session.digest))

    def end_all(self, place: Place, subject: str, but: WebSession | None = None) -> int:
        """End all sessions of somebody, or all others; gives back how many."""
        table = web_sessions.c
        theirs = delete(web_sessions).where(table.place == place, table.subject == subject)
        if but is not None:
            theirs = theirs.where(table.token != but.digest)
        with self._database.write(Turn.WEB_SESSIONS) as connection:
            return connection.execute(theirs).rowcount
