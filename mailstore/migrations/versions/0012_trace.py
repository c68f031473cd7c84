"""What of the log tells about an account's last move, and about what was asked for."""

import sqlalchemy as sa
from alembic import context, op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if context.config.attributes["scope"] != "accounts":
        return
    op.add_column("accounts", sa.Column("trace", sa.String(16), nullable=False, server_default=""))
