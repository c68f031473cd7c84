"""Messages of the ledger that are not the INBOX's: folders that the legacy server has over IMAP."""

import sqlalchemy as sa
from alembic import context, op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if context.config.attributes["scope"] == "accounts":
        return
    op.add_column("ledger", sa.Column("folder", sa.Text, nullable=False, server_default=""))
    op.add_column("ledger", sa.Column("folder_id", sa.BigInteger, nullable=False, server_default="1"))
    op.add_column("ledger", sa.Column("legacy_id", sa.Text, nullable=False, server_default=""))
    op.create_table(
        "old_folders",
        sa.Column("account_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("folder_id", sa.BigInteger, nullable=False),
    )
