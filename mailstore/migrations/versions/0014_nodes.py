"""Several nodes upon one database: who is there, which account each moves, what they ask of legacy servers together."""

import sqlalchemy as sa
from alembic import op

from mailstore.migrations import holds

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def _text(length: int | None = None) -> sa.types.TypeEngine[str]:
    """Compared octet by octet (see `mailstore.schema`)."""
    kind = sa.Text if length is None else sa.String
    return kind(length).with_variant(kind(length, collation="C"), "postgresql")


_key = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    if not holds("accounts"):
        return
    op.create_table(
        "nodes",
        sa.Column("id", _key, primary_key=True, autoincrement=True),
        sa.Column("name", _text(), nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "leases",
        sa.Column("fence", _key, primary_key=True, autoincrement=True),
        sa.Column("domain", _text(255), nullable=False),
        sa.Column("local", _text(255), nullable=False),
        sa.Column("node", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("domain", "local", name="leases_name"),
    )
    op.create_index("leases_node", "leases", ["node"])
    op.create_table(
        "places",
        sa.Column("host", _text(), primary_key=True),
        sa.Column("node", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("places", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("wanted", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("held", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("short_since", sa.BigInteger, nullable=False, server_default="0"),
    )
    op.create_table(
        "host_logins",
        sa.Column("id", _key, primary_key=True, autoincrement=True),
        sa.Column("host", _text(), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
    op.create_index("host_logins_at", "host_logins", ["host", "at"])
    op.create_table(
        "host_pauses",
        sa.Column("host", _text(), primary_key=True),
        sa.Column("until", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "said_no",
        sa.Column("id", _key, primary_key=True, autoincrement=True),
        sa.Column("mailbox", _text(), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
    op.create_index("said_no_mailbox", "said_no", ["mailbox", "at"])
    op.create_table(
        "installation",
        sa.Column("name", _text(64), primary_key=True),
        sa.Column("value", _text(), nullable=False),
    )
