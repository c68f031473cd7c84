"""Messages that are listed before they are here (`login = "serve"`)."""

import sqlalchemy as sa
from alembic import context, op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if context.config.attributes["scope"] == "accounts":
        return
    op.add_column("mailboxes", sa.Column("listed", sa.Integer, nullable=False, server_default="0"))
    op.create_table(
        "awaited",
        sa.Column("account_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("uid", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("ledger_id", sa.BigInteger, nullable=False),
        sa.Column("touched", sa.Integer, nullable=False, server_default="0"),
        sa.Column("unwanted", sa.Integer, nullable=False, server_default="0"),
        sa.Column("header", sa.LargeBinary),
    )
    op.create_index("awaited_ledger", "awaited", ["account_id", "ledger_id"])
    op.create_index("awaited_unwanted", "awaited", ["account_id", "unwanted"])
