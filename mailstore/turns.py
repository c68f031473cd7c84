"""What writers take turns at, where a database lets them write at once.

SQLite has one writer at a time (BEGIN IMMEDIATE), and none of this is needed. PostgreSQL has many: there a single
statement is right by itself, since a row that was changed meanwhile is looked at again before it is written (READ
COMMITTED, PostgreSQL 13.2.1). What reads first and then writes by what it has read takes its turn: an advisory lock
that ends with the transaction. Who takes several takes them in the order of their numbers, so that nobody waits in a
circle.

Logins take none but `KEYS`, which they share: no administrator's work, however long, keeps them waiting.
"""

from __future__ import annotations

import enum
from typing import Final

SPACE: Final = 0x6D66  # "mf": of all advisory locks that mailferry takes (the first of their two numbers)


class Turn(enum.IntEnum):
    """The second number of the lock; a number once given is given to nothing else."""

    SCHEMA = 1  # the tables are made or carried forward
    KEYS = 2  # passwords are sealed (shared), and the keys that seal them change (alone)
    ADMINISTRATION = 3  # lists of accounts, pauses, proofs, administrators: what people do, one after the other
    NOTICES = 4  # a message to a user is about to be sent
    SAMPLES = 5  # how far the domains are is written down
    WEB_SESSIONS = 6  # somebody logs in to the portal or the console, or all that one has are ended
    CHANGED = 7  # what wrote is not at its end yet: see `mailstore.accounts_server`
