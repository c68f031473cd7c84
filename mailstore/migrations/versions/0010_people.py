"""Who the accounts belong to, what they were told, what was proven, and who may look on."""

import sqlalchemy as sa
from alembic import context, op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if context.config.attributes["scope"] != "accounts":
        return
    for column in (
        sa.Column("full_name", sa.Text, nullable=False, server_default=""),
        sa.Column("department", sa.Text, nullable=False, server_default=""),
        sa.Column("quota", sa.BigInteger),
        sa.Column("legacy_login", sa.Text, nullable=False, server_default=""),
        sa.Column("enrolled", sa.BigInteger),
    ):
        op.add_column("accounts", column)
    op.create_index("accounts_state", "accounts", ["domain", "state", "local"])
    op.create_index("accounts_department", "accounts", ["domain", "department", "local"])
    op.create_table(
        "aliases",
        sa.Column("domain", sa.String(255), primary_key=True),
        sa.Column("local", sa.String(255), primary_key=True),
        sa.Column("account_id", sa.BigInteger, nullable=False),
    )
    op.create_index("aliases_account", "aliases", ["account_id"])
    key = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "notices",
        sa.Column("id", key, primary_key=True, autoincrement=True),
        sa.Column("account_id", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("begun", sa.BigInteger, nullable=False),
        sa.Column("sent", sa.BigInteger),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("refusal", sa.Text, nullable=False, server_default=""),
    )
    op.create_index("notices_account", "notices", ["account_id", "kind", "sent"])
    op.create_table(
        "proofs",
        sa.Column("domain", sa.String(255), primary_key=True),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("proven", sa.BigInteger, nullable=False),
        sa.Column("settings", sa.Text, nullable=False),
        sa.Column("report", sa.Text, nullable=False),
    )
    op.create_table(
        "samples",
        sa.Column("domain", sa.String(255), primary_key=True),
        sa.Column("taken", sa.BigInteger, primary_key=True, autoincrement=False),
        *(
            sa.Column(name, sa.BigInteger, nullable=False, server_default="0")
            for name in ("waiting", "moving", "moved", "final", "blocked", "messages", "bytes")
        ),
    )
    op.create_table(
        "administrators",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("last_login", sa.BigInteger),
    )
    op.create_table(
        "web_sessions",
        sa.Column("token", sa.LargeBinary, primary_key=True),
        sa.Column("place", sa.String(8), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("csrf", sa.Text, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("used", sa.BigInteger, nullable=False),
    )
    op.create_index("web_sessions_subject", "web_sessions", ["place", "subject"])
    op.create_index("web_sessions_used", "web_sessions", ["used"])
