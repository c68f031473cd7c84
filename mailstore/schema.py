"""The tables, for SQLite and PostgreSQL alike.

Two groups. The *accounts* group is one file for the whole installation; the *mailbox* group is one file
beside each Maildir, so that an account's index and its ledger commit at once. Every mailbox table is keyed
by account as well: in one PostgreSQL database the same tables hold all accounts.

`HEAD` names the revision of `mailstore/migrations` that these tables are; a new file is made from here
directly, an old one is carried forward by Alembic.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

HEAD: Final = "0007"

accounts_metadata = MetaData()
mailbox_metadata = MetaData()

_Key = BigInteger().with_variant(Integer, "sqlite")  # SQLite gives numbers by itself only to INTEGER keys

accounts = Table(
    "accounts",
    accounts_metadata,
    Column("id", _Key, primary_key=True, autoincrement=True),
    Column("domain", String(255), nullable=False),
    Column("local", String(255), nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
    Column("password_hash", Text),
    Column("sealed_password", LargeBinary),
    Column("created", BigInteger, nullable=False),
    Column("last_login", BigInteger),
    Column("refreshed", BigInteger),  # when the legacy server was last asked for what is new
    Column("messages_done", BigInteger, nullable=False, server_default="0"),
    Column("messages_total", BigInteger, nullable=False, server_default="0"),
    Column("bytes_done", BigInteger, nullable=False, server_default="0"),
    Column("bytes_total", BigInteger, nullable=False, server_default="0"),
    UniqueConstraint("domain", "local", name="accounts_name"),
)

mailboxes = Table(
    "mailboxes",
    mailbox_metadata,
    Column("account_id", BigInteger, primary_key=True, autoincrement=False),
    Column("token", String(16), nullable=False),  # marks the files that this index made
    Column("last_uidvalidity", BigInteger, nullable=False),
    Column("last_folder_id", BigInteger, nullable=False),
    # Is the whole old mailbox listed in INBOX, whether or not all of it is here? See `awaited`.
    Column("listed", Integer, nullable=False, server_default="0"),
)

folders = Table(
    "folders",
    mailbox_metadata,
    Column("account_id", BigInteger, primary_key=True, autoincrement=False),
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("directory", Text, nullable=False),  # below the Maildir; "" is the INBOX (Maildir++)
    Column("uidvalidity", BigInteger, nullable=False),
    Column("uidnext", BigInteger, nullable=False),
    Column("highestmodseq", BigInteger, nullable=False),
    Column("recent_from", BigInteger, nullable=False),  # UIDs from here on have been shown to nobody
    Column("special_use", Text, nullable=False, server_default=""),  # "\\Sent", … apart by a space (RFC 6154)
    UniqueConstraint("account_id", "name", name="folders_name"),
)

subscriptions = Table(
    "subscriptions",
    mailbox_metadata,
    Column("account_id", BigInteger, primary_key=True, autoincrement=False),
    Column("name", Text, primary_key=True),
)

# Annotations of folders and of the account (RFC 5464), by entry name in lower case.
metadata = Table(
    "metadata",
    mailbox_metadata,
    Column("account_id", BigInteger, primary_key=True, autoincrement=False),
    Column("folder_id", BigInteger, primary_key=True, autoincrement=False),  # 0: the account's own
    Column("entry", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

messages = Table(
    "messages",
    mailbox_metadata,
    Column("account_id", BigInteger, primary_key=True, autoincrement=False),
    Column("folder_id", BigInteger, primary_key=True, autoincrement=False),
    Column("uid", BigInteger, primary_key=True, autoincrement=False),
    Column("modseq", BigInteger, nullable=False),
    Column("flags", Text, nullable=False),  # sorted, apart by a space, without \Recent
    Column("size", BigInteger, nullable=False),
    Column("internal_date", BigInteger, nullable=False),
    Column("uidl", Text, nullable=False),
    Column("file", Text, nullable=False),  # the Maildir's unique name, without ":2," and flags
    Column("save_date", BigInteger),  # when it came into this folder (RFC 8514); NULL: not known
    Column("content_id", BigInteger),  # NULL until somebody asks for what `contents` has
    # exact: a file's bytes are the message's; native: each bare LF in it is sent as CRLF (files of other programs)
    Column("line_ends", String(8), nullable=False, server_default="exact"),
    Index("messages_modseq", "account_id", "folder_id", "modseq"),
    Index("messages_content", "account_id", "content_id"),
)

# The messages of INBOX that are listed and not here yet: in `messages` they have all but a file ("") and, before their
# header is here, their date (-1). See `mailstore.index.awaited`.
awaited = Table(
    "awaited",
    mailbox_metadata,
    Column("account_id", BigInteger, primary_key=True, autoincrement=False),
    Column("uid", BigInteger, primary_key=True, autoincrement=False),
    Column("ledger_id", BigInteger, nullable=False),
    Column("touched", Integer, nullable=False, server_default="0"),  # has the user changed its flags?
    # Removed by the user: it is in `messages` no more, and this row tells the move, which may be fetching it.
    Column("unwanted", Integer, nullable=False, server_default="0"),
    Column("header", LargeBinary),  # compressed; NULL: not here
    Index("awaited_ledger", "account_id", "ledger_id"),
    Index("awaited_unwanted", "account_id", "unwanted"),
)

# What was computed of a message's bytes and is kept as long as a message has them; copies share it.
contents = Table(
    "contents",
    mailbox_metadata,
    Column("account_id", BigInteger, primary_key=True, autoincrement=False),
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("email_id", Text, nullable=False),
    Column("thread_id", Text, nullable=False),
    Column("facts", LargeBinary),  # `mailstore.message.facts`; NULL where they would be too long
    UniqueConstraint("account_id", "email_id", name="contents_email"),
)

# The folded texts of those contents that were searched once: see `mailstore.index.fulltext`.
texts = Table(
    "texts",
    mailbox_metadata,
    Column("account_id", BigInteger, primary_key=True, autoincrement=False),
    Column("content_id", BigInteger, primary_key=True, autoincrement=False),
    Column("partial", Integer, nullable=False),  # is there more of it than is kept?
    Column("header", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

# When a folder's directories last changed as of the last look into them, in nanoseconds: see mailstore.index.marks.
looked = Table(
    "looked",
    mailbox_metadata,
    Column("account_id", BigInteger, primary_key=True, autoincrement=False),
    Column("folder_id", BigInteger, primary_key=True, autoincrement=False),
    Column("new_mtime", BigInteger, nullable=False),
    Column("cur_mtime", BigInteger, nullable=False),
)

expunged = Table(
    "expunged",
    mailbox_metadata,
    Column("account_id", BigInteger, primary_key=True, autoincrement=False),
    Column("folder_id", BigInteger, primary_key=True, autoincrement=False),
    Column("uid", BigInteger, primary_key=True, autoincrement=False),
    Column("modseq", BigInteger, nullable=False),
    Column("file", Text, nullable=False, server_default=""),  # as in `messages`; "" for those of former versions
    Index("expunged_modseq", "account_id", "folder_id", "modseq"),
)

# What still has to be done in the Maildir: written in the transaction that decided it, worked off after it,
# and again at the next opening if a crash came between. Each action may be repeated without harm.
pending = Table(
    "pending",
    mailbox_metadata,
    Column("account_id", BigInteger, primary_key=True, autoincrement=False),
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("action", String(8), nullable=False),  # remove (a message) | rename (a folder) | delete (a folder)
    Column("path", Text, nullable=False),  # below the Maildir
    Column("target", Text, nullable=False, server_default=""),
)

ledger = Table(
    "ledger",
    mailbox_metadata,
    Column("account_id", BigInteger, primary_key=True, autoincrement=False),
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("position", BigInteger, nullable=False),  # where the legacy server listed it when first seen, from 1
    Column("uidl", Text, nullable=False),  # "" where the server has none
    Column("octets", BigInteger, nullable=False),  # as LIST announced
    Column("outcome", String(12), nullable=False),  # listed | stored | quarantined | gone | deleted
    Column("uid", BigInteger),  # its UID in INBOX, held for it from the listing on in a first move
    Column("sha256", LargeBinary),  # of the bytes as received
    Column("reason", Text, nullable=False, server_default=""),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("updated", BigInteger, nullable=False),
    Index("ledger_uid", "account_id", "uid"),
)
