"""Since when each account is final."""

import sqlalchemy as sa
from alembic import context, op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if context.config.attributes["scope"] != "accounts":
        return
    op.add_column("accounts", sa.Column("finalized", sa.BigInteger))
