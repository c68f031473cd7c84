"""Figures of all accounts that are kept, and indexes for every order and filter of their lists."""

import sqlalchemy as sa
from alembic import context, op

from mailstore import schema
from mailstore.counters import FILL, POSTGRES, SQLITE

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

ATTENTION = sa.text("(reason <> '' OR state = 'blocked' OR password_state = 'rejected')")
PAUSED = sa.text("paused = 1")
NAMED = sa.text("legacy_login <> ''")


def upgrade() -> None:
    if context.config.attributes["scope"] == "mailbox":
        return
    bind = op.get_bind()
    schema.figures.create(bind)
    last_login, size = sa.text("coalesce(last_login, 0) DESC"), sa.text("bytes_total DESC")
    op.create_index("accounts_last_login", "accounts", ["domain", "state", last_login, "local"])
    op.create_index("accounts_size", "accounts", ["domain", "state", size, "local"])
    for name, columns, where in (
        ("accounts_attention", ["domain", "local"], ATTENTION),
        ("accounts_paused", ["domain", "local"], PAUSED),
        ("accounts_legacy_login", ["legacy_login"], NAMED),
    ):
        op.create_index(name, "accounts", columns, sqlite_where=where, postgresql_where=where)
    op.execute(FILL)
    for trigger in POSTGRES if bind.dialect.name == "postgresql" else SQLITE:
        bind.exec_driver_sql(trigger)
