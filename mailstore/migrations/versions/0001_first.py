"""The tables of the first version.

Written out, not taken from `mailstore.schema`: what a later version changes there must not change what this
revision makes.
"""

import sqlalchemy as sa
from alembic import context, op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    if context.config.attributes["scope"] == "accounts":
        _accounts()
    else:
        _mailboxes()
        _messages()
        _ledger()


def _key(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger, primary_key=True, autoincrement=False)


def _number(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger, nullable=False)


def _count(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger, nullable=False, server_default="0")


def _text(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.Text, nullable=False)


def _accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("domain", sa.String(255), nullable=False),
        sa.Column("local", sa.String(255), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("password_hash", sa.Text),
        sa.Column("sealed_password", sa.LargeBinary),
        _number("created"),
        sa.Column("last_login", sa.BigInteger),
        sa.Column("refreshed", sa.BigInteger),
        _count("messages_done"),
        _count("messages_total"),
        _count("bytes_done"),
        _count("bytes_total"),
        sa.UniqueConstraint("domain", "local", name="accounts_name"),
    )


def _mailboxes() -> None:
    op.create_table(
        "mailboxes",
        _key("account_id"),
        sa.Column("token", sa.String(16), nullable=False),
        _number("last_uidvalidity"),
        _number("last_folder_id"),
    )
    op.create_table(
        "folders",
        _key("account_id"),
        _key("id"),
        _text("name"),
        _text("directory"),
        _number("uidvalidity"),
        _number("uidnext"),
        _number("highestmodseq"),
        _number("recent_from"),
        sa.UniqueConstraint("account_id", "name", name="folders_name"),
    )
    op.create_table("subscriptions", _key("account_id"), sa.Column("name", sa.Text, primary_key=True))
    op.create_table(
        "pending",
        _key("account_id"),
        _key("id"),
        sa.Column("action", sa.String(8), nullable=False),
        _text("path"),
        sa.Column("target", sa.Text, nullable=False, server_default=""),
    )


def _messages() -> None:
    op.create_table(
        "messages",
        _key("account_id"),
        _key("folder_id"),
        _key("uid"),
        _number("modseq"),
        _text("flags"),
        _number("size"),
        _number("internal_date"),
        _text("uidl"),
        _text("file"),
    )
    op.create_index("messages_modseq", "messages", ["account_id", "folder_id", "modseq"])
    op.create_table("expunged", _key("account_id"), _key("folder_id"), _key("uid"), _number("modseq"))
    op.create_index("expunged_modseq", "expunged", ["account_id", "folder_id", "modseq"])


def _ledger() -> None:
    op.create_table(
        "ledger",
        _key("account_id"),
        _key("id"),
        _number("position"),
        _text("uidl"),
        _number("octets"),
        sa.Column("outcome", sa.String(12), nullable=False),
        sa.Column("uid", sa.BigInteger),
        sa.Column("sha256", sa.LargeBinary),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        _number("updated"),
    )
    op.create_index("ledger_uid", "ledger", ["account_id", "uid"])
