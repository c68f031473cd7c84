"""What a folder is for (RFC 6154), and annotations (RFC 5464)."""

import sqlalchemy as sa
from alembic import context, op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if context.config.attributes["scope"] == "accounts":
        return
    op.add_column("folders", sa.Column("special_use", sa.Text, nullable=False, server_default=""))
    op.create_table(
        "metadata",
        sa.Column("account_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("folder_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("entry", sa.Text, primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )
