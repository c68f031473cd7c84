"""What a PostgreSQL server is like, for whoever checks or describes it: nothing is made or changed."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, text

from mailstore.refusals import storage_errors
from mailstore.schema import accounts_metadata, mailbox_metadata
from mailstore.server_schema import UNFINISHED, version

_FACTS = text(
    "SELECT current_setting('server_version_num')::int, current_setting('server_version'), "
    "current_setting('server_encoding'), current_setting('max_connections')::int "
    "- current_setting('superuser_reserved_connections')::int, "
    "(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()), "
    "current_setting('transaction_read_only') = 'on', "
    "has_schema_privilege(current_schema(), 'CREATE'), pg_database_size(current_database()), "
    "coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false), "
    "to_regclass(:unfinished) IS NOT NULL"
)
_OWNED = text(
    "SELECT count(*) FROM pg_class WHERE relname = ANY(CAST(:names AS text[])) AND relkind = 'r' "
    "AND relnamespace = current_schema()::regnamespace AND NOT pg_has_role(relowner, 'USAGE')"
)


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """Of one database, as its user sees it."""

    number: int  # 150004
    spelled: str
    encoding: str
    most: int  # connections that its users may have together
    taken: int  # … and have, but for the one that asks
    read_only: bool
    may_create: bool
    octets: int
    encrypted: bool  # the connection
    copying: bool  # `storage copy` is not finished
    others: int  # tables that belong to somebody else
    revision: str | None  # None: there are no tables yet


def facts(engine: Engine) -> ServerFacts:
    """Raises StorageFailed."""
    names = [table for group in (accounts_metadata, mailbox_metadata) for table in group.tables]
    with storage_errors(), engine.connect() as connection:
        row = connection.execute(_FACTS, {"unfinished": UNFINISHED}).one()
        others = connection.execute(_OWNED, {"names": names}).scalar_one()
        values = (*row, others, version(connection))
        return ServerFacts(*values)
