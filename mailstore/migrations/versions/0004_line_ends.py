"""Files of other programs with bare LFs; when a folder's directories were last looked into."""

import sqlalchemy as sa
from alembic import context, op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if context.config.attributes["scope"] == "accounts":
        return
    op.add_column("messages", sa.Column("line_ends", sa.String(8), nullable=False, server_default="exact"))
    op.create_table(
        "looked",
        sa.Column("account_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("folder_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("new_mtime", sa.BigInteger, nullable=False),
        sa.Column("cur_mtime", sa.BigInteger, nullable=False),
    )
