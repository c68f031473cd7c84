"""Messages that the legacy server lists no more, or under another name: known again by content."""

import sqlalchemy as sa
from alembic import context, op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if context.config.attributes["scope"] == "accounts":
        return
    op.add_column("mailboxes", sa.Column("last_ledger_id", sa.BigInteger, nullable=False, server_default="0"))
    for column in (
        sa.Column("unlisted", sa.BigInteger),
        sa.Column("shown", sa.Text),
        sa.Column("likeness", sa.LargeBinary),
    ):
        op.add_column("ledger", column)
    where = sa.text("unlisted IS NOT NULL")
    for name, column_name in (("ledger_unlisted_bytes", "sha256"), ("ledger_unlisted_likeness", "likeness")):
        op.create_index(name, "ledger", ["account_id", column_name], sqlite_where=where, postgresql_where=where)
