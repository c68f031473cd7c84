"""When each account is due for a move in the background, who asked for it, and what is paused."""

import sqlalchemy as sa
from alembic import context, op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if context.config.attributes["scope"] != "accounts":
        return
    op.add_column("accounts", sa.Column("due", sa.BigInteger))
    op.add_column("accounts", sa.Column("asked", sa.BigInteger))
    op.add_column("accounts", sa.Column("again", sa.Integer, nullable=False, server_default="0"))
    op.add_column("accounts", sa.Column("paused", sa.Integer, nullable=False, server_default="0"))
    op.add_column("accounts", sa.Column("tries", sa.Integer, nullable=False, server_default="0"))
    op.add_column("accounts", sa.Column("password_state", sa.String(8), nullable=False, server_default="known"))
    op.create_index("accounts_due", "accounts", ["domain", "paused", "due"])
    op.create_index("accounts_asked", "accounts", ["domain", "paused", "asked", "due"])
    op.create_table(
        "paused_domains",
        sa.Column("domain", sa.String(255), primary_key=True),
        sa.Column("since", sa.BigInteger, nullable=False),
    )
