"""IMAP commands as values: what a client said, after parsing and before anybody acts on it.

Made by `proxy.imap.grammar.parse`, read by the session and its handlers. Everything here is frozen.
Names of folders and search strings are Unicode already; flags are spelled as RFC 3501 2.3.2 spells them.

SEARCH is in `proxy.imap.grammar.search_syntax`. A new extension adds its own subclass of `Arguments` in its own
file; this one holds RFC 3501 and what mailferry has announced from its first version.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field

from mailstore.index.rows import StoreMode
from proxy.imap.grammar.sequences import (
    SequenceSet as SequenceSet,  # noqa: PLC0414 - the readers of commands find every shape here
)
from proxy.wire.commands import Literal
from proxy.wire.door import Secret


class BadSyntax(Exception):
    """The command is not what the grammar allows: tagged BAD.

    `text` is fit for the client, ASCII, and never holds anything that the client sent.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class BadCharset(Exception):
    """SEARCH named a charset that is not known here: tagged NO [BADCHARSET (…)] (RFC 3501 6.4.4).

    `known` are charset names for the response code; `saves`: its result would have been saved (RFC 5182).
    """

    def __init__(self, known: Sequence[str], *, saves: bool = False) -> None:
        super().__init__("this charset is not supported")
        self.saves = saves
        self.text = "this charset is not supported"
        self.known = tuple(known)

    @property
    def code(self) -> str:
        """The response code without its brackets."""
        return f"BADCHARSET ({' '.join(self.known)})"


# --- What follows a command's name ---


class Arguments:
    """What follows a command's name; one subclass for each shape."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Command:
    """One command. `name` is in capitals; `UID FETCH` is FETCH with `uid`, and so for COPY, STORE, SEARCH
    and EXPUNGE."""

    tag: bytes
    name: str
    uid: bool
    arguments: Arguments


@dataclass(frozen=True, slots=True)
class NoArguments(Arguments):
    """CAPABILITY, NOOP, LOGOUT, STARTTLS, CHECK, CLOSE, EXPUNGE, IDLE, NAMESPACE, UNSELECT."""


@dataclass(frozen=True, slots=True)
class Login(Arguments):
    username: bytes
    password: Secret


@dataclass(frozen=True, slots=True)
class Authenticate(Arguments):
    """`mechanism` in capitals; `initial` is the initial response of SASL-IR (RFC 4959), still in base64,
    with b"=" for an empty one; None when there is none."""

    mechanism: str
    initial: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Resync:
    """QRESYNC (…) of SELECT: what a client knows of the mailbox (RFC 7162 3.2.5).

    Its fourth part, which only helps a server that has forgotten what was expunged, is read and left:
    `by_number` says that it was there.
    """

    uidvalidity: int
    modseq: int
    known: SequenceSet | None  # UIDs; None for all
    by_number: bool = False


@dataclass(frozen=True, slots=True)
class FolderName(Arguments):
    """SELECT, EXAMINE, CREATE, DELETE, SUBSCRIBE, UNSUBSCRIBE. CREATE's has lost its trailing "/"."""

    name: str


@dataclass(frozen=True, slots=True)
class Select(FolderName):
    """SELECT and EXAMINE with parameters, any of which makes the client one that knows modseqs (RFC 7162 3.1.8)."""

    resync: Resync | None = None


@dataclass(frozen=True, slots=True)
class Rename(Arguments):
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class ListPattern(Arguments):
    """LIST and LSUB. Both together are for `proxy.imap.grammar.folder_names.FolderPattern`; INBOX is
    spelled as it was sent."""

    reference: str
    pattern: str


class StatusItem(enum.Enum):
    """RFC 3501 6.3.10; the value is its spelling on the wire."""

    MESSAGES = "MESSAGES"
    RECENT = "RECENT"
    UIDNEXT = "UIDNEXT"
    UIDVALIDITY = "UIDVALIDITY"
    UNSEEN = "UNSEEN"
    HIGHESTMODSEQ = "HIGHESTMODSEQ"  # RFC 7162 3.1.7
    SIZE = "SIZE"  # RFC 8438
    DELETED = "DELETED"  # RFC 9051 6.3.11
    DELETED_STORAGE = "DELETED-STORAGE"  # RFC 9208 4.1.4
    APPENDLIMIT = "APPENDLIMIT"  # RFC 7889
    MAILBOXID = "MAILBOXID"  # RFC 8474 4.3


@dataclass(frozen=True, slots=True)
class StatusItems(Arguments):
    """STATUS. `items` has each once, in the order asked."""

    folder: str
    items: tuple[StatusItem, ...]


@dataclass(frozen=True, slots=True)
class Append(Arguments):
    """APPEND. `internal_date` is in seconds since 1970. After login `message.data` is a file at its start,
    and whoever handles the command closes it (`Literal.close`)."""

    folder: str
    flags: tuple[str, ...]
    internal_date: int | None
    message: Literal


@dataclass(frozen=True, slots=True)
class Copy(Arguments):
    """COPY and MOVE."""

    sequence: SequenceSet
    folder: str


@dataclass(frozen=True, slots=True)
class Store(Arguments):
    """STORE. `flags` has each once; it may be empty (`FLAGS ()` takes all away)."""

    sequence: SequenceSet
    mode: StoreMode
    silent: bool
    flags: tuple[str, ...]
    unchanged_since: int | None = None  # RFC 7162 3.1.3


@dataclass(frozen=True, slots=True)
class UidExpunge(Arguments):
    """UID EXPUNGE (RFC 4315 2.1): name EXPUNGE, uid True."""

    sequence: SequenceSet


@dataclass(frozen=True, slots=True)
class Id(Arguments):
    """ID (RFC 2971 3.1); NIL and () give no fields."""

    fields: tuple[tuple[bytes, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class Compress(Arguments):
    """COMPRESS (RFC 4978 5). `mechanism` in capitals."""

    mechanism: str


@dataclass(frozen=True, slots=True)
class Enable(Arguments):
    """ENABLE (RFC 5161 3.1). `names` in capitals, known here or not."""

    names: tuple[str, ...]


# --- FETCH ---


class FetchAttribute(enum.Enum):
    """A FETCH item without arguments (RFC 3501 6.4.5); the value is its spelling on the wire.

    BODY is the structure without extension data, BODYSTRUCTURE with it. RFC822 and RFC822.TEXT set \\Seen; with
    PEEK, of which RFC 3501 knows nothing any more, they do not (RFC 1730 6.4.5, RFC 2062).
    """

    FLAGS = "FLAGS"
    UID = "UID"
    INTERNALDATE = "INTERNALDATE"
    RFC822_SIZE = "RFC822.SIZE"
    ENVELOPE = "ENVELOPE"
    BODY = "BODY"
    BODYSTRUCTURE = "BODYSTRUCTURE"
    RFC822 = "RFC822"
    RFC822_HEADER = "RFC822.HEADER"
    RFC822_TEXT = "RFC822.TEXT"
    RFC822_PEEK = "RFC822.PEEK"
    RFC822_TEXT_PEEK = "RFC822.TEXT.PEEK"
    PREVIEW = "PREVIEW"  # RFC 8970; with LAZY too, since it is kept
    SAVEDATE = "SAVEDATE"  # RFC 8514 4.2
    EMAILID = "EMAILID"  # RFC 8474 5.1
    THREADID = "THREADID"  # RFC 8474 5.2
    MODSEQ = "MODSEQ"  # RFC 7162 3.1.4.2


@dataclass(frozen=True, slots=True)
class BodySection:
    """BODY[…] and BODY.PEEK[…] (RFC 3501 6.4.5).

    `path` are part numbers, () for the whole message. `what` is "" (all of the part), "HEADER",
    "HEADER.FIELDS", "HEADER.FIELDS.NOT", "TEXT" or "MIME" (which always has a path). `fields` are header
    names as sent, for the two that have them. `partial` is (first octet, number of octets); the number
    may be 0 and both may lie beyond the end.
    """

    path: tuple[int, ...]
    what: str
    fields: tuple[bytes, ...]
    peek: bool
    partial: tuple[int, int] | None
    echo: bytes  # its name in the FETCH response (RFC 3501 7.4.2): BODY[1.HEADER.FIELDS (DATE FROM)]<0>


@dataclass(frozen=True, slots=True)
class BinarySection:
    """BINARY[…], BINARY.PEEK[…] and, with `size`, BINARY.SIZE[…] (RFC 3516 4.2): a part's body, its content
    transfer encoding taken off. `path` and `partial` as in BodySection; the partial counts decoded octets."""

    path: tuple[int, ...]
    peek: bool
    size: bool
    partial: tuple[int, int] | None
    echo: bytes  # its name in the FETCH response: BINARY[1.2]<0>


FetchItem = FetchAttribute | BodySection | BinarySection


@dataclass(frozen=True, slots=True)
class Fetch(Arguments):
    """FETCH. `items` has each once, macros (ALL, FAST, FULL) taken apart."""

    sequence: SequenceSet
    items: tuple[FetchItem, ...]
    changed_since: int | None = None  # CHANGEDSINCE (RFC 7162 3.1.4.1)
    vanished: bool = False  # … and VANISHED (RFC 7162 3.2.6)
    partial: tuple[int, int] | None = None  # as in Returns (RFC 9394 3.4)
