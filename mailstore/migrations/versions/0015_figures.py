"""Figures of all accounts that are kept, and indexes for every order and filter of their lists."""

import sqlalchemy as sa
from alembic import context, op

from mailstore.counters import FILL, SQLITE, SUMS

revision = "0015"
down_revision = "0013"
branch_labels = None
depends_on = None

ATTENTION = sa.text("(reason <> '' OR state = 'blocked' OR password_state = 'rejected')")
PAUSED = sa.text("paused = 1")
NAMED = sa.text("legacy_login <> ''")


def upgrade() -> None:
    if context.config.attributes["scope"] != "accounts":
        return
    op.create_table(
        "figures",
        sa.Column("domain", sa.String(255), primary_key=True),
        sa.Column("department", sa.Text, primary_key=True),
        sa.Column("state", sa.String(16), primary_key=True),
        sa.Column("slot", sa.BigInteger, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in SUMS),
    )
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
    for trigger in SQLITE:
        op.execute(trigger)
