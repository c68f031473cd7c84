"""Revisions of the tables, oldest first: how a database of an earlier version is carried forward.

A file of SQLite holds one group of tables, and is carried forward by whoever opens it. A database of PostgreSQL holds
both groups, never was of a revision before 0013, and is served by several nodes, which are upgraded one after the
other. So, from 0014 on, a revision only adds:

- a table, a column that may be NULL or has a default of the server's, an index; text is of COLLATE "C" in PostgreSQL;
- nothing that is there goes, is renamed, becomes narrower, or has to be written where it was not (NOT NULL, UNIQUE);
- what an older node leaves unwritten in a new column means what it meant before.

A node serves tables one revision newer than it knows, which is what it meets while the others are upgraded, and refuses
to start on any that are newer still. So a version of mailferry brings one revision at most; what nothing uses any more
may go two revisions later. `holds` tells a revision which tables are in the database that it is run on.
"""

from __future__ import annotations

from typing import Literal

Group = Literal["accounts", "mailbox"]


def holds(group: Group) -> bool:
    """Are these tables in the database that is being carried forward? To be asked by a revision."""
    from alembic import context  # noqa: PLC0415 - alembic costs half a second

    return context.config.attributes["scope"] in {group, "all"}
