"""What is kept of a message's content: facts, object ids and texts; and when a message came into its folder."""

import sqlalchemy as sa
from alembic import context, op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if context.config.attributes["scope"] == "accounts":
        return
    op.add_column("messages", sa.Column("save_date", sa.BigInteger))
    op.add_column("messages", sa.Column("content_id", sa.BigInteger))
    op.create_index("messages_content", "messages", ["account_id", "content_id"])
    op.create_table(
        "contents",
        sa.Column("account_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("email_id", sa.Text, nullable=False),
        sa.Column("thread_id", sa.Text, nullable=False),
        sa.Column("facts", sa.LargeBinary),
        sa.UniqueConstraint("account_id", "email_id", name="contents_email"),
    )
    op.create_table(
        "texts",
        sa.Column("account_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("content_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("partial", sa.Integer, nullable=False),
        sa.Column("header", sa.LargeBinary, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
