"""What can be found, and what each kind of finding means to somebody who has to sign that nothing was lost."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

INBOX: Final = "INBOX"  # the legacy folder of everything that POP3 lists


class Weight(enum.IntEnum):
    """FINE is counted and nothing else; a NOTE is worth knowing; with a FAULT the account is not whole."""

    FINE = 0
    NOTE = 1
    FAULT = 2


class Kind(enum.Enum):
    """Each with its weight, its title, and what to do about it. The value is its name in JSON and CSV."""

    weight: Weight
    title: str
    remedy: str

    def __new__(cls, value: str, weight: Weight, title: str, remedy: str) -> Kind:
        kind = object.__new__(cls)
        kind._value_ = value
        kind.weight, kind.title, kind.remedy = weight, title, remedy
        return kind

    # On the legacy server and not here

    MISSING = (
        "missing",
        Weight.FAULT,
        "missing here",
        "`mailferry migrate` or a login carries it over; verify again after it",
    )
    QUARANTINED = (
        "quarantined",
        Weight.FAULT,
        "quarantined",
        "`mailferry retry` asks for it again; else fetch it by hand before the legacy server is closed",
    )

    # Here, and not as it should be

    FILE_MISSING = (
        "file-missing",
        Weight.FAULT,
        "file missing",
        "restore it from a backup of the Maildir before the next login, which takes it for deleted by the user",
    )
    FILE_ALTERED = (
        "file-altered",
        Weight.FAULT,
        "file altered",
        "restore the file from a backup of the Maildir",
    )
    FILE_UNREADABLE = (
        "file-unreadable",
        Weight.FAULT,
        "file unreadable",
        "run verify as the user of serve; if it is the disk, restore the file from a backup of the Maildir",
    )
    INDEX_ROW_MISSING = (
        "index-row-missing",
        Weight.FAULT,
        "index row missing",
        "the next login holds the index against the Maildir and takes its file in again; verify again after it",
    )
    WRONG_ORDER = (
        "wrong-order",
        Weight.FAULT,
        "wrong order",
        "nothing is lost; it stands elsewhere in the mailbox than it did; restore the index (Maildir.db) from a backup",
    )
    DOUBLED = (
        "doubled",
        Weight.FAULT,
        "doubled",
        "nothing is lost; the user may delete one of the two",
    )
    CONTENT_DIFFERS = (
        "content-differs",
        Weight.FAULT,
        "content differs",
        "compare the two copies by hand: the legacy server now gives other bytes than when the message was moved",
    )
    UNREADABLE = (
        "unreadable",
        Weight.FAULT,
        "mailbox unreadable",
        "look at the disk and at who owns the file; a damaged index is set aside and made anew at the next login",
    )

    # Worth knowing

    OCTETS_DIFFER = (
        "octets-differ",
        Weight.NOTE,
        "octets differ",
        "nothing: many servers count wrong in LIST; what counts is the SHA-256 of what they give",
    )
    OCTETS_CHANGED = (
        "octets-changed",
        Weight.NOTE,
        "octets changed since",
        "have its content compared: verify --full",
    )
    STATUS_LINES = (
        "status-lines-differ",
        Weight.NOTE,
        "status lines differ",
        "nothing: the legacy server writes such fields anew at each session",
    )
    UIDL_DIFFERS = (
        "uidl-differs",
        Weight.NOTE,
        "UIDL differs",
        "nothing is lost; a client that leaves mail on the server, and knows the other UIDL, downloads it again",
    )
    UIDL_CHANGED = (
        "uidl-changed",
        Weight.NOTE,
        "UIDL changed since",
        "nothing: the bytes are here, under the UIDL that clients know",
    )
    ORDER_CHANGED = (
        "order-changed",
        Weight.NOTE,
        "order changed since",
        "nothing: here it stands where it stood when it was moved",
    )
    CAME_LATE = (
        "came-late",
        Weight.NOTE,
        "came late",
        "nothing: it was fetched at a later attempt and stands behind what came before it",
    )
    PERHAPS_DOUBLED = (
        "perhaps-doubled",
        Weight.NOTE,
        "perhaps doubled",
        "nothing is lost; if the legacy server gave it a new UIDL, the user may delete one of the two",
    )
    NOT_GIVEN = (
        "not-given",
        Weight.NOTE,
        "not given",
        "nothing: it is here; the legacy server does not give it any more",
    )
    NO_DIGEST = (
        "no-digest",
        Weight.NOTE,
        "no digest",
        "verify --full, which compares the file itself with the legacy server",
    )
    GONE = (
        "gone",
        Weight.NOTE,
        "gone before it was fetched",
        "nothing: somebody deleted it at the legacy server before the move came to it",
    )

    # Counted

    DELETED_HERE = ("deleted-here", Weight.FINE, "deleted here by the user, or moved to another folder", "")
    MOVED_HERE = ("moved-here", Weight.FINE, "moved to another folder here by the user, the same bytes", "")
    NO_LONGER_LISTED = ("no-longer-listed", Weight.FINE, "here, and no longer at the legacy server", "")
    EXTRA_HERE = (
        "extra-here",
        Weight.FINE,
        "here besides: delivered or stored here, or moved or copied to other folders",
        "",
    )
    UNNOTICED = ("unnoticed", Weight.FINE, "files that the index does not know yet", "")


@dataclass(frozen=True, slots=True)
class Finding:
    """One message, and what is wrong with it. `position`, `uidl` and `octets` are the legacy server's: as it lists the
    message now, or else as the ledger has it; 0 and "" where it never listed it."""

    kind: Kind
    what: str
    position: int = 0
    uidl: str = ""
    octets: int = 0
    uid: int | None = None  # here
    folder: str = INBOX
