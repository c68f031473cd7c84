"""The record beside an index, and what tells a copy of an index from the index."""

import sqlalchemy as sa
from alembic import context, op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if context.config.attributes["scope"] == "accounts":
        return
    op.add_column("mailboxes", sa.Column("recorded", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("mailboxes", sa.Column("inode", sa.BigInteger))
