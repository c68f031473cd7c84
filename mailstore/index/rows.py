"""What the index says of folders and messages: the values that travel from the store to a session."""

from __future__ import annotations

import enum
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mailstore.index.folders import FolderRow

Flags = frozenset[str]

SEEN, ANSWERED, FLAGGED, DELETED, DRAFT = "\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft"
SYSTEM_FLAGS = (ANSWERED, FLAGGED, DELETED, SEEN, DRAFT)  # without \Recent, which is a session's own
NO_FLAGS: Flags = frozenset()

NO_DATE = -1  # the internal date of a message of which not even the header is here

_shared: dict[Flags, Flags] = {NO_FLAGS: NO_FLAGS}


def shared_flags(flags: Iterable[str]) -> Flags:
    """The one object for a set of flags: a mailbox of 100,000 messages has a dozen different ones."""
    value = frozenset(flags)
    if len(_shared) > 10_000:
        _shared.clear()
    return _shared.setdefault(value, value)


def named_once(flags: Iterable[str]) -> Flags:
    """The set of flags that somebody gave: of spellings that differ in case alone, one (RFC 3501 9 (1))."""
    return shared_flags({flag.lower(): flag for flag in flags}.values())


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder as it stands in the index. `name` is in Unicode, levels apart by "/", INBOX in capitals."""

    id: int
    name: str
    uidvalidity: int
    special_use: tuple[str, ...] = ()  # "\\Sent", … (RFC 6154 2)


@dataclass(frozen=True, slots=True)
class Status:
    """The figures of STATUS (RFC 3501 6.3.10, RFC 7162 3.1.2.1, RFC 8438); `size` in octets."""

    messages: int
    recent: int
    uidnext: int
    uidvalidity: int
    unseen: int
    deleted: int
    size: int
    highestmodseq: int
    deleted_size: int  # octets of those that are \\Deleted (RFC 9208 4.1.4)
    object_id: str = ""  # MAILBOXID (RFC 8474 4.3)


@dataclass(frozen=True, slots=True)
class Row:
    """One message of a folder."""

    uid: int
    modseq: int
    flags: Flags
    size: int  # octets as sent to a client: RFC822.SIZE
    internal_date: int  # seconds since 1970, UTC
    uidl: str  # POP3's name of it: the legacy server's, or our own for mail that came here
    file: str  # the file's name below the folder's directory without flags: what Maildir calls unique; "": see `away`
    save_date: int | None = None  # when it came into this folder, as internal_date; None: not known (RFC 8514)
    content_id: int | None = None  # `mailstore.index.contents`
    native: bool = False  # another program's file, whose bare LFs are sent as CRLFs

    @property
    def away(self) -> bool:
        """Is it listed and not here yet? Nothing can be read of it then but its header, if that is here."""
        return not self.file

    @property
    def dated(self) -> bool:
        """Is `internal_date` known? Not so as long as not even its header is here."""
        return self.internal_date != NO_DATE


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A folder at the moment of SELECT or EXAMINE: `uids` ascending, `flags` in the same order.

    It is handed over: whoever gets it may change its arrays. Messages with a UID of at least `recent_from`
    are \\Recent in this session (RFC 3501 2.3.2).
    """

    folder: Folder
    uidnext: int
    highestmodseq: int
    recent_from: int
    uids: array[int]
    flags: list[Flags]
    keywords: tuple[str, ...]  # every keyword in use in the folder
    modseqs: array[int] = field(default_factory=lambda: array("Q"))  # of `uids`; empty: highestmodseq for each


@dataclass(frozen=True, slots=True)
class Flagged:
    """A message whose flags are new, or which is new itself."""

    uid: int
    modseq: int
    flags: Flags


@dataclass(frozen=True, slots=True)
class Changes:
    """What happened in a folder after a given modseq: apply `gone` first, then `changed`.

    A UID in `changed` that the session does not know is a new message; they ascend.
    """

    highestmodseq: int
    uidnext: int
    recent_from: int  # as in Snapshot, for what is new
    changed: Sequence[Flagged]
    gone: Sequence[int]


class Shown(NamedTuple):
    """The folder that a session shows, as far as it knows it."""

    folder_id: int
    modseq: int
    claims_recent: bool

    def is_before(self, folder: FolderRow) -> bool:
        """Has nothing happened in it but one change, after which it is `folder`?"""
        return folder.id == self.folder_id and folder.highestmodseq == self.modseq + 1


@dataclass(frozen=True, slots=True)
class Stored:
    """What a STORE did."""

    flagged: Sequence[Flagged]  # those that it was free to change, as they are afterwards
    modified: Sequence[int] = ()  # UIDs left alone, because they had changed since (RFC 7162 3.1.3)
    modseq: int | None = None  # the one that it made; None: nothing was changed


class StoreMode(enum.Enum):
    """FLAGS, +FLAGS and -FLAGS (RFC 3501 6.4.6)."""

    REPLACE = "replace"
    ADD = "add"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Copied:
    """What COPY did (RFC 4315 3): the target's UIDVALIDITY, then source and new UIDs in the same order."""

    uidvalidity: int
    sources: Sequence[int]
    targets: Sequence[int]


@dataclass(frozen=True, slots=True)
class HandedIn:
    """One of several messages to be stored at once; `source` is read from its position to its end."""

    source: IO[bytes]
    flags: Flags
    internal_date: int | None  # None: now


@dataclass(frozen=True, slots=True)
class AppendedMany:
    """What APPEND with several messages did (RFC 4315 3): their UIDs in the same order."""

    uidvalidity: int
    uids: Sequence[int]


@dataclass(frozen=True, slots=True)
class Appended:
    """What APPEND did (RFC 4315 3)."""

    uidvalidity: int
    uid: int
    changes: Changes | None = None  # … to the folder that is shown
