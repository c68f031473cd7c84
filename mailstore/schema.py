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
    func,
    literal_column,
    text,
)

from mailstore.counters import ATTENTION, SUMS

HEAD: Final = "0016"

accounts_metadata = MetaData()
mailbox_metadata = MetaData()

_UNLISTED: Final = text("unlisted IS NOT NULL")
_ATTENTION: Final = text(ATTENTION)
_PAUSED: Final = text("paused = 1")
_NAMED_THERE: Final = text("legacy_login <> ''")
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
    Column("due", BigInteger),  # when a background move is to begin; NULL: none is to, or it is under way
    Column("asked", BigInteger),  # when an administrator asked for a move that has not ended yet
    Column("again", Integer, nullable=False, server_default="0"),  # … which asks for what is in quarantine at once
    Column("paused", Integer, nullable=False, server_default="0"),
    Column("tries", Integer, nullable=False, server_default="0"),  # background moves in a row that failed
    Column("password_state", String(8), nullable=False, server_default="known"),  # known | untried | rejected
    Column("full_name", Text, nullable=False, server_default=""),
    Column("department", Text, nullable=False, server_default=""),  # a path: "Sales/North"
    Column("quota", BigInteger),  # octets; 0: no limit; NULL: the domain's
    Column("legacy_login", Text, nullable=False, server_default=""),  # its name there; "": by the domain's form
    Column("enrolled", BigInteger),  # when an administrator's list of accounts last had it; NULL: none ever did
    Column("finalized", BigInteger),  # since when it is final; NULL: it is not, or an earlier version made it so
    # What lines of the log have in common about what was asked for or, if it has ended, about the last move.
    Column("trace", String(16), nullable=False, server_default=""),
    UniqueConstraint("domain", "local", name="accounts_name"),
    Index("accounts_due", "domain", "paused", "due"),
    Index("accounts_asked", "domain", "paused", "asked", "due"),
    Index("accounts_state", "domain", "state", "local"),
    Index("accounts_department", "domain", "department", "local"),
    Index("accounts_attention", "domain", "local", sqlite_where=_ATTENTION, postgresql_where=_ATTENTION),
    Index("accounts_paused", "domain", "local", sqlite_where=_PAUSED, postgresql_where=_PAUSED),
    Index("accounts_legacy_login", "legacy_login", sqlite_where=_NAMED_THERE, postgresql_where=_NAMED_THERE),
)

Index(
    "accounts_last_login",
    accounts.c.domain,
    accounts.c.state,
    func.coalesce(accounts.c.last_login, literal_column("0")).desc(),
    accounts.c.local,
)
Index("accounts_size", accounts.c.domain, accounts.c.state, accounts.c.bytes_total.desc(), accounts.c.local)

# What accounts add up to, kept by triggers: see `mailstore.counters`.
figures = Table(
    "figures",
    accounts_metadata,
    Column("domain", String(255), primary_key=True),
    Column("department", Text, primary_key=True),
    Column("state", String(16), primary_key=True),
    Column("slot", BigInteger, primary_key=True, autoincrement=False),
    *(Column(name, BigInteger, nullable=False) for name in SUMS),
)

# By which part of a name an account is found, kept by triggers: see `mailstore.name_tails`.
name_tails = Table(
    "name_tails",
    accounts_metadata,
    Column("tail", Text, primary_key=True),
    Column("account_id", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

# Domains whose legacy server an administrator wants left alone for a while.
paused_domains = Table(
    "paused_domains",
    accounts_metadata,
    Column("domain", String(255), primary_key=True),
    Column("since", BigInteger, nullable=False),
)

# Other addresses of accounts.
aliases = Table(
    "aliases",
    accounts_metadata,
    Column("domain", String(255), primary_key=True),
    Column("local", String(255), primary_key=True),
    Column("account_id", BigInteger, nullable=False),
    Index("aliases_account", "account_id"),
)

# What was sent to users. A row is made before the message is handed over and completed after it: see
# `mailstore.notices`.
notices = Table(
    "notices",
    accounts_metadata,
    Column("id", _Key, primary_key=True, autoincrement=True),
    Column("account_id", BigInteger, nullable=False),
    Column("kind", String(32), nullable=False),  # notice | reminder | …
    Column("begun", BigInteger, nullable=False),
    Column("sent", BigInteger),  # NULL: whether it was is not known, or it was refused
    Column("address", Text, nullable=False),
    Column("refusal", Text, nullable=False, server_default=""),  # the relay's words
    Index("notices_account", "account_id", "kind", "sent"),
)

# What each account that is not final has had of each kind of notice, and how many those are, kept by triggers: see
# `mailstore.notice_counters`.
notice_standings = Table(
    "notice_standings",
    accounts_metadata,
    Column("account_id", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(32), primary_key=True),
    Column("domain", String(255), nullable=False),
    Column("local", String(255), nullable=False),
    Column("department", Text, nullable=False),
    Column("standing", String(8), nullable=False),  # sent | unknown | refused
    Index("notice_standings_place", "kind", "standing", "domain", "local"),
    sqlite_with_rowid=False,
)
notice_figures = Table(
    "notice_figures",
    accounts_metadata,
    Column("domain", String(255), primary_key=True),
    Column("department", Text, primary_key=True),
    Column("kind", String(32), primary_key=True),
    Column("standing", String(8), primary_key=True),
    Column("slot", BigInteger, primary_key=True, autoincrement=False),
    Column("accounts", BigInteger, nullable=False),
)

# Tables that triggers keep, and nobody else writes.
DERIVED: Final = frozenset({"figures", "name_tails", "notice_standings", "notice_figures"})

# A domain's test account whose whole move was verified, and the settings with which.
proofs = Table(
    "proofs",
    accounts_metadata,
    Column("domain", String(255), primary_key=True),
    Column("account", Text, nullable=False),
    Column("proven", BigInteger, nullable=False),
    Column("settings", Text, nullable=False),  # of the legacy server, as they were: other ones are not proven
    Column("report", Text, nullable=False),  # JSON
)

# How far each domain was, from time to time: the curve of the console.
samples = Table(
    "samples",
    accounts_metadata,
    Column("domain", String(255), primary_key=True),
    Column("taken", BigInteger, primary_key=True, autoincrement=False),
    *(
        Column(name, BigInteger, nullable=False, server_default="0")
        for name in ("waiting", "moving", "moved", "final", "blocked", "messages", "bytes")
    ),
)

# Who may use the console.
administrators = Table(
    "administrators",
    accounts_metadata,
    Column("name", String(255), primary_key=True),
    Column("password_hash", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("last_login", BigInteger),
)

# Who is logged in to the portal or the console.
web_sessions = Table(
    "web_sessions",
    accounts_metadata,
    Column("token", LargeBinary, primary_key=True),  # SHA-256 of what the browser has
    Column("place", String(8), nullable=False),  # portal | console
    Column("subject", Text, nullable=False),  # an account's or an administrator's name
    Column("csrf", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("used", BigInteger, nullable=False),
    Index("web_sessions_subject", "place", "subject"),
    Index("web_sessions_used", "used"),
)

# What follows, down to the mailbox tables, is for several nodes upon one PostgreSQL database, and empty with SQLite.
# Times are in milliseconds since 1970 by the server's clock: those of the nodes may differ.

# Processes that move accounts. Who has no row here any more is dead to the others: see `mailstore.membership`.
nodes = Table(
    "nodes",
    accounts_metadata,
    Column("id", _Key, primary_key=True, autoincrement=True),
    Column("name", Text, nullable=False),  # for people
    Column("since", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),  # put off again and again
)

# Which node moves an account, or asks its legacy server: see `mailstore.leases`.
leases = Table(
    "leases",
    accounts_metadata,
    Column("fence", _Key, primary_key=True, autoincrement=True),  # of an account's leases the latest has the highest
    Column("domain", String(255), nullable=False),
    Column("local", String(255), nullable=False),  # of an account that may not be there yet
    Column("node", BigInteger, nullable=False),
    UniqueConstraint("domain", "local", name="leases_name"),
    Index("leases_node", "node"),
)

# How many connections to a legacy host a node may have, and how many octets a second: see `mailstore.allotment`.
places = Table(
    "places",
    accounts_metadata,
    Column("host", Text, primary_key=True),
    Column("node", BigInteger, primary_key=True, autoincrement=False),
    Column("places", BigInteger, nullable=False, server_default="0"),  # that it may use
    Column("wanted", BigInteger, nullable=False, server_default="0"),  # that it has a use for
    Column("held", BigInteger, nullable=False, server_default="0"),  # … of those, for users who wait
    Column("short_since", BigInteger, nullable=False, server_default="0"),  # 0: it has what it wants
)

# Logins at hosts that allow so many in a minute.
host_logins = Table(
    "host_logins",
    accounts_metadata,
    Column("id", _Key, primary_key=True, autoincrement=True),
    Column("host", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index("host_logins_at", "host", "at"),
)

# Hosts that said that they are busy, and until when nobody logs in there.
host_pauses = Table(
    "host_pauses",
    accounts_metadata,
    Column("host", Text, primary_key=True),
    Column("until", BigInteger, nullable=False),
)

# Wrong passwords that legacy servers were asked about: see `proxy.login.throttle`.
said_no = Table(
    "said_no",
    accounts_metadata,
    Column("id", _Key, primary_key=True, autoincrement=True),
    Column("mailbox", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index("said_no_mailbox", "mailbox", "at"),
)

# What all nodes have to agree on: see `mailstore.agreement`.
installation = Table(
    "installation",
    accounts_metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

mailboxes = Table(
    "mailboxes",
    mailbox_metadata,
    Column("account_id", BigInteger, primary_key=True, autoincrement=False),
    Column("token", String(16), nullable=False),  # marks the files that this index made
    Column("last_uidvalidity", BigInteger, nullable=False),
    Column("last_folder_id", BigInteger, nullable=False),
    Column("last_ledger_id", BigInteger, nullable=False, server_default="0"),  # of rows that went: none is given twice
    # Is the whole old mailbox listed in INBOX, whether or not all of it is here? See `awaited`.
    Column("listed", Integer, nullable=False, server_default="0"),
    # The last entry of the record beside the index: see `mailstore.record`.
    Column("recorded", BigInteger, nullable=False, server_default="0"),
    Column(
        "inode", BigInteger
    ),  # of the index's own file: where it is another one, the file is a copy; NULL: not known
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

# The folders of a legacy server that has IMAP, and which are theirs here. A row stays when its folder goes: that a
# user deleted it must be known as long as the legacy server lists it.
old_folders = Table(
    "old_folders",
    mailbox_metadata,
    Column("account_id", BigInteger, primary_key=True, autoincrement=False),
    Column("name", Text, primary_key=True),  # the legacy server's, with "/" between levels
    Column("folder_id", BigInteger, nullable=False),
)

ledger = Table(
    "ledger",
    mailbox_metadata,
    Column("account_id", BigInteger, primary_key=True, autoincrement=False),
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    # Where the legacy server listed it, from 1: when first seen, or, where its UIDLs name nothing, in the last listing.
    Column("position", BigInteger, nullable=False),
    Column("uidl", Text, nullable=False),  # the legacy server's name of it now; "" where it has none
    Column("octets", BigInteger, nullable=False),  # as LIST announced
    Column("outcome", String(12), nullable=False),  # listed | stored | quarantined | gone | deleted
    Column("uid", BigInteger),  # its UID in `folder_id`, held for it from the listing on in a first move
    Column("sha256", LargeBinary),  # of the bytes as received
    Column("reason", Text, nullable=False, server_default=""),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("updated", BigInteger, nullable=False),
    # Since when the legacy server lists it no more, while it is here or was; NULL: in the last listing.
    Column("unlisted", BigInteger),
    # POP3's name of it here where that is not `uidl`, since the legacy server changed that; "": one of our own.
    Column("shown", Text),
    Column("likeness", LargeBinary),  # `mailstore.message.likeness`; NULL: it has none
    Column("folder", Text, nullable=False, server_default=""),  # in `old_folders`; "" for a POP3 maildrop
    Column("folder_id", BigInteger, nullable=False, server_default="1"),  # where it is here, or was; 1: the INBOX
    Column("legacy_id", Text, nullable=False, server_default=""),  # "UIDVALIDITY.UID" in that folder (IMAP)
    Index("ledger_uid", "account_id", "uid"),
    Index("ledger_unlisted_bytes", "account_id", "sha256", sqlite_where=_UNLISTED, postgresql_where=_UNLISTED),
    Index("ledger_unlisted_likeness", "account_id", "likeness", sqlite_where=_UNLISTED, postgresql_where=_UNLISTED),
)


def _by_octets() -> None:
    """Text is compared octet by octet, in PostgreSQL as in SQLite, whatever language the server speaks: pages, ranges
    and names are cut by it."""
    for group in (accounts_metadata, mailbox_metadata):
        for table in group.tables.values():
            for column in table.columns:
                kind = column.type
                if isinstance(kind, String):
                    column.type = kind.with_variant(type(kind)(kind.length, collation="C"), "postgresql")


_by_octets()
