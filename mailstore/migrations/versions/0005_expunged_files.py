"""The files of expunged messages: one that turns up elsewhere was moved there by another program."""

import sqlalchemy as sa
from alembic import context, op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if context.config.attributes["scope"] == "accounts":
        return
    op.add_column("expunged", sa.Column("file", sa.Text, nullable=False, server_default=""))
