"""Two nodes for a bench, of one process each: one database, one tree of Maildirs, one key."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.bench import ferry
from tests.bench.ferry import Ferry, served
from tests.bench.ground import Ground
from tests.bench.stores import storage
from tests.postgres.server import PostgresServer

_KEY: Final = "sealing.key"


@contextmanager
def two_nodes(
    ground: Ground, legacy: int, server: PostgresServer, *, tables: str = ""
) -> Iterator[tuple[Ferry, Ferry]]:
    """`legacy` is the POP3 port of the old server, `tables` are further ones of both configurations."""
    tree = ground.fresh("tree") / "mail"
    tables += storage(server, more=f'maildir = "{tree}/{{domain}}/{{local}}/Maildir"\n')
    one, other = ground.fresh("one"), ground.fresh("other")
    with served(one, legacy, tables=tables) as first:
        ferry.state(other).mkdir(mode=0o700)
        shutil.copy(ferry.state(one) / _KEY, ferry.state(other) / _KEY)
        with served(other, legacy, tables=tables) as second:
            yield first, second
